/*
 * Threads that make, rename and remove, each under names that are used once, and log every call before and
 * after it was made. Usage: survivor DIRECTORY LOG THREADS
 *
 * Ends on SIGUSR1. From SIGUSR2 on it makes the *at variants of its calls.
 *
 * A line of the log is "THREAD ROUND STEP RESULT": `?` before the call; after it `0` or the errno's name. A line
 * "variants" says that SIGUSR2 has come. The last line is "longest MICROSECONDS", the time of the longest call.
 * After an error a thread goes on with its next round: what became of the call is for the reader of the log to
 * find out.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 8, STEPS = 5, KEPT = 3 };

static volatile sig_atomic_t over, at_variants;
static const char *directory;
static int log_file;
static long longest[THREADS];

static void on_signal(int number)
{
	static const char line[] = "variants\n";
	if (number == SIGUSR1) {
		over = 1;
		return;
	}
	at_variants = 1;
	if (write(log_file, line, sizeof line - 1) != sizeof line - 1)
		abort();
}

static long now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static void note(long thread, long round, int step, const char *result)
{
	char line[128];
	int length = snprintf(line, sizeof line, "%ld %ld %d %s\n", thread, round, step, result);
	if (write(log_file, line, (size_t)length) != length)
		_exit(3);
}

static long make_call(int step, const char *dir, const char *a, const char *b)
{
	int at = at_variants;
	switch (step) {
	case 1:
		return at ? syscall(SYS_mkdirat, AT_FDCWD, dir, 0755) : syscall(SYS_mkdir, dir, 0755);
	case 2:
		return at ? syscall(SYS_mknodat, AT_FDCWD, a, S_IFREG | 0644, 0)
			  : syscall(SYS_mknod, a, S_IFREG | 0644, 0);
	case 3:
		return at ? syscall(SYS_renameat, AT_FDCWD, a, AT_FDCWD, b) : syscall(SYS_rename, a, b);
	case 4:
		return at ? syscall(SYS_unlinkat, AT_FDCWD, b, 0) : syscall(SYS_unlink, b);
	default:
		return at ? syscall(SYS_unlinkat, AT_FDCWD, dir, AT_REMOVEDIR) : syscall(SYS_rmdir, dir);
	}
}

static int step(long thread, long round, int number, char paths[3][512])
{
	note(thread, round, number, "?");
	long before = now();
	long result = make_call(number, paths[0], paths[1], paths[2]);
	int error = errno;
	long took = now() - before;
	if (took > longest[thread])
		longest[thread] = took;
	note(thread, round, number, result == 0 ? "0" : strerrorname_np(error));
	return result != 0;
}

static void *work(void *argument)
{
	long thread = (long)argument;
	char paths[3][512];
	for (long round = 0; !over; round++) {
		snprintf(paths[0], sizeof paths[0], "%s/%ld-%ld", directory, thread, round);
		snprintf(paths[1], sizeof paths[1], "%s/%ld-%ld/a", directory, thread, round);
		snprintf(paths[2], sizeof paths[2], "%s/%ld-%ld/b", directory, thread, round);
		int last = round % 8 == 0 ? KEPT : STEPS;
		for (int number = 1; number <= last; number++)
			if (step(thread, round, number, paths) != 0) {
				usleep(1000);
				break;
			}
	}
	return NULL;
}

int main(int count, char **arguments)
{
	if (count != 4)
		return 2;
	directory = arguments[1];
	log_file = open(arguments[2], O_WRONLY | O_APPEND | O_CREAT, 0644);
	long threads = atol(arguments[3]);
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	if (log_file < 0 || threads < 1 || threads > THREADS)
		return 2;
	if (sigaction(SIGUSR1, &action, NULL) != 0 || sigaction(SIGUSR2, &action, NULL) != 0)
		return 2;
	/* Signals are the first thread's, which makes no calls on the mount. */
	sigset_t both;
	sigemptyset(&both);
	sigaddset(&both, SIGUSR1);
	sigaddset(&both, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &both, NULL);
	pthread_t ids[THREADS];
	for (long i = 0; i < threads; i++)
		if (pthread_create(&ids[i], NULL, work, (void *)i) != 0)
			return 2;
	pthread_sigmask(SIG_UNBLOCK, &both, NULL);
	long most = 0;
	for (long i = 0; i < threads; i++) {
		pthread_join(ids[i], NULL);
		most = longest[i] > most ? longest[i] : most;
	}
	dprintf(log_file, "longest %ld\n", most);
	return 0;
}
