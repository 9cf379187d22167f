/*
 * Makes and removes COUNT names while a timer interrupts it a thousand times a second. Each name is its own,
 * so a call that were executed twice would say EEXIST or ENOENT. Usage: storm DIRECTORY COUNT restart|interrupt
 *
 * With `interrupt` the handler is installed without SA_RESTART. Then a call may say EINTR, and is made again:
 * nothing may have happened by then. How often that was is printed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

static volatile long signals;
static long interrupted;

static void count_signal(int number)
{
	(void)number;
	signals++;
}

static int failed(int result)
{
	int again = result != 0 && errno == EINTR;
	interrupted += again;
	return again;
}

#define MUST(call)                                                                \
	do {                                                                      \
		int result;                                                       \
		do                                                                \
			result = (call);                                          \
		while (failed(result));                                           \
		if (result != 0) {                                                \
			printf("%s of %ld: %s\n", #call, i, strerrorname_np(errno)); \
			return 1;                                                 \
		}                                                                 \
	} while (0)

static int round_of(long i)
{
	char a[32], b[32];
	snprintf(a, sizeof a, "%ld", i);
	snprintf(b, sizeof b, "%ld.moved", i);
	if (i % 4 == 3) {
		MUST(mkdir(a, 0755));
		MUST(rename(a, b));
		MUST(rmdir(b));
	} else {
		MUST(mknod(a, S_IFREG | 0644, 0));
		MUST(unlink(a));
	}
	return 0;
}

int main(int count, char **arguments)
{
	if (count != 4 || chdir(arguments[1]) != 0)
		return 2;
	struct sigaction action = {.sa_handler = count_signal};
	action.sa_flags = strcmp(arguments[3], "restart") == 0 ? SA_RESTART : 0;
	struct itimerval timer = {{0, 1000}, {0, 1000}}, none = {{0, 0}, {0, 0}};
	if (sigaction(SIGALRM, &action, NULL) != 0 || setitimer(ITIMER_REAL, &timer, NULL) != 0)
		return 2;
	for (long i = 0; i < atol(arguments[2]); i++)
		if (round_of(i) != 0)
			return 1;
	setitimer(ITIMER_REAL, &none, NULL);
	printf("signals %ld\ninterrupted %ld\n", signals, interrupted);
	return 0;
}
