/*
 * Makes one directory in each kind of process and thread that a program may start. Usage: family DIRECTORY;
 * with a second argument, it is one that was started: it makes a directory of that name and, as long as the
 * name ends in digits above 0, executes itself for the number before.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void make(const char *name)
{
	if (mkdir(name, 0755) != 0) {
		fprintf(stderr, "%s: %s\n", name, strerror(errno));
		_exit(1);
	}
}

static void *thread(void *name)
{
	make(name);
	return NULL;
}

static int started(char **arguments)
{
	char *name = arguments[2], *last = name + strlen(name) - 1;
	make(name);
	if (*last > '0' && *last <= '9') {
		--*last;
		execv("/proc/self/exe", arguments);
		return 1;
	}
	return 0;
}

static int wait_for(pid_t child)
{
	int status = 1;
	if (child <= 0 || waitpid(child, &status, 0) != child)
		return 1;
	return status != 0;
}

int main(int count, char **arguments)
{
	/* vfork returns twice. */
	volatile int failed = 0;
	if (count < 2 || chdir(arguments[1]) != 0)
		return 2;
	if (count > 2)
		return started(arguments);
	make("first");

	pthread_t id;
	pthread_create(&id, NULL, thread, "thread");
	pthread_join(id, NULL);

	pid_t child = fork();
	if (child == 0) {
		make("child");
		pid_t grandchild = fork();
		if (grandchild == 0) {
			make("grandchild");
			pthread_create(&id, NULL, thread, "its-thread");
			pthread_join(id, NULL);
			_exit(0);
		}
		_exit(wait_for(grandchild));
	}
	failed |= wait_for(child);

	/* In the memory of its parent. */
	child = vfork();
	if (child == 0) {
		make("vfork");
		execl("/proc/self/exe", "family", ".", "vfork-exec", NULL);
		_exit(1);
	}
	failed |= wait_for(child);

	char *chain[] = {"family", ".", "chain-3", NULL};
	failed |= posix_spawn(&child, "/proc/self/exe", NULL, NULL, chain, environ) != 0;
	failed |= wait_for(child);

	/* Nobody waits for this one but its reaper. */
	int ends[2];
	char byte;
	if (pipe(ends) != 0)
		return 1;
	child = fork();
	if (child == 0) {
		if (fork() == 0) {
			setsid();
			make("orphan");
			_exit(0);
		}
		_exit(0);
	}
	failed |= wait_for(child);
	close(ends[1]);
	failed |= read(ends[0], &byte, 1) != 0;
	puts(failed ? "failed" : "done");
	return failed;
}
