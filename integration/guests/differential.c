/*
 * Makes a random sequence of calls that a seed determines, and prints a line a call: what was asked, and what
 * came of it. Two file systems that behave alike give the same text.
 *
 * Usage: differential DIRECTORY SEED STEPS [switch-users]
 *
 * DIRECTORY, an absolute path, has to lie 120 directories deep: a path here holds at most 19 `..`, the
 * kernel follows at most 40 symbolic links, and none made here holds more than two; so no call reaches as far
 * up as directories of others.
 *
 * What two equal file systems may disagree in is not printed: inode and device numbers, present times, sizes
 * of directories, the order of listings.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

enum { OTHER_USER = 65534, DIRS = 4, LONG_PAST = 1000000000 };

static const char *root;
static size_t root_length;
static uint64_t state;
/* Open directories. */
static int dirs[DIRS];
/* The last bytes before a page that cannot be read. */
static char *edge;
/* A page that can only be read. */
static char *locked;

/* splitmix64 */
static uint64_t draw(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static unsigned below(unsigned limit)
{
	return (unsigned)(draw() % limit);
}

static int one_in(unsigned n)
{
	return below(n) == 0;
}

#define PICK(list) ((list)[below(sizeof(list) / sizeof *(list))])

/* ---- Names and paths ---- */

static const char *names[] = {"a", "b", "c", "d", "e", "f", "a", "b", "c"};

static void add_name(char *path, int *ups)
{
	if (one_in(90)) {
		char name[257];
		int length = one_in(2) ? 255 : 256;
		memset(name, 'n', (size_t)length);
		name[length] = 0;
		strcat(path, name);
	} else if (one_in(14) && *ups > 0) {
		--*ups;
		strcat(path, "..");
	} else if (one_in(25)) {
		strcat(path, ".");
	} else {
		strcat(path, PICK(names));
	}
}

/* A path of one to four names, now and then absolute, empty, with slashes at the end, or too long. */
static void make_path(char *path)
{
	int ups = 4;
	*path = 0;
	if (one_in(70))
		return;
	if (one_in(12)) {
		strcpy(path, root);
		strcat(path, "/");
	}
	if (one_in(400)) {
		while (strlen(path) < 4094)
			strcat(path, "./");
	} else if (one_in(60)) {
		for (int i = 0; i < 15; i++)
			strcat(path, "./a/../");
	}
	int count = 1 + (int)(below(3) * below(3));
	for (int i = 0; i < count; i++) {
		add_name(path, &ups);
		if (i + 1 < count)
			strcat(path, one_in(20) ? "//" : "/");
	}
	if (one_in(14))
		strcat(path, one_in(4) ? "//" : "/");
	if (one_in(25))
		strcat(path, "/.");
}

static const char *targets[] = {"a", "b", "../a", "..", "c", ".", "d/e", "b/", "../../a", "missing/x", "f", "a/.."};

static void make_target(char *target)
{
	if (one_in(8)) {
		strcpy(target, root);
		strcat(target, one_in(2) ? "/a" : "/b/c");
	} else if (one_in(60)) {
		memset(target, 't', 4095);
		target[one_in(2) ? 4095 : 4094] = 0;
	} else {
		strcpy(target, one_in(60) ? "" : PICK(targets));
	}
}

static int make_dir_fd(void)
{
	if (one_in(2))
		return AT_FDCWD;
	return one_in(40) ? 999 : dirs[below(DIRS)];
}

/* ---- What is printed ---- */

/* Long runs shortened, the root as @. */
static void print_path(const char *path)
{
	putchar('"');
	if (strncmp(path, root, root_length) == 0) {
		putchar('@');
		path += root_length;
	}
	size_t length = strlen(path);
	if (length > 60)
		printf("%.20s...(%zu)...%s", path, length, path + length - 20);
	else
		fputs(path, stdout);
	putchar('"');
}

static const char *dir_name(int fd)
{
	static char text[4][16];
	static int turn;
	if (fd == AT_FDCWD)
		return "cwd";
	char *here = text[turn++ % 4];
	for (int i = 0; i < DIRS; i++)
		if (fd >= 0 && fd == dirs[i])
			snprintf(here, sizeof text[0], "dir%d", i);
	if (fd == 999 || fd == -1)
		snprintf(here, sizeof text[0], "%d", fd);
	return here;
}

static void print_result(long result)
{
	if (result == -1)
		printf(" = -1 %s", strerrorname_np(errno));
	else
		printf(" = %ld", result);
}

static void print_time(const char *name, long seconds, long nanoseconds)
{
	if (seconds < LONG_PAST)
		printf(" %s %ld.%09ld", name, seconds, nanoseconds);
}

static void print_stat(const struct stat *s)
{
	printf(" mode %o links %lu %u:%u rdev %lx", s->st_mode, (unsigned long)s->st_nlink, s->st_uid, s->st_gid,
	       (unsigned long)s->st_rdev);
	if (!S_ISDIR(s->st_mode))
		printf(" size %ld blocks %ld", (long)s->st_size, (long)s->st_blocks);
	printf(" blksize %ld", (long)s->st_blksize);
	print_time("a", s->st_atim.tv_sec, s->st_atim.tv_nsec);
	print_time("m", s->st_mtim.tv_sec, s->st_mtim.tv_nsec);
}

/* What was not asked for may be out of date, and with AT_STATX_DONT_SYNC all but the type. */
static void print_statx(const struct statx *s, unsigned asked, unsigned flags)
{
	if (flags & AT_STATX_DONT_SYNC)
		asked = 0;
	printf(" mask %x attr %llx/%llx type %o rdev %u:%u", s->stx_mask, (unsigned long long)s->stx_attributes,
	       (unsigned long long)s->stx_attributes_mask, s->stx_mode & S_IFMT, s->stx_rdev_major, s->stx_rdev_minor);
	if (asked & STATX_MODE)
		printf(" mode %o", s->stx_mode);
	if (asked & STATX_NLINK)
		printf(" links %u", s->stx_nlink);
	if (asked & STATX_UID && asked & STATX_GID)
		printf(" %u:%u", s->stx_uid, s->stx_gid);
	if (!S_ISDIR(s->stx_mode) && asked & STATX_SIZE && asked & STATX_BLOCKS)
		printf(" size %llu blocks %llu", (unsigned long long)s->stx_size, (unsigned long long)s->stx_blocks);
	if (asked & STATX_ATIME)
		print_time("a", s->stx_atime.tv_sec, s->stx_atime.tv_nsec);
	if (asked & STATX_MTIME)
		print_time("m", s->stx_mtime.tv_sec, s->stx_mtime.tv_nsec);
}

static void print_bytes(const char *bytes, long length)
{
	unsigned long sum = 0;
	for (long i = 0; i < length; i++)
		sum = sum * 31 + (unsigned char)bytes[i];
	printf(" bytes %lx", sum & 0xffffff);
}

/* ---- Calls; each picks its arguments, says them, calls, and says what came ---- */

static char path[8192], second[8192];

/* The pointer to give for `text`: mostly itself, sometimes just before a page's end, rarely one that faults. */
static const char *pointer(const char *text)
{
	size_t length = strlen(text) + 1;
	if (one_in(150))
		return (const char *)8;
	if (one_in(150)) {
		/* Unterminated up to the edge. */
		memset(edge - 5, 'a', 5);
		return edge - 5;
	}
	if (one_in(10) && length <= 4096)
		return memcpy(edge - length, text, length);
	return text;
}

/* Where to want a result: mostly where it is read from, rarely where none can be written. */
static void *result_to(void *buffer)
{
	if (one_in(60))
		return (void *)8;
	return one_in(60) ? locked : buffer;
}

static void say_call(const char *name, int dir, const char *first)
{
	printf("%s %s ", name, dir_name(dir));
	print_path(first);
}

#define RESULT(call) do { long result = (call); print_result(result); } while (0)

static unsigned make_mode(void)
{
	static const unsigned modes[] = {0755, 0777, 0700, 0644, 0, 01777, 02775, 04755, 0111, 0555, 0311};
	return one_in(10) ? below(010000) : PICK(modes);
}

static void do_mkdir(void)
{
	int dir = make_dir_fd();
	unsigned mode = make_mode();
	make_path(path);
	say_call("mkdir", dir, path);
	printf(" %o", mode);
	if (dir == AT_FDCWD && one_in(2))
		RESULT(syscall(SYS_mkdir, pointer(path), mode));
	else
		RESULT(syscall(SYS_mkdirat, dir, pointer(path), mode));
}

static void do_mknod(void)
{
	static const unsigned kinds[] = {S_IFREG, 0, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK, S_IFDIR, S_IFREG, 0170000, S_IFREG};
	int dir = make_dir_fd();
	unsigned mode = PICK(kinds) | make_mode();
	make_path(path);
	say_call("mknod", dir, path);
	printf(" %o", mode);
	if (dir == AT_FDCWD && one_in(2))
		RESULT(syscall(SYS_mknod, pointer(path), mode, 0x103));
	else
		RESULT(syscall(SYS_mknodat, dir, pointer(path), mode, 0x103));
}

static void do_unlink(void)
{
	static const int flags[] = {0, 0, 0, 0, AT_REMOVEDIR, AT_REMOVEDIR, 1, AT_SYMLINK_NOFOLLOW};
	int dir = make_dir_fd(), flag = PICK(flags);
	make_path(path);
	say_call("unlink", dir, path);
	printf(" %x", flag);
	if (dir == AT_FDCWD && one_in(2))
		RESULT(syscall(flag == AT_REMOVEDIR ? SYS_rmdir : SYS_unlink, pointer(path)));
	else
		RESULT(syscall(SYS_unlinkat, dir, pointer(path), flag));
}

static void do_rename(void)
{
	/* Not RENAME_WHITEOUT: ext4 touches the directory even when it refuses. */
	static const unsigned flags[] = {0, 0, 0, 0, 1, 2, 2, 3, 16, 8};
	int dir = make_dir_fd(), to = make_dir_fd();
	unsigned flag = PICK(flags);
	make_path(path);
	make_path(second);
	say_call("rename", dir, path);
	say_call(" to", to, second);
	printf(" %x", flag);
	if (dir == AT_FDCWD && to == AT_FDCWD && flag == 0 && one_in(2))
		RESULT(syscall(SYS_rename, path, second));
	else if (flag == 0 && one_in(2))
		RESULT(syscall(SYS_renameat, dir, pointer(path), to, second));
	else
		RESULT(syscall(SYS_renameat2, dir, path, to, pointer(second), flag));
}

static void do_link(void)
{
	static const int flags[] = {0, 0, 0, AT_SYMLINK_FOLLOW, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH, 1};
	int dir = make_dir_fd(), to = make_dir_fd(), flag = PICK(flags);
	make_path(path);
	make_path(second);
	say_call("link", dir, path);
	say_call(" to", to, second);
	printf(" %x", flag);
	if (dir == AT_FDCWD && to == AT_FDCWD && flag == 0 && one_in(2))
		RESULT(syscall(SYS_link, path, pointer(second)));
	else
		RESULT(syscall(SYS_linkat, dir, pointer(path), to, second, flag));
}

static void do_symlink(void)
{
	int dir = make_dir_fd();
	make_target(second);
	make_path(path);
	say_call("symlink", dir, path);
	printf(" -> ");
	print_path(second);
	if (dir == AT_FDCWD && one_in(2))
		RESULT(syscall(SYS_symlink, pointer(second), path));
	else
		RESULT(syscall(SYS_symlinkat, second, dir, pointer(path)));
}

static void do_chmod(void)
{
	static const int flags[] = {0, 0, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, 1};
	int dir = make_dir_fd(), flag = PICK(flags);
	unsigned mode = make_mode();
	make_path(path);
	say_call("chmod", dir, path);
	printf(" %o %x", mode, flag);
	if (dir == AT_FDCWD && flag == 0 && one_in(2))
		RESULT(syscall(SYS_chmod, pointer(path), mode));
	else if (flag == 0 && one_in(2))
		RESULT(syscall(SYS_fchmodat, dir, pointer(path), mode));
	else
		RESULT(syscall(SYS_fchmodat2, dir, pointer(path), mode, flag));
}

static void do_chown(void)
{
	static const int owners[] = {-1, 0, OTHER_USER, 1, -1};
	static const int flags[] = {0, 0, AT_SYMLINK_NOFOLLOW, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, 1};
	int dir = make_dir_fd(), flag = PICK(flags), uid = PICK(owners), gid = PICK(owners);
	make_path(path);
	say_call("chown", dir, path);
	printf(" %d:%d %x", uid, gid, flag);
	if (dir == AT_FDCWD && flag == 0 && one_in(2))
		RESULT(syscall(SYS_chown, pointer(path), uid, gid));
	else if (dir == AT_FDCWD && flag == AT_SYMLINK_NOFOLLOW && one_in(2))
		RESULT(syscall(SYS_lchown, pointer(path), uid, gid));
	else
		RESULT(syscall(SYS_fchownat, dir, pointer(path), uid, gid, flag));
}

static void do_truncate(void)
{
	static const long sizes[] = {0, 1, 100, 5000, 1 << 20, -1};
	long size = PICK(sizes);
	make_path(path);
	say_call("truncate", AT_FDCWD, path);
	printf(" %ld", size);
	RESULT(syscall(SYS_truncate, pointer(path), size));
}

static void do_times(void)
{
	static const int flags[] = {0, 0, AT_SYMLINK_NOFOLLOW, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, 1};
	int dir = make_dir_fd(), flag = PICK(flags);
	long times[4] = {below(5000), below(1000), below(5000), below(1000)};
	int how = (int)below(8);
	if (how == 4)
		times[1] = UTIME_OMIT;
	if (how == 5)
		times[3] = UTIME_OMIT;
	if (how == 6)
		times[1] = times[3] = UTIME_OMIT;
	if (one_in(20))
		times[below(2) * 2 + 1] = one_in(2) ? UTIME_NOW : -1;
	const void *given = one_in(60) ? (void *)8 : one_in(12) ? NULL : times;
	make_path(path);
	say_call("times", dir, path);
	printf(" %ld.%ld %ld.%ld %d %x", times[0], times[1], times[2], times[3], how, flag);
	if (how == 0 && dir == AT_FDCWD)
		RESULT(syscall(SYS_utime, pointer(path), given));
	else if (how == 1 && dir == AT_FDCWD)
		RESULT(syscall(SYS_utimes, pointer(path), given));
	else if (how == 2)
		RESULT(syscall(SYS_futimesat, dir, pointer(path), given));
	else
		RESULT(syscall(SYS_utimensat, dir, pointer(path), given, flag));
}

static const char *attributes[] = {"user.a", "user.b", "user.a", "user.", "nonsense", "", "trusted.a", "user.c"};

static const char *make_attribute(void)
{
	static char longest[300];
	if (!one_in(40))
		return PICK(attributes);
	memset(longest, 0, sizeof longest);
	memset(longest, 'x', one_in(2) ? 255 : 256);
	return memcpy(longest, "user.", 5);
}

static char value[70000];

static void do_setxattr(void)
{
	static const size_t sizes[] = {0, 1, 5, 300, 65536, 65537};
	const char *name = make_attribute();
	size_t size = one_in(6) ? PICK(sizes) : below(20);
	int follow = (int)below(2), flag = one_in(3) ? (int)below(5) : 0;
	make_path(path);
	memset(value, 'a' + (char)below(26), sizeof value);
	say_call("setxattr", AT_FDCWD, path);
	printf(" %s %zu %d %d", name, size, follow, flag);
	const void *from = one_in(60) ? (void *)8 : value;
	RESULT(syscall(follow ? SYS_setxattr : SYS_lsetxattr, pointer(path), name, from, size, flag));
}

static void do_removexattr(void)
{
	const char *name = make_attribute();
	int follow = (int)below(2);
	make_path(path);
	say_call("removexattr", AT_FDCWD, path);
	printf(" %s %d", name, follow);
	RESULT(syscall(follow ? SYS_removexattr : SYS_lremovexattr, pointer(path), pointer(name)));
}

static void do_getxattr(void)
{
	const char *name = make_attribute();
	size_t size = one_in(4) ? below(4) : sizeof value;
	int follow = (int)below(2);
	void *to = result_to(value);
	make_path(path);
	say_call("getxattr", AT_FDCWD, path);
	printf(" %s %zu %d", name, size, follow);
	long result = syscall(follow ? SYS_getxattr : SYS_lgetxattr, pointer(path), name, to, size);
	print_result(result);
	if (result > 0 && size)
		print_bytes(value, result);
}

static void do_listxattr(void)
{
	size_t size = one_in(4) ? below(10) : sizeof value;
	int follow = (int)below(2);
	make_path(path);
	say_call("listxattr", AT_FDCWD, path);
	printf(" %zu %d", size, follow);
	long result = syscall(follow ? SYS_listxattr : SYS_llistxattr, pointer(path), result_to(value), size);
	print_result(result);
	if (result > 0 && size)
		print_bytes(value, result);
}

static void do_stat(void)
{
	static const int flags[] = {0, 0, AT_SYMLINK_NOFOLLOW, AT_NO_AUTOMOUNT, AT_EMPTY_PATH, 1};
	int dir = make_dir_fd(), flag = PICK(flags);
	struct stat s;
	void *to = result_to(&s);
	long result;
	make_path(path);
	say_call("stat", dir, path);
	printf(" %x", flag);
	if (dir == AT_FDCWD && flag == 0 && one_in(2))
		result = syscall(SYS_stat, pointer(path), to);
	else if (dir == AT_FDCWD && flag == AT_SYMLINK_NOFOLLOW && one_in(2))
		result = syscall(SYS_lstat, pointer(path), to);
	else
		result = syscall(SYS_newfstatat, dir, pointer(path), to, flag);
	print_result(result);
	if (result == 0)
		print_stat(&s);
}

static void do_statx(void)
{
	static const unsigned masks[] = {0x7ff, 0x7ff, 0xfff, 1, 0, 0x80000000u, 0x1fff, 0x47ff, 0x27ff, 0x3ffff};
	static const unsigned flags[] = {0, AT_SYMLINK_NOFOLLOW, 0x2000, 0x4000, 0x6000, AT_EMPTY_PATH, 1};
	int dir = make_dir_fd();
	unsigned mask = PICK(masks), flag = PICK(flags);
	struct statx s;
	memset(&s, 0, sizeof s);
	make_path(path);
	say_call("statx", dir, path);
	printf(" %x %x", flag, mask);
	long result = syscall(SYS_statx, dir, pointer(path), flag, mask, result_to(&s));
	print_result(result);
	if (result == 0)
		print_statx(&s, mask, flag);
}

static void do_access(void)
{
	static const int flags[] = {0, 0, AT_EACCESS, AT_SYMLINK_NOFOLLOW, AT_EACCESS | AT_SYMLINK_NOFOLLOW, 1};
	int dir = make_dir_fd(), flag = PICK(flags), mode = (int)below(one_in(20) ? 20 : 8);
	make_path(path);
	say_call("access", dir, path);
	printf(" %d %x", mode, flag);
	if (dir == AT_FDCWD && flag == 0 && one_in(2))
		RESULT(syscall(SYS_access, pointer(path), mode));
	else if (flag == 0 && one_in(2))
		RESULT(syscall(SYS_faccessat, dir, pointer(path), mode));
	else
		RESULT(syscall(SYS_faccessat2, dir, pointer(path), mode, flag));
}

static void do_readlink(void)
{
	static const int sizes[] = {4096, 4096, 4096, 1, 3, 0, -1};
	int dir = make_dir_fd(), size = PICK(sizes);
	long result;
	make_path(path);
	say_call("readlink", dir, path);
	printf(" %d", size);
	memset(value, 0, 4097);
	if (dir == AT_FDCWD && one_in(2))
		result = syscall(SYS_readlink, pointer(path), result_to(value), size);
	else
		result = syscall(SYS_readlinkat, dir, pointer(path), result_to(value), size);
	print_result(result);
	if (result > 0) {
		putchar(' ');
		/* A cut one may end inside of the root's own name. */
		if (size == 4096)
			print_path(value);
	}
}

static void do_statfs(void)
{
	struct statfs s;
	make_path(path);
	say_call("statfs", AT_FDCWD, path);
	long result = syscall(SYS_statfs, pointer(path), result_to(&s));
	print_result(result);
	if (result == 0)
		printf(" type %lx bsize %ld namelen %ld frsize %ld flags %lx", (long)s.f_type, (long)s.f_bsize,
		       (long)s.f_namelen, (long)s.f_frsize, (long)s.f_flags);
}

/* ---- Observers: never trapped, they ask the kernel's own door ---- */

static void observe_file(void)
{
	static const int flags[] = {O_RDONLY, O_RDONLY | O_NOFOLLOW, O_PATH | O_NOFOLLOW, O_PATH, O_WRONLY, O_CREAT | O_WRONLY,
				    O_CREAT | O_EXCL | O_RDWR, O_TRUNC | O_WRONLY};
	int flag = PICK(flags), dir = make_dir_fd();
	struct stat s;
	make_path(path);
	say_call("open", dir, path);
	printf(" %x", flag);
	int fd = openat(dir, path, flag | O_CLOEXEC | O_NONBLOCK, 0666);
	print_result(fd == -1 ? -1 : 0);
	if (fd == -1)
		return;
	if (fstat(fd, &s) == 0)
		print_stat(&s);
	if (S_ISREG(s.st_mode) && (flag & O_ACCMODE) != O_RDONLY && !(flag & O_PATH))
		print_result(write(fd, "content", 1 + below(7)));
	close(fd);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void observe_dir(void)
{
	char *listed[512];
	int count = 0, dir = make_dir_fd();
	make_path(path);
	say_call("list", dir, path);
	int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	print_result(fd == -1 ? -1 : 0);
	DIR *stream = fd == -1 ? NULL : fdopendir(fd);
	if (!stream)
		return;
	for (struct dirent *entry; count < 512 && (entry = readdir(stream));) {
		listed[count] = malloc(strlen(entry->d_name) + 3);
		sprintf(listed[count++], "%s:%d", entry->d_name, entry->d_type);
	}
	closedir(stream);
	qsort(listed, (size_t)count, sizeof *listed, by_name);
	for (int i = 0; i < count; i++) {
		putchar(' ');
		print_path(listed[i]);
		free(listed[i]);
	}
}

static void observe_dir_fd(void)
{
	struct stat s;
	int i = (int)below(DIRS);
	printf("fstat dir%d", i);
	int result = fstat(dirs[i], &s);
	print_result(result);
	if (result == 0)
		print_stat(&s);
}

/* ---- What calls depend on: directories, umask, users ---- */

static int is_inside(int fd)
{
	char link[64], where[8192];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	/* readlink of libc is trapped like any other, which is fine: /proc is not the mount. */
	ssize_t length = readlink(link, where, sizeof where - 1);
	if (length < (ssize_t)root_length)
		return 0;
	where[length] = 0;
	return strncmp(where, root, root_length) == 0 && (where[root_length] == '/' || where[root_length] == 0 || where[root_length] == ' ');
}

/* Only directories inside, so that no later `..` starts from higher up. */
static int open_inside(void)
{
	int dir = make_dir_fd();
	make_path(path);
	say_call("", dir, path);
	int fd = openat(dir, path, (one_in(2) ? O_PATH : O_RDONLY) | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && !is_inside(fd)) {
		close(fd);
		errno = EXDEV;
		fd = -1;
	}
	return fd;
}

static void change_dir(void)
{
	printf("chdir");
	int fd = one_in(4) ? open(root, O_PATH | O_DIRECTORY | O_CLOEXEC) : open_inside();
	print_result(fd == -1 ? -1 : fchdir(fd));
	if (fd >= 0)
		close(fd);
}

static void change_dir_fd(void)
{
	int i = (int)below(DIRS);
	printf("dir%d", i);
	int fd = open_inside();
	print_result(fd == -1 ? -1 : 0);
	if (fd >= 0) {
		close(dirs[i]);
		dirs[i] = fd;
	}
}

static void change_umask(void)
{
	static const unsigned masks[] = {022, 022, 0, 077, 027};
	unsigned mask = PICK(masks);
	printf("umask %o = %o", mask, umask((mode_t)mask));
}

static void change_user(void)
{
	static const int users[][4] = {{0, 0, 0, 0}, {0, 0, 0, 0}, {-1, OTHER_USER, -1, OTHER_USER}, {OTHER_USER, OTHER_USER, -1, -1},
				       {-1, 1, -1, 1}};
	const int *user = PICK(users);
	/* The kernel's own calls: libc's would change all threads. */
	long result = syscall(SYS_setresuid, 0, 0, 0) | syscall(SYS_setresgid, user[2], user[3], 0);
	result |= syscall(SYS_setresuid, user[0], user[1], 0);
	printf("user %d,%d group %d,%d = %ld", user[0], user[1], user[2], user[3], result);
}

struct weighted {
	void (*call)(void);
	unsigned weight;
};

static const struct weighted calls[] = {
	{do_mkdir, 10}, {do_mknod, 10}, {do_unlink, 8}, {do_rename, 12}, {do_link, 7}, {do_symlink, 8}, {do_chmod, 6},
	{do_chown, 6}, {do_truncate, 3}, {do_times, 6}, {do_setxattr, 5}, {do_removexattr, 3}, {do_getxattr, 4},
	{do_listxattr, 3}, {do_stat, 8}, {do_statx, 6}, {do_access, 7}, {do_readlink, 5}, {do_statfs, 1},
	{observe_file, 8}, {observe_dir, 4}, {observe_dir_fd, 2}, {change_dir, 3}, {change_dir_fd, 5}, {change_umask, 2},
	{change_user, 3},
};

static void step(int may_switch)
{
	unsigned sum = 0;
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		sum += calls[i].weight;
	unsigned drawn = below(sum);
	for (size_t i = 0;; i++) {
		if (drawn < calls[i].weight) {
			if (calls[i].call != change_user || may_switch)
				calls[i].call();
			return;
		}
		drawn -= calls[i].weight;
	}
}

/* A directory that was left with mode 0 or full must not stop all that follows. */
static void start_afresh(void)
{
	syscall(SYS_setresuid, 0, 0, 0);
	syscall(SYS_setresgid, 0, 0, 0);
	int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fchdir(fd) != 0)
		exit(3);
	close(fd);
	printf("afresh = %d", chmod(root, 0777));
}

int main(int count, char **arguments)
{
	if (count < 4 || arguments[1][0] != '/' || chdir(arguments[1]) != 0) {
		fprintf(stderr, "usage: differential DIRECTORY SEED STEPS [switch-users]\n");
		return 2;
	}
	root = arguments[1];
	root_length = strlen(root);
	state = strtoull(arguments[2], NULL, 10);
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	edge = pages + 4096;
	if (pages == MAP_FAILED || mprotect(edge, 4096, PROT_NONE) != 0)
		return 2;
	locked = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (locked == MAP_FAILED)
		return 2;
	for (int i = 0; i < DIRS; i++)
		dirs[i] = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	unsigned long steps = strtoul(arguments[3], NULL, 10);
	for (unsigned long i = 0; i < steps; i++) {
		printf("%lu ", i);
		if (i % 100 == 0)
			start_afresh();
		else
			step(count > 4);
		putchar('\n');
	}
	return 0;
}
