/*
 * Every path-changing call and every look-up that may be bypassed, in all its variants (x86-64), good and
 * bad. The includer gives `kernel`, which makes a raw system call and returns what the kernel does
 * (-errno on failure), and `say`, which prints one line. No libc is needed here.
 */
#ifndef EVERY_CALL_H
#define EVERY_CALL_H

#include <sys/syscall.h>

#ifndef SYS_faccessat2
#define SYS_faccessat2 439
#endif
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

long kernel(long number, long a, long b, long c, long d, long e);
void say(const char *name, long result);

enum { CWD = -100, NOFOLLOW = 0x100, REMOVEDIR = 0x200, EACCESS = 0x200, FOLLOW = 0x400, NOREPLACE = 1, EXCHANGE = 2 };

static char result_buffer[4096];

static long number_at(int offset, int width)
{
	unsigned long value = 0;
	for (int i = width - 1; i >= 0; i--)
		value = value << 8 | (unsigned char)result_buffer[offset + i];
	return (long)value;
}

/* Offsets of struct stat and struct statx: the ABI of x86-64 (asm/stat.h, linux/stat.h). */
static void say_stat(void)
{
	say(" nlink", number_at(16, 8));
	say(" mode", number_at(24, 4));
	say(" uid", number_at(28, 4));
	say(" gid", number_at(32, 4));
	say(" rdev", number_at(40, 8));
	/* The size of a directory is its file system's affair. */
	if ((number_at(24, 4) & 0170000) != 0040000)
		say(" size", number_at(48, 8));
	if (number_at(88, 8) < 1000000000)
		say(" mtime", number_at(88, 8));
}

static void say_statx(void)
{
	say(" nlink", number_at(16, 4));
	say(" uid", number_at(20, 4));
	say(" gid", number_at(24, 4));
	say(" mode", number_at(28, 2));
	if ((number_at(28, 2) & 0170000) != 0040000)
		say(" size", number_at(40, 8));
}

static void say_bytes(long length)
{
	unsigned long sum = 0;
	for (long i = 0; i < length; i++)
		sum = sum * 31 + (unsigned char)result_buffer[i];
	say(" bytes", (long)(sum & 0xffffff));
}

static long call(const char *name, long number, long a, long b, long c, long d, long e)
{
	long result = kernel(number, a, b, c, d, e);
	say(name, result);
	return result;
}

#define P(x) ((long)(x))
#define C0(n, a) call(#n, SYS_##n, P(a), 0, 0, 0, 0)
#define C1(n, a, b) call(#n, SYS_##n, P(a), P(b), 0, 0, 0)
#define C2(n, a, b, c) call(#n, SYS_##n, P(a), P(b), P(c), 0, 0)
#define C3(n, a, b, c, d) call(#n, SYS_##n, P(a), P(b), P(c), P(d), 0)
#define C4(n, a, b, c, d, e) call(#n, SYS_##n, P(a), P(b), P(c), P(d), P(e))

static void make(long dir)
{
	/* S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR (null) */
	C2(mknod, "file", 0100644, 0);
	C3(mknodat, dir, "pipe", 0010600, 0);
	C3(mknodat, dir, "socket", 0140600, 0);
	C3(mknodat, dir, "null", 0020666, 0x103);
	C2(mknod, "file", 0100644, 0);
	C2(mknod, "dir-as-node", 0040755, 0);
	C1(mkdir, "d", 0755);
	C1(mkdir, "d/", 0755);
	C2(mkdirat, dir, "d/e/", 0700);
	C2(mkdirat, dir, "missing/e", 0700);
	C1(symlink, "file", "link");
	C1(symlink, "", "empty");
	C2(symlinkat, "../file", dir, "d/up");
	C2(symlinkat, "loop", dir, "loop");
	C2(symlinkat, "nowhere", dir, "dangling");
	C1(link, "file", "hard");
	C4(linkat, dir, "link", dir, "hard-of-link", 0);
	C4(linkat, dir, "link", dir, "hard-of-file", FOLLOW);
	C4(linkat, dir, "d", dir, "hard-of-dir", 0);
	C4(linkat, dir, "file", dir, "x", 0x8000);
}

static void look_at(long dir)
{
	char *buffer = result_buffer;
	if (C1(stat, "file", buffer) == 0)
		say_stat();
	if (C1(stat, "link", buffer) == 0)
		say_stat();
	if (C1(lstat, "link", buffer) == 0)
		say_stat();
	if (C1(lstat, "null", buffer) == 0)
		say_stat();
	C1(stat, "loop", buffer);
	C1(stat, "file/", buffer);
	C1(stat, "file", 8);
	C1(stat, 8, buffer);
	if (C3(newfstatat, dir, "d/up", buffer, 0) == 0)
		say_stat();
	if (C3(newfstatat, dir, "d/up", buffer, NOFOLLOW) == 0)
		say_stat();
	C3(newfstatat, dir, "d/up", buffer, 0x8000);
	if (C4(statx, dir, "d/../file", 0, 0x7ff, buffer) == 0)
		say_statx();
	if (C4(statx, CWD, "dangling", NOFOLLOW, 0x7ff, buffer) == 0)
		say_statx();
	C4(statx, CWD, "dangling", 0, 0x7ff, buffer);
	C1(access, "file", 4);
	C1(access, "file", 1);
	C1(access, "file", 8);
	C2(faccessat, dir, "link", 2);
	C3(faccessat2, dir, "d", 1, EACCESS);
	C3(faccessat2, dir, "dangling", 0, NOFOLLOW);
	C3(faccessat2, dir, "dangling", 0, 0);
	say_bytes(C2(readlink, "link", buffer, 4096));
	say_bytes(C2(readlink, "link", buffer, 2));
	C2(readlink, "file", buffer, 4096);
	C2(readlink, "link", buffer, 0);
	say_bytes(C3(readlinkat, dir, "d/up", buffer, 4096));
	C1(statfs, "d/e", buffer);
	C1(statfs, "missing", buffer);
}

static void attributes(void)
{
	char *buffer = result_buffer;
	C4(setxattr, "link", "user.one", "value", 5, 0);
	C4(setxattr, "file", "user.one", "again", 5, 1);
	C4(setxattr, "file", "user.two", "again", 5, 2);
	C4(lsetxattr, "d", "user.three", "", 0, 0);
	C4(lsetxattr, "link", "user.four", "x", 1, 0);
	C4(setxattr, "file", "nonsense", "x", 1, 0);
	C4(setxattr, "file", "", "x", 1, 0);
	say_bytes(C3(getxattr, "link", "user.one", buffer, 64));
	C3(getxattr, "file", "user.one", buffer, 2);
	C3(getxattr, "file", "user.one", buffer, 0);
	C3(getxattr, "file", "user.none", buffer, 64);
	C3(lgetxattr, "d", "user.three", buffer, 64);
	C3(lgetxattr, "link", "user.one", buffer, 64);
	say_bytes(C2(listxattr, "link", buffer, 4096));
	C2(listxattr, "file", buffer, 3);
	C2(llistxattr, "file", buffer, 0);
	C2(llistxattr, "link", buffer, 64);
	C1(removexattr, "link", "user.one");
	C1(removexattr, "file", "user.one");
	C1(lremovexattr, "d", "user.three");
	C1(lremovexattr, "missing", "user.three");
}

/* Owner, mode and size of nodes that the kernel never saw; those of others stay with the kernel. */
static void change_unseen(long dir)
{
	C2(mkdirat, dir, "unseen", 0755);
	C3(mknodat, dir, "unseen/f", 0100644, 0);
	C2(symlinkat, "f", dir, "unseen/s");
	C1(chmod, "unseen/s", 0600);
	C2(fchmodat, dir, "unseen/f", 04755);
	C3(fchmodat2, dir, "unseen/s", 0640, 0);
	C2(chown, "unseen/s", 12, 13);
	C2(lchown, "unseen/s", 14, 15);
	C4(fchownat, dir, "unseen/f", -1, 17, 0);
	C1(truncate, "unseen/s", 10000);
}

static void change(long dir)
{
	char *buffer = result_buffer;
	static const long past[4] = {1000, 0, 2000, 0};
	static const long fine[4] = {3000, 7, 4000, 8};
	static const long wrong[4] = {1, -1, 1, 2000000000};
	static const long omit[4] = {0, (1 << 30) - 2, 5000, 9};
	C1(chmod, "link", 0600);
	C1(chmod, "missing", 0600);
	C2(fchmodat, dir, "d/up", 04755);
	C3(fchmodat2, dir, "file", 0640, NOFOLLOW);
	C3(fchmodat2, dir, "link", 0640, NOFOLLOW);
	C3(fchmodat2, dir, "d", 02750, 0);
	C2(chown, "link", 12, 13);
	C2(lchown, "link", 14, 15);
	C2(lchown, "missing", 14, 15);
	C4(fchownat, dir, "hard", -1, 17, 0);
	C4(fchownat, dir, "link", 18, -1, NOFOLLOW);
	if (C1(lstat, "link", buffer) == 0)
		say_stat();
	C1(truncate, "link", 10000);
	C1(truncate, "file", 100);
	C1(truncate, "file", -1);
	C1(truncate, "d", 0);
	C1(utime, "file", past);
	C1(stat, "file", buffer);
	say_stat();
	C1(utimes, "link", past);
	C1(stat, "file", buffer);
	say_stat();
	C2(futimesat, dir, "d", past);
	C3(utimensat, dir, "file", fine, 0);
	C3(utimensat, dir, "link", omit, NOFOLLOW);
	C1(lstat, "link", buffer);
	say_stat();
	C3(utimensat, dir, "file", wrong, 0);
	C3(utimensat, dir, "file", 8, 0);
	C3(utimensat, CWD, "hard", 0, 0);
	C1(stat, "hard", buffer);
	say_stat();
}

static void move(long dir)
{
	C1(rename, "hard", "d/moved");
	C1(rename, "d", "d/e/inside");
	C1(rename, "d/e", "file");
	C1(rename, "missing", "x");
	C3(renameat, dir, "d/moved", dir, "hard");
	C3(renameat, dir, "file/", dir, "x");
	C4(renameat2, dir, "hard", dir, "file", NOREPLACE);
	C4(renameat2, dir, "pipe", dir, "pipe2", NOREPLACE);
	C4(renameat2, dir, "d/e", dir, "null", EXCHANGE);
	C4(renameat2, dir, "d/e", dir, "missing", EXCHANGE);
	C4(renameat2, dir, "d/e", dir, "null", NOREPLACE | EXCHANGE);
	C4(renameat2, dir, "d/e", dir, "null", 0x100);
}

static void take_away(long dir)
{
	C0(unlink, "socket");
	C0(unlink, "null");
	C0(unlink, "d");
	C0(unlink, "hard-of-link/");
	C0(unlink, "hard-of-link");
	C2(unlinkat, dir, "empty", 0);
	C2(unlinkat, dir, "loop", 0);
	C2(unlinkat, dir, "d/e", 0);
	C2(unlinkat, dir, "d/e", 1);
	C0(rmdir, "d");
	C0(rmdir, "d/.");
	C0(rmdir, "file");
	C1(mkdir, "gone", 0755);
	C0(rmdir, "gone/");
	C1(mkdir, "gone", 0755);
	C2(unlinkat, dir, "gone", REMOVEDIR);
	C2(unlinkat, dir, "file", REMOVEDIR);
	C2(unlinkat, 77, "file", 0);
	C2(unlinkat, CWD, 8, 0);
}

/* Expects the working directory to be empty, and `dir` to be open on it. */
static void every_call(long dir)
{
	make(dir);
	look_at(dir);
	attributes();
	change_unseen(dir);
	change(dir);
	move(dir);
	take_away(dir);
}

#endif
