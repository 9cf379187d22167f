/*
 * Many threads and processes at once, each in a directory of its own and all in a shared one. Any way they
 * interleave, the tree left behind is the same: of each three rounds, the file of the first.
 *
 * Usage: busy DIRECTORY PROCESSES THREADS ROUNDS FIRST
 * The processes are numbered from FIRST; `shared` may be there already.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int rounds, process;

static void must(int result, const char *call, const char *path)
{
	if (result != 0) {
		printf("%s %s: %s\n", call, path, strerror(errno));
		fflush(stdout);
		_exit(1);
	}
}

/* All want the same name; whoever has it does as it likes, and only its own errors count. */
static void quarrel(int round)
{
	char common[64], other[64];
	snprintf(common, sizeof common, "shared/common-%d", round % 4);
	snprintf(other, sizeof other, "shared/other-%d", round % 3);
	int made = mkdir(common, 0755);
	if (made != 0 && errno != EEXIST)
		must(made, "mkdir", common);
	int moved = rename(common, other);
	if (moved != 0 && errno != ENOENT && errno != EEXIST && errno != ENOTEMPTY)
		must(moved, "rename", common);
	int removed = rmdir(other);
	if (removed != 0 && errno != ENOENT)
		must(removed, "rmdir", other);
}

static void own(const char *dir, int thread, int round)
{
	char a[96], b[96], c[96];
	struct stat status;
	snprintf(a, sizeof a, "%s/%d-%d-%d", dir, process, thread, round);
	snprintf(b, sizeof b, "%s/%d-%d-%d.moved", dir, process, thread, round);
	snprintf(c, sizeof c, "%s/%d-%d-%d.link", dir, process, thread, round);
	must(mknod(a, S_IFREG | 0644, 0), "mknod", a);
	must(link(a, c), "link", c);
	must(rename(a, b), "rename", a);
	must(stat(b, &status), "stat", b);
	if (status.st_nlink != 2 || lstat(a, &status) == 0) {
		printf("%s: not as it was left\n", b);
		fflush(stdout);
		_exit(1);
	}
	must(unlink(c), "unlink", c);
	if (round % 3)
		must(unlink(b), "unlink", b);
	else
		must(chmod(b, 0600), "chmod", b);
}

static void *work(void *number)
{
	int thread = (int)(long)number;
	char dir[64];
	snprintf(dir, sizeof dir, "own-%d-%d", process, thread);
	must(mkdir(dir, 0755), "mkdir", dir);
	for (int round = 0; round < rounds; round++) {
		own(dir, thread, round);
		own("shared", thread, round);
		quarrel(round);
	}
	return NULL;
}

static int work_in_threads(int threads)
{
	pthread_t ids[64];
	for (long i = 0; i < threads; i++)
		if (pthread_create(&ids[i], NULL, work, (void *)i) != 0)
			return 1;
	for (int i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	return 0;
}

int main(int count, char **arguments)
{
	if (count != 6 || chdir(arguments[1]) != 0)
		return 2;
	int processes = atoi(arguments[2]), threads = atoi(arguments[3]), failed = 0;
	rounds = atoi(arguments[4]);
	int first = atoi(arguments[5]), made = mkdir("shared", 0755);
	if (made != 0 && errno != EEXIST)
		must(made, "mkdir", "shared");
	for (process = first; process < first + processes; process++) {
		pid_t child = fork();
		if (child == 0)
			return work_in_threads(threads);
		failed |= child < 0;
	}
	for (int status; wait(&status) > 0;)
		failed |= status != 0;
	for (int i = 0; i < 4; i++) {
		char left[64];
		snprintf(left, sizeof left, "shared/common-%d", i);
		rmdir(left);
		snprintf(left, sizeof left, "shared/other-%d", i);
		rmdir(left);
	}
	puts(failed ? "failed" : "done");
	return failed;
}
