/*
 * Threads that make calls from the start, and what could go wrong beside them. Usage: threads DIRECTORY WAY
 *
 * Prints how many calls failed, or did something else than they should. WAY is what happens:
 *   plain   each thread works on names of its own, interrupted by a timer whose handler does as well
 *   umask   now the one, now the other sets the umask; all look at the modes that come of it
 *   user    one becomes somebody else, alone (by the system call, which libc makes for all threads)
 *   fork    the first makes children meanwhile, which work on names of their own
 *   spawn   the first executes the program anew in children that share its memory until then
 *   exec    one executes the program anew in the place of all
 *   exit    one ends the program in the middle of the work of all
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 6, ROUNDS = 100, CHILDREN = 12, NOBODY = 65534, EXIT_CODE = 7 };

extern char **environ;
static char **words;
static const char *way;
static atomic_int bad;
static pthread_barrier_t all;

static int is(const char *name)
{
	return strcmp(way, name) == 0;
}

/* Six calls, of which each knows what has to come of it. */
static void round_of(const char *name)
{
	char moved[64];
	struct stat found;
	snprintf(moved, sizeof moved, "%s-moved", name);
	bad += mkdir(name, 0755) != 0;
	bad += mkdir(name, 0755) == 0 || errno != EEXIST;
	bad += chmod(name, 0700) != 0;
	bad += stat(name, &found) != 0 || found.st_mode != (S_IFDIR | 0700);
	bad += rename(name, moved) != 0;
	bad += rmdir(moved) != 0;
}

static void work(const char *who, int number, int rounds)
{
	char name[48];
	snprintf(name, sizeof name, "%s-%s-%d-%d", way, who, (int)getpid(), number);
	for (int i = 0; i < rounds; i++)
		round_of(name);
}

static void handle(int signal)
{
	static _Thread_local int depth;
	int before = errno;
	(void)signal;
	if (depth++ == 0)
		work("handler", (int)syscall(SYS_gettid), 1);
	depth--;
	errno = before;
}

static void look_at_umasks(int own)
{
	static const mode_t masks[] = { 0, 022, 077, 027, 0, 0777, 07 };
	char name[32];
	struct stat found;
	snprintf(name, sizeof name, "umask-%d", own);
	for (int i = 0; i < ROUNDS; i++) {
		mode_t mask = masks[i % (sizeof masks / sizeof *masks)];
		pthread_barrier_wait(&all);
		/* The others call meanwhile, and do not mind. */
		if (i % THREADS == own)
			umask(mask);
		else
			bad += rmdir("nothing") == 0;
		pthread_barrier_wait(&all);
		bad += mkdir(name, 0777) != 0;
		bad += lstat(name, &found) != 0 || (found.st_mode & 0777) != (0777 & ~mask);
		bad += rmdir(name) != 0;
	}
}

/* Whoever is not root stays who he is. */
static void become_another(int own)
{
	char name[32];
	struct stat found;
	uid_t user = geteuid();
	work("user", own, ROUNDS / 2);
	pthread_barrier_wait(&all);
	if (own == 1 && user == 0) {
		bad += syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY) != 0;
		user = NOBODY;
	}
	snprintf(name, sizeof name, "owned-%d", own);
	for (int i = 0; i < ROUNDS; i++) {
		bad += mkdir(name, 0755) != 0;
		bad += stat(name, &found) != 0 || found.st_uid != user;
		bad += (chmod("of-the-first", 0711) == 0) != (user == geteuid() && user != NOBODY);
		bad += rmdir(name) != 0;
	}
}

static void *thread(void *number)
{
	int own = (int)(long)number;
	if (is("umask")) {
		look_at_umasks(own);
		return NULL;
	}
	if (is("user")) {
		become_another(own);
		return NULL;
	}
	work("thread", own, ROUNDS);
	if (own == 2 && is("exec")) {
		execl(words[0], words[0], words[1], "executed", NULL);
		bad++;
	}
	if (own == 2 && is("exit"))
		_exit(EXIT_CODE);
	if (is("exec") || is("exit"))
		for (;;)
			round_of(own % 2 ? "odd" : "even");
	return NULL;
}

static void fork_children(void)
{
	for (int i = 0; i < CHILDREN; i++) {
		pid_t child = fork();
		int status;
		if (child == 0) {
			bad = 0;
			work("child", i, ROUNDS / 4);
			_exit(bad != 0);
		}
		bad += child < 0 || waitpid(child, &status, 0) != child || status != 0;
	}
}

static void spawn_children(void)
{
	char *arguments[] = { words[0], ".", "alone", NULL };
	for (int i = 0; i < CHILDREN; i++) {
		pid_t child;
		int status;
		bad += posix_spawn(&child, words[0], NULL, NULL, arguments, environ) != 0;
		bad += waitpid(child, &status, 0) != child || status != 0;
	}
}

/* What those had in hand whom somebody ended. */
static void clear(void)
{
	const struct dirent *entry;
	DIR *dir = opendir(".");
	while (dir && (entry = readdir(dir)))
		rmdir(entry->d_name);
	closedir(dir);
}

int main(int count, char **arguments)
{
	pthread_t threads[THREADS];
	struct itimerval often = { { 0, 700 }, { 0, 700 } }, never = { { 0, 0 }, { 0, 0 } };
	struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESTART };
	if (count != 3 || chdir(arguments[1]) != 0)
		return 2;
	words = arguments;
	way = arguments[2];
	if (is("executed"))
		clear();
	if (is("alone")) {
		work("alone", 0, ROUNDS / 4);
		return bad != 0;
	}
	umask(022);
	if (is("user"))
		bad += mkdir("of-the-first", 0700) != 0 || chmod(".", 0777) != 0;
	pthread_barrier_init(&all, NULL, THREADS);
	if (is("plain")) {
		sigaction(SIGALRM, &action, NULL);
		setitimer(ITIMER_REAL, &often, NULL);
	}
	for (long i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, thread, (void *)i);
	if (is("fork"))
		fork_children();
	if (is("spawn"))
		spawn_children();
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	setitimer(ITIMER_REAL, &never, NULL);
	printf("wrong: %d\n", bad);
	return 0;
}
