/*
 * Makes every call again and again, and looks what a call must never do, whoever answers it: write outside the
 * buffer that it was given, return more than there is room for, or fail with an errno that is none. Usage: wary
 * DIRECTORY ROUNDS [CALL]; of the first round only what comes from CALL on. What the calls say otherwise does not
 * matter.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 16, STAT = 144, STATFS = 120, STATX = 256, MOST = 65536, MARK = 0xA5, MARGIN = MOST + 512 };

static unsigned char area[512 + 512 + MARGIN];
static unsigned char *const buffer = area + 512;
static long calls, longest, skipped;
static int faults;

static long now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* A call that may write `room` bytes and return `most`. */
static void check(const char *name, long room, long most, long number, long a, long b, long c, long d, long e)
{
	if (skipped-- > 0)
		return;
	long begin = now();
	errno = 0;
	long result = syscall(number, a, b, c, d, e);
	int error = errno;
	long took = now() - begin;
	longest = took > longest ? took : longest;
	calls++;
	if (result < -1 || result > most || (result == -1 && (error < 1 || error > 511))) {
		printf("%s: returned %ld, errno %d\n", name, result, error);
		faults++;
	}
	for (long i = -512; i < 512 + MARGIN; i++)
		if ((i < 0 || i >= room) && buffer[i] != MARK) {
			printf("%s: wrote at %ld of %ld bytes\n", name, i, room);
			faults++;
			break;
		}
	memset(area, MARK, sizeof area);
}

#define CALL(name, room, most, ...) check(#name, room, most, SYS_##name, __VA_ARGS__)
#define NONE 0, 0

int main(int count, char **arguments)
{
	if (count < 3 || chdir(arguments[1]) != 0)
		return 2;
	skipped = count > 3 ? atol(arguments[3]) : 0;
	memset(area, MARK, sizeof area);
	long here = AT_FDCWD, file = (long)"file", other = (long)"other", link = (long)"link", dir = (long)"dir";
	long name = (long)"user.name", into = (long)buffer, link_only = AT_SYMLINK_NOFOLLOW;
	for (long round = 0; round < atol(arguments[2]); round++) {
		CALL(mknodat, NONE, here, file, S_IFREG | 0644, 0, 0);
		CALL(mkdirat, NONE, here, dir, 0755, 0, 0);
		CALL(symlinkat, NONE, (long)"a target of more than sixteen bytes", here, link, 0, 0);
		CALL(linkat, NONE, here, file, here, other, 0);
		CALL(fchmodat, NONE, here, file, 0600, 0, 0);
		CALL(fchownat, NONE, here, link, 0, 0, link_only);
		CALL(truncate, NONE, file, 100, 0, 0, 0);
		CALL(utimensat, NONE, here, file, 0, 0, 0);
		CALL(setxattr, NONE, file, name, (long)"a value of more than sixteen bytes", 34, 0);
		CALL(newfstatat, STAT, 0, here, file, into, 0, 0);
		CALL(statx, STATX, 0, here, file, 0, STATX_BASIC_STATS, into);
		CALL(statfs, STATFS, 0, file, into, 0, 0, 0);
		CALL(faccessat, NONE, here, file, R_OK, 0, 0);
		CALL(readlinkat, ROOM, ROOM, here, link, into, ROOM, 0);
		CALL(getxattr, ROOM, ROOM, file, name, into, ROOM, 0);
		CALL(getxattr, 0, MOST, file, name, into, 0, 0);
		CALL(listxattr, ROOM, ROOM, file, into, ROOM, 0, 0);
		CALL(listxattr, 0, MOST, file, into, 0, 0, 0);
		CALL(removexattr, NONE, file, name, 0, 0, 0);
		CALL(renameat, NONE, here, other, here, (long)"moved", 0);
		CALL(unlink, NONE, (long)"moved", 0, 0, 0, 0);
		CALL(unlinkat, NONE, here, link, 0, 0, 0);
		CALL(unlinkat, NONE, here, file, 0, 0, 0);
		CALL(rmdir, NONE, dir, 0, 0, 0, 0);
	}
	printf("calls %ld longest %ld\n", calls, longest);
	return faults != 0;
}
