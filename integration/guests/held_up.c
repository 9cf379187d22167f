/*
 * Threads that make and remove directories, while one's call has a path that cannot be read, and another one's
 * a buffer that cannot be written: they are pages of a file whose file system stands still. Prints "all go on",
 * and then what became of those calls.
 *
 * Usage: held_up DIRECTORY FILE PID THREADS     PID serves FILE: a page with a name of nothing, and another page
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { THREADS = 16, MILLISECOND = 1000, PAGE = 4096 };

static atomic_ulong rounds[THREADS];
static atomic_int stop;
static char *pages;

static void *work(void *argument)
{
	atomic_ulong *done = argument;
	char name[32];
	snprintf(name, sizeof name, "d%td", done - rounds);
	while (!stop) {
		if (mkdir(name, 0777) != 0 || rmdir(name) != 0) {
			perror(name);
			_exit(1);
		}
		++*done;
	}
	return NULL;
}

static void *unreadable(void *argument)
{
	rmdir(pages);
	*(int *)argument = errno;
	return NULL;
}

static void *unwritable(void *argument)
{
	*(long *)argument = readlink("link", pages + PAGE, PAGE);
	return NULL;
}

int main(int count, char **arguments)
{
	pthread_t threads[THREADS], reads, writes;
	unsigned long before[THREADS];
	int error = 0, stands = -1;
	long length = 0;
	int file = count == 5 ? open(arguments[2], O_RDONLY) : -1;
	pid_t server = count == 5 ? atoi(arguments[3]) : 0;
	int number = count == 5 ? atoi(arguments[4]) % (THREADS + 1) : 0;
	pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	if (file < 0 || pages == MAP_FAILED || chdir(arguments[1]) != 0)
		return 2;
	if (symlink("target", "link") != 0 && errno != EEXIST)
		return 2;
	for (int i = 0; i < number; i++)
		if (pthread_create(&threads[i], NULL, work, &rounds[i]) != 0)
			return 2;
	/* Until the supervisor has seen that they call at once. */
	usleep(100 * MILLISECOND);
	kill(server, SIGSTOP);
	if (pthread_create(&reads, NULL, unreadable, &error) != 0 || pthread_create(&writes, NULL, unwritable, &length) != 0)
		return 2;
	/* Until they have called. */
	usleep(100 * MILLISECOND);
	for (int i = 0; i < number; i++)
		before[i] = rounds[i];
	sleep(1);
	for (int i = 0; i < number; i++)
		stands = rounds[i] == before[i] ? i : stands;
	kill(server, SIGCONT);
	stop = 1;
	for (int i = 0; i < number; i++)
		pthread_join(threads[i], NULL);
	pthread_join(reads, NULL);
	pthread_join(writes, NULL);
	if (stands < 0)
		puts("all go on");
	else
		printf("thread %d stands still\n", stands);
	printf("%s, %.*s\n", strerrorname_np(error), (int)length, pages + PAGE);
	return 0;
}
