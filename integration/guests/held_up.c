/*
 * Threads that make and remove directories, while another one's call has a path whose page cannot be read: it is
 * of a file whose file system stands still. Prints "all go on", and then what became of that call.
 *
 * Usage: held_up DIRECTORY FILE PID THREADS     PID serves FILE, which names a directory that is not there
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

enum { THREADS = 16, MILLISECOND = 1000 };

static atomic_ulong rounds[THREADS];
static atomic_int stop;
static const char *unreadable;

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

static void *held_up(void *argument)
{
	rmdir(unreadable);
	*(int *)argument = errno;
	return NULL;
}

int main(int count, char **arguments)
{
	pthread_t threads[THREADS + 1];
	unsigned long before[THREADS];
	int error = 0, stands = -1;
	int file = count == 5 ? open(arguments[2], O_RDONLY) : -1;
	pid_t server = count == 5 ? atoi(arguments[3]) : 0;
	int number = count == 5 ? atoi(arguments[4]) % (THREADS + 1) : 0;
	unreadable = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0);
	if (file < 0 || unreadable == MAP_FAILED || chdir(arguments[1]) != 0)
		return 2;
	for (int i = 0; i < number; i++)
		if (pthread_create(&threads[i], NULL, work, &rounds[i]) != 0)
			return 2;
	/* Until the supervisor has seen that they call at once. */
	usleep(100 * MILLISECOND);
	kill(server, SIGSTOP);
	if (pthread_create(&threads[THREADS], NULL, held_up, &error) != 0)
		return 2;
	/* Until it has called. */
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
	pthread_join(threads[THREADS], NULL);
	if (stands < 0)
		puts("all go on");
	else
		printf("thread %d stands still\n", stands);
	puts(strerrorname_np(error));
	return 0;
}
