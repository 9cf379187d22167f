/*
 * Four threads start children in every way that there is, as fast as they can; each child changes a directory,
 * and the thread undoes it. Usage: spawn_storm DIRECTORY COUNT
 *
 * COUNT is for each thread; it prints how many of each way went well. As `spawn_storm made NAME` it is one of
 * the children.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 4, WAYS = 4 };

extern char **environ;

static long count, well[WAYS];

static int make(const char *name)
{
	char other[64];
	snprintf(other, sizeof other, "%s.new", name);
	return mkdir(other, 0700) != 0 || rename(other, name) != 0;
}

static pid_t spawned(char *name)
{
	char out[64], *arguments[] = {"spawn_storm", "made", name, NULL};
	posix_spawn_file_actions_t actions;
	pid_t child = -1;
	snprintf(out, sizeof out, "%s.out", name);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, out, O_CREAT | O_EXCL | O_WRONLY, 0640);
	int error = posix_spawn(&child, "/proc/self/exe", &actions, NULL, arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	errno = error;
	return error == 0 ? child : -1;
}

static pid_t started(long way, char *name)
{
	char *arguments[] = {"spawn_storm", "made", name, NULL};
	if (way == 0)
		return spawned(name);
	/* What a vforked child may do is less than this in theory; a mkdir on shared memory is the point. */
	pid_t child = way == 3 ? fork() : vfork();
	if (child == 0) {
		if (way == 2)
			execv("/proc/self/exe", arguments);
		_exit(way == 2 || make(name));
	}
	return child;
}

static int undone(long way, const char *name)
{
	char out[64];
	struct stat of_out;
	snprintf(out, sizeof out, "%s.out", name);
	if (way == 0 && (stat(out, &of_out) != 0 || of_out.st_size != 5 || unlink(out) != 0))
		return -1;
	return rmdir(name);
}

static void *storm(void *number)
{
	for (long i = 0; i < count; i++) {
		char name[32];
		int status = -1;
		long way = i % WAYS;
		snprintf(name, sizeof name, "%ld-%ld", (long)number, i);
		pid_t child = started(way, name);
		if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
			printf("way %ld, %s: status %x, %s\n", way, name, status, strerror(errno));
			continue;
		}
		/* The last of each way stay. */
		if (i < count - WAYS && undone(way, name) != 0)
			printf("way %ld, %s: %s\n", way, name, strerror(errno));
		__atomic_add_fetch(&well[way], 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

int main(int arguments_count, char **arguments)
{
	pthread_t threads[THREADS];
	if (arguments_count != 3)
		return 2;
	if (strcmp(arguments[1], "made") == 0)
		return printf("made\n") != 5 || make(arguments[2]);
	count = atol(arguments[2]);
	if (chdir(arguments[1]) != 0)
		return 2;
	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, storm, (void *)i) != 0)
			return 2;
	for (long i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (long way = 0; way < WAYS; way++)
		printf("way %ld: %ld\n", way, well[way]);
	return 0;
}
