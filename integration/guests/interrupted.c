/*
 * Makes a directory that takes its time while signals come. Usage: interrupted HOW DIRECTORY
 *
 * HOW is what becomes of SIGUSR1: a handler without SA_RESTART (`handler`) or with it (`restart`), `blocked`,
 * `ignored`; or `thread`: a second thread makes the directory, the handler says which thread it is in, and the
 * first thread answers SIGUSR2 with a SIGUSR1 for the second one alone.
 *
 * Prints what the call returned, and how many signals were handled by then.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile int handled;
static const char *directory;
static pthread_t second;

static void handle(int number)
{
	(void)number;
	handled++;
}

static void say_where(int number)
{
	const char *where = syscall(SYS_gettid) == getpid() ? "first\n" : "second\n";
	handle(number);
	if (write(1, where, strlen(where)) < 0)
		_exit(1);
}

static void hand_on(int number)
{
	(void)number;
	pthread_kill(second, SIGUSR1);
}

static void on(int number, void (*handler)(int), int flags)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
	sigaction(number, &action, NULL);
}

/* The first calls may be the kernel's, and with --fast trapped, while the supervisor gets to know the mount. */
static void come_to_know(void)
{
	char absent[4096];
	int parent = strrchr(directory, '/') - directory;
	snprintf(absent, sizeof absent, "%.*s/absent/below", parent, directory);
	for (int i = 0; i < 40; i++) {
		mkdir(absent, 0755);
		usleep(1000);
	}
}

static void *call(void *unused)
{
	(void)unused;
	int result = mkdir(directory, 0755);
	const char *became = result == 0 ? "0" : strerrorname_np(errno);
	printf("%s after %d\n", became, handled);
	fflush(stdout);
	return NULL;
}

int main(int count, char **arguments)
{
	if (count != 3)
		return 2;
	directory = arguments[2];
	/* Whoever runs the tests may ignore it. */
	signal(SIGINT, SIG_DFL);
	const char *how = arguments[1];
	come_to_know();
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	if (strcmp(how, "handler") == 0) {
		on(SIGUSR1, handle, 0);
	} else if (strcmp(how, "restart") == 0) {
		on(SIGUSR1, handle, SA_RESTART);
	} else if (strcmp(how, "ignored") == 0) {
		on(SIGUSR1, SIG_IGN, 0);
	} else if (strcmp(how, "blocked") == 0) {
		on(SIGUSR1, handle, 0);
		sigprocmask(SIG_BLOCK, &set, NULL);
	} else if (strcmp(how, "thread") == 0) {
		on(SIGUSR1, say_where, SA_RESTART);
		on(SIGUSR2, hand_on, SA_RESTART);
		if (pthread_create(&second, NULL, call, NULL) != 0)
			return 1;
		pthread_join(second, NULL);
		return 0;
	} else {
		return 2;
	}
	call(NULL);
	return 0;
}
