/* Every call through a libc: built with glibc (static and dynamic) and with musl. Usage: calls DIRECTORY */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

#include "every_call.h"

long kernel(long number, long a, long b, long c, long d, long e)
{
	long result = syscall(number, a, b, c, d, e, 0L);
	return result == -1 ? -errno : result;
}

void say(const char *name, long result)
{
	if (result < 0 && result > -4096)
		printf("%s -1 %ld\n", name, -result);
	else
		printf("%s %ld 0\n", name, result);
}

/* What libc makes of a call: it chooses the system call itself. */
#define LIBC(call) say(#call, (call) == -1 ? -errno : 0)

static void through_libc(int dir)
{
	struct stat status;
	struct statvfs space;
	char text[64];
	struct timeval past[2] = {{1000, 0}, {2000, 5}};
	LIBC(mkdir("libc", 0755));
	LIBC(mkdirat(dir, "libc/d", 0711));
	LIBC(close(open("libc/f", O_CREAT | O_WRONLY, 0644)));
	LIBC(mkfifo("libc/p", 0600));
	LIBC(mknod("libc/n", S_IFREG | 0600, 0));
	LIBC(symlink("f", "libc/s"));
	LIBC(link("libc/f", "libc/h"));
	LIBC(linkat(dir, "libc/s", dir, "libc/i", AT_SYMLINK_FOLLOW));
	LIBC(stat("libc/s", &status));
	printf("%o %d %d\n", status.st_mode, (int)status.st_nlink, (int)status.st_size);
	LIBC(lstat("libc/s", &status));
	printf("%o %d %d\n", status.st_mode, (int)status.st_nlink, (int)status.st_size);
	LIBC(fstatat(dir, "libc/none", &status, 0));
	LIBC(access("libc/f", R_OK));
	LIBC(faccessat(dir, "libc/f", X_OK, AT_EACCESS));
	LIBC(faccessat(dir, "libc/f", R_OK, 0));
	LIBC(readlink("libc/s", text, sizeof text));
	LIBC(statvfs("libc", &space));
	LIBC(chmod("libc/f", 0600));
	LIBC(fchmodat(dir, "libc/f", 0660, 0));
	LIBC(chown("libc/f", 1, 2));
	LIBC(lchown("libc/s", 1, 2));
	LIBC(truncate("libc/f", 77));
	LIBC(utimes("libc/f", past));
	LIBC(utime("libc/f", &(struct utimbuf){10, 20}));
	LIBC(utimensat(dir, "libc/s", &(struct timespec[2]){{1, 2}, {3, 4}}[0], AT_SYMLINK_NOFOLLOW));
	LIBC(setxattr("libc/f", "user.libc", "v", 1, 0));
	LIBC(getxattr("libc/f", "user.libc", text, sizeof text));
	LIBC(listxattr("libc/f", text, sizeof text));
	LIBC(removexattr("libc/f", "user.libc"));
	LIBC(rename("libc/f", "libc/g"));
	LIBC(renameat(dir, "libc/g", dir, "libc/f"));
	LIBC(remove("libc/i"));
	LIBC(rmdir("libc"));
	LIBC(unlinkat(dir, "libc/d", AT_REMOVEDIR));
}

static void *in_a_thread(void *name)
{
	char path[64];
	long made = 0;
	for (int i = 0; i < 20; i++) {
		snprintf(path, sizeof path, "thread-%s-%d", (char *)name, i);
		made += mkdir(path, 0755) == 0;
		if (i % 2)
			made += rmdir(path) == 0;
	}
	return (void *)made;
}

static void through_threads(void)
{
	static char *names[4] = {"a", "b", "c", "d"};
	pthread_t threads[4];
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, in_a_thread, names[i]);
	for (int i = 0; i < 4; i++) {
		void *made = NULL;
		pthread_join(threads[i], &made);
		say("thread", (long)made);
	}
}

static void under_a_limit(void)
{
	struct rlimit none, limit;
	getrlimit(RLIMIT_FSIZE, &none);
	limit = none;
	limit.rlim_cur = 1000;
	signal(SIGXFSZ, SIG_IGN);
	LIBC(mknod("limited", S_IFREG | 0600, 0));
	LIBC(truncate("limited", 3000));
	/* Standard output may be a file. */
	fflush(stdout);
	setrlimit(RLIMIT_FSIZE, &limit);
	LIBC(truncate("limited", 2000));
	LIBC(truncate("limited", 2001));
	LIBC(truncate("limited", 900));
	LIBC(truncate("limited", 1000));
	setrlimit(RLIMIT_FSIZE, &none);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
	(void)status, (void)kind, (void)where;
	return remove(path);
}

static void one_round(void)
{
	int dir = open(".", O_RDONLY | O_DIRECTORY);
	every_call(dir);
	through_libc(dir);
	close(dir);
	through_threads();
	under_a_limit();
	LIBC(mkdir("tree", 0755));
	LIBC(mkdir("tree/a", 0755));
	LIBC(symlink("nowhere", "tree/a/b"));
	LIBC(nftw("tree", remove_one, 8, FTW_DEPTH | FTW_PHYS));
}

/* Later rounds are made in directories of their own, by code that has been run before. */
int main(int count, char **arguments)
{
	if (count < 2 || chdir(arguments[1]) != 0) {
		perror("calls");
		return 2;
	}
	umask(027);
	one_round();
	for (int round = count > 2 ? atoi(arguments[2]) : 1; round > 1; round--) {
		LIBC(mkdir("round", 0755));
		if (chdir("round") != 0)
			return 2;
		one_round();
	}
	return 0;
}
