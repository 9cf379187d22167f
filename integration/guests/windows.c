/*
 * Sends itself a signal at every instruction of one call, the one that brings in the agent if there is to be one.
 * Usage: windows DIRECTORY
 *
 * For each thing that a handler may do, the program executes itself again and again under ptrace(2), lets the new
 * one make some calls, goes on from there by single steps, one more each time, and then sends the signal from
 * outside, SIGSEGV among others. Where the handler divides, so it does at every instruction of a call after that
 * one. Prints how often something went wrong.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* With one round more the agent is there. */
enum { ROUNDS_BEFORE = 6, ROUNDS_AFTER = 8, MOST_STEPS = 600 };

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
	int rounds_before;
	int (*window)(void);
	void (*act)(void);
	int signal;
} ways[] = {
	{"call", ROUNDS_BEFORE, make, call, SIGUSR1},
	{"leave", ROUNDS_BEFORE, make, leave, SIGSEGV},
	{"fork", ROUNDS_BEFORE, make, divide, SIGUSR1},
	{"vfork", ROUNDS_BEFORE, make, divide_in_memory, SIGUSR1},
	{"thread", ROUNDS_BEFORE, make, start_thread, SIGUSR1},
	{"fork later", ROUNDS_BEFORE + 4, make, divide, SIGUSR1},
	{"fork and look", ROUNDS_BEFORE + 4, look, divide, SIGUSR1},
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

static int happen(void)
{
	struct sigaction action = {.sa_handler = handle};
	sigset_t before = {0}, after = {0};
	int descriptors = next_descriptor();
	sigaction(way->signal, &action, NULL);
	for (int i = 0; i < 20 && way->window == look; i++)
		look();
	wrong += calls("before", way->rounds_before);
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
static int once(const char *program, const char *name, int steps, int signal, int *bad)
{
	pid_t pid = fork();
	int status, stop, is_within = 1;
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		execl(program, program, ".", name, NULL);
		_exit(99);
	}
	waitpid(pid, &status, 0);
	do
		stop = go(PTRACE_CONT, pid, 0, &status);
	while (stop != 0 && stop != SIGSTOP);
	for (int step = 0; step < steps && is_within; step++)
		is_within = go(PTRACE_SINGLESTEP, pid, 0, &status) == SIGTRAP;
	kill(pid, signal);
	/* A fault that is not asked for ends it; it would be there again and again. */
	for (stop = go(PTRACE_CONT, pid, 0, &status); stop != 0;)
		stop = go(PTRACE_CONT, pid, stop == SIGTRAP || stop == SIGSTOP ? 0 : stop, &status);
	if (status != 0) {
		fprintf(stderr, "%s, step %d: status %x\n", name, steps, status);
		++*bad;
	}
	rmdir("window");
	return is_within;
}

static void at_every_step(const char *program)
{
	int bad = 0, steps = 0;
	while (steps < MOST_STEPS && once(program, way->name, steps, way->signal, &bad))
		steps++;
	printf("%s: wrong %d\n", way->name, bad + (steps == 0));
}

int main(int count, char **arguments)
{
	if (count < 2 || chdir(arguments[1]) != 0)
		return 2;
	for (way = ways; way < ways + WAYS; way++) {
		if (count == 2)
			at_every_step(arguments[0]);
		else if (strcmp(arguments[2], way->name) == 0)
			return happen();
	}
	return 0;
}
