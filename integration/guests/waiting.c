/*
 * One thread waits for a call on a file system that does not answer, while another one works on a second file
 * system. Usage: waiting SLOW FAST [NEWCOMERS]
 *
 * Prints "ready" once both were called, and starts the call that waits on SIGUSR1. Prints "worked MICROSECONDS",
 * the longest of the other thread's calls, which go on, and when the first call is answered, "answered RESULT".
 *
 * With NEWCOMERS it waits for another SIGUSR1 before they go on: so many threads then become a new user each and
 * call the slow file system, and the longest of the calls beside them is "beside newcomers MICROSECONDS".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { CALLS = 500 };

static char slow[512];
static volatile int answered;

static long now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static void must(int result, const char *what)
{
	if (result != 0) {
		printf("%s: %s\n", what, strerrorname_np(errno));
		fflush(stdout);
		_exit(1);
	}
}

static void *wait_for_answer(void *unused)
{
	(void)unused;
	int result = mkdir(slow, 0755);
	printf("answered %s\n", result == 0 ? "0" : strerrorname_np(errno));
	fflush(stdout);
	answered = 1;
	return NULL;
}

static long work(const char *directory, int calls)
{
	char path[512];
	long longest = 0;
	snprintf(path, sizeof path, "%s/work", directory);
	for (int i = 0; i < calls; i++) {
		long before = now();
		must(i % 2 ? rmdir(path) : mkdir(path, 0755), path);
		long took = now() - before;
		longest = took > longest ? took : longest;
	}
	return longest;
}

static void *come(void *number)
{
	char path[520];
	uid_t user = 2000 + (uid_t)(long)number;
	snprintf(path, sizeof path, "%s-%u", slow, user);
	must((int)syscall(SYS_setresuid, -1, user, -1), "setresuid");
	/* It is for its owner alone: the kernel refuses. */
	if (mkdir(path, 0755) == 0 || errno != EACCES)
		printf("newcomer: %s\n", strerrorname_np(errno));
	return NULL;
}

int main(int count, char **arguments)
{
	long newcomers = count == 4 ? atol(arguments[3]) : 0;
	if (count != 3 && newcomers <= 0)
		return 2;
	snprintf(slow, sizeof slow, "%s/slow", arguments[1]);
	/* Whoever runs the tests may ignore it. */
	signal(SIGINT, SIG_DFL);
	sigset_t go;
	sigemptyset(&go);
	sigaddset(&go, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &go, NULL);
	work(arguments[1], 20);
	work(arguments[2], 20);
	puts("ready");
	fflush(stdout);
	int number;
	sigwait(&go, &number);
	pthread_t waiter;
	must(pthread_create(&waiter, NULL, wait_for_answer, NULL), "pthread_create");
	/* Time for the call to be on its way. */
	usleep(50000);
	printf("worked %ld\n", work(arguments[2], CALLS));
	fflush(stdout);
	if (newcomers > 0) {
		sigwait(&go, &number);
		for (long i = 0; i < newcomers; i++) {
			pthread_t newcomer;
			must(pthread_create(&newcomer, NULL, come, (void *)i), "pthread_create");
			pthread_detach(newcomer);
		}
		usleep(50000);
		printf("beside newcomers %ld\n", work(arguments[2], CALLS));
		fflush(stdout);
	}
	while (!answered) {
		work(arguments[2], 2);
		usleep(1000);
	}
	pthread_join(waiter, NULL);
	return 0;
}
