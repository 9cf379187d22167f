/*
 * Sends itself a signal at every instruction of one call, the one after CALLS others: with that it is to have the agent,
 * or a channel. Usage: windows DIRECTORY CALLS
 *
 * For each thing that a handler may do, the program touches its file, so that it is another program as far as is known,
 * and executes itself again and again under ptrace(2), lets the new
 * one make some calls, goes on from there by single steps, one more each time, and then sends the signal from
 * outside, SIGSEGV among others. Where the handler divides, so it does at every instruction of a call after that
 * one. Prints how often something went wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* By as many calls more the channel is there. */
enum { LATER = 12, ROUNDS_AFTER = 8, MOST_STEPS = 900 };

static sigjmp_buf out;
static volatile sig_atomic_t handled, wrong;
static volatile pid_t child;
static pid_t own;

/* Makes and removes a directory of this process's own. Three calls a round. */
static int calls(const char *name, int rounds)
{
	char path[64];
	int bad = 0;
	snprintf(path, sizeof path, "%s-%d", name, (int)getpid());
	for (int i = 0; i < rounds; i++) {
		bad += mkdir(path, 0700) != 0;
		bad += mkdir(path, 0700) == 0 || errno != EEXIST;
		bad += rmdir(path) != 0;
	}
	return bad;
}

/* All from one site, so that the next one from there finds what the last one has led to. */
static int calls_before(const char *name, int count)
{
	int bad = mkdir(name, 0700) != 0;
	for (int i = 1; i < count; i++)
		bad += mkdir(name, 0700) == 0 || errno != EEXIST;
	return bad;
}

static void *in_thread(void *unused)
{
	(void)unused;
	return (void *)(long)calls("thread", 2);
}

/* ---- What a handler does ---- */

static void call(void)
{
	wrong += calls("handler", 2);
}

static void leave(void)
{
	siglongjmp(out, 1);
}

/* The child goes on where its parent was. */
static void divide(void)
{
	child = fork();
}

static void divide_in_memory(void)
{
	int status;
	pid_t short_lived = vfork();
	if (short_lived == 0)
		_exit(mkdir("/nowhere/at/all", 0700) == 0 || rmdir("nothing") == 0);
	waitpid(short_lived, &status, 0);
	wrong += status != 0;
}

static void start_thread(void)
{
	pthread_t thread;
	void *bad;
	wrong += pthread_create(&thread, NULL, in_thread, NULL) != 0;
	pthread_join(thread, &bad);
	wrong += (long)bad;
}

static int make(void)
{
	return mkdir("window", 0700);
}

/* Has a result besides. */
static int look(void)
{
	struct stat found = {0};
	int result = lstat(".", &found);
	wrong += !S_ISDIR(found.st_mode) || found.st_nlink == 0;
	return result;
}

static const struct way {
	const char *name;
	int later;
	int (*window)(void);
	void (*act)(void);
	int signal;
} ways[] = {
	{"call", 0, make, call, SIGUSR1},
	{"leave", 0, make, leave, SIGSEGV},
	{"fork", 0, make, divide, SIGUSR1},
	{"vfork", 0, make, divide_in_memory, SIGUSR1},
	{"thread", 0, make, start_thread, SIGUSR1},
	{"fork later", LATER, make, divide, SIGUSR1},
	{"fork and look", LATER, look, divide, SIGUSR1},
};
enum { WAYS = sizeof ways / sizeof *ways };

static const struct way *way;

static void handle(int signal)
{
	int error = errno;
	wrong += signal != way->signal || handled++;
	way->act();
	errno = error;
}

/* ---- The one to which it happens ---- */

/* Opens nothing: what is left over is open. */
static int next_descriptor(void)
{
	int next = dup(0);
	close(next);
	return next;
}

/* Nothing else on its way may change what it returns. */
static void window(void)
{
	int result = way->window();
	wrong += result != 0 && errno != EEXIST;
	wrong += result != 0 && way->act != leave && way->act != divide;
}

static int happen(int count)
{
	char name[32];
	struct sigaction action = {.sa_handler = handle};
	sigset_t before = {0}, after = {0};
	int descriptors = next_descriptor();
	sigaction(way->signal, &action, NULL);
	for (int i = 0; i < 20 && way->window == look; i++)
		look();
	snprintf(name, sizeof name, "before-%d", (int)getpid());
	wrong += calls_before(name, count + way->later);
	own = getpid();
	sigprocmask(SIG_SETMASK, NULL, &before);
	/* Left or not, the call is made. A child that comes by stops nobody else. */
	if (sigsetjmp(out, 1) == 0)
		kill(own, SIGSTOP);
	window();
	kill(own, SIGSTOP);
	sigprocmask(SIG_SETMASK, NULL, &after);
	wrong += memcmp(&before, &after, sizeof before) != 0;
	wrong += calls("after", ROUNDS_AFTER);
	wrong += getpid() == own && rmdir(name) != 0;
	if (getpid() == own && child != 0) {
		int status;
		wrong += waitpid(child, &status, 0) != child || status != 0;
	}
	wrong += next_descriptor() != descriptors;
	wrong += handled != 1;
	return wrong;
}

/* ---- The one who looks on ---- */

/* Goes on, with a signal to be delivered; by what it is stopped then, 0 when it has ended. */
static int go(int how, pid_t pid, int signal, int *status)
{
	ptrace(how, pid, NULL, (void *)(long)signal);
	return waitpid(pid, status, 0) == pid && WIFSTOPPED(*status) ? WSTOPSIG(*status) : 0;
}

/* True when the signal came within the call. */
static int once(const char *program, const char *count, int steps, int *bad)
{
	int status, stop, is_within = 1;
	*bad += utimensat(AT_FDCWD, program, NULL, 0) != 0;
	pid_t pid = fork();
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		execl(program, program, ".", count, way->name, NULL);
		_exit(99);
	}
	waitpid(pid, &status, 0);
	do
		stop = go(PTRACE_CONT, pid, 0, &status);
	while (stop != 0 && stop != SIGSTOP);
	for (int step = 0; step < steps && is_within; step++)
		is_within = go(PTRACE_SINGLESTEP, pid, 0, &status) == SIGTRAP;
	kill(pid, way->signal);
	/* A fault that is not asked for ends it; it would be there again and again. */
	for (stop = go(PTRACE_CONT, pid, 0, &status); stop != 0;)
		stop = go(PTRACE_CONT, pid, stop == SIGTRAP || stop == SIGSTOP ? 0 : stop, &status);
	if (status != 0) {
		fprintf(stderr, "%s, step %d: status %x\n", way->name, steps, status);
		++*bad;
	}
	rmdir("window");
	return is_within;
}

static void at_every_step(const char *program, const char *count)
{
	int bad = 0, steps = 0;
	while (steps < MOST_STEPS && once(program, count, steps, &bad))
		steps++;
	printf("%s: wrong %d\n", way->name, bad + (steps == 0));
}

int main(int count, char **arguments)
{
	if (count < 3 || chdir(arguments[1]) != 0)
		return 2;
	for (way = ways; way < ways + WAYS; way++) {
		if (count == 3)
			at_every_step(arguments[0], arguments[2]);
		else if (strcmp(arguments[3], way->name) == 0)
			return happen(atoi(arguments[2]));
	}
	return 0;
}
