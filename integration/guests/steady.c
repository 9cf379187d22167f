/*
 * Makes, renames and removes until it is done, and says what it could not do. Usage: steady DIRECTORY ROUNDS
 *
 * A call that was on its way when a supervisor died answers EIO: it may have been done or not. So after EIO
 * the guest looks, and does what is still to be done; such calls are counted as unsure.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int unsure;

static int is_there(const char *path)
{
	struct stat status;
	return lstat(path, &status) == 0;
}

static void must(int result, const char *call, const char *path)
{
	if (result != 0) {
		printf("%s %s: %s\n", call, path, strerrorname_np(errno));
		exit(1);
	}
}

enum call { MKDIR, RENAME, RMDIR };

static int make_call(enum call call, const char *path, const char *to)
{
	return call == MKDIR ? mkdir(path, 0755) : call == RENAME ? rename(path, to) : rmdir(path);
}

static void act(enum call call, const char *path, const char *to)
{
	static const char *names[] = {"mkdir", "rename", "rmdir"};
	int result = make_call(call, path, to);
	if (result != 0 && errno == EIO) {
		unsure++;
		int is_done = call == MKDIR ? is_there(path) : call == RENAME ? is_there(to) : !is_there(path);
		result = is_done ? 0 : make_call(call, path, to);
	}
	must(result, names[call], path);
}

int main(int count, char **arguments)
{
	if (count != 3 || chdir(arguments[1]) != 0)
		return 2;
	long rounds = atol(arguments[2]);
	for (long round = 0; round < rounds; round++) {
		char a[64], b[64];
		snprintf(a, sizeof a, "%ld", round);
		snprintf(b, sizeof b, "%ld.moved", round);
		act(MKDIR, a, NULL);
		act(RENAME, a, b);
		if (round % 10)
			act(RMDIR, b, NULL);
		if (round % 100 == 0) {
			printf("%ld\n", round);
			fflush(stdout);
		}
	}
	printf("done, unsure of %d\n", unsure);
	return 0;
}
