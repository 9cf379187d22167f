/*
 * Threads that change and look at shared directories at random. Any of them that makes no progress for 10 s
 * ends the program with failure.
 *
 * Usage: crowd DIRECTORY THREADS MILLISECONDS SEED     changes and looks
 *        crowd DIRECTORY probe                         prints listings, and of every name whether it is there and as what
 *
 * Between the random calls each thread works on names of its own in the same directories. There it knows what has
 * to come out, and asks through both doors: opening a path and all calls on descriptors are the kernel's, with
 * or without a bypass, and a call with a path is bypassed under a policy that says so.
 *
 * What plain FUSE gets wrong under load is not judged: times and link counts of directories, and ctimes. When
 * the kernel itself changes them it forgets what it has cached, but takes and keeps the answer of a request that
 * was on its way (fuse_dir_changed in fs/fuse/dir.c does not count up `attr_version`).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 32, DIRS = 3, NAMES = 6, PATH = 96, STUCK_SECONDS = 10, LINE = 1024 };

struct worker {
	pthread_t thread;
	int number;
	uint64_t random;
	atomic_ulong steps;
	/* What it does now, for the watchdog. */
	_Atomic(const char *) doing;
};

static struct worker workers[THREADS];
static atomic_int stop;
static unsigned seed;

static void fail(const struct worker *worker, const char *format, ...)
{
	char text[LINE];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	printf("thread %d of %u, step %lu: %s\n", worker->number, seed, atomic_load(&worker->steps), text);
	fflush(stdout);
	_exit(1);
}

/* splitmix64 */
static unsigned below(struct worker *worker, unsigned limit)
{
	uint64_t z = worker->random += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (unsigned)((z ^ z >> 31) % limit);
}

/* A name that all share; one in four lies a directory deeper. */
static const char *shared(struct worker *worker, char *path)
{
	unsigned dir = below(worker, DIRS), name = below(worker, NAMES);
	if (below(worker, 4))
		snprintf(path, PATH, "s%u/n%u", dir, name);
	else
		snprintf(path, PATH, "s%u/n%u/n%u", dir, name, below(worker, 2));
	return path;
}

static void list(const char *path)
{
	DIR *stream = opendir(path);
	if (!stream)
		return;
	while (readdir(stream))
		;
	rewinddir(stream);
	readdir(stream);
	closedir(stream);
}

static void through_descriptor(struct worker *worker, const char *path)
{
	char bytes[16];
	struct stat status;
	int file = open(path, O_RDWR | O_NONBLOCK | (below(worker, 2) ? O_CREAT : 0) | (below(worker, 2) ? O_APPEND : 0), 0666);
	if (file < 0)
		return;
	if (write(file, "some text", below(worker, 9)) < 0 || pread(file, bytes, sizeof bytes, 0) < 0)
		errno = 0;
	if (below(worker, 3) == 0 && ftruncate(file, below(worker, 20)) < 0)
		errno = 0;
	if (below(worker, 3) == 0)
		fchmod(file, 0600 + below(worker, 64));
	fstat(file, &status);
	close(file);
}

static void random_call(struct worker *worker)
{
	char a[PATH], b[PATH], bytes[64];
	struct stat status;
	struct timespec times[2] = {{below(worker, 1000), 0}, {below(worker, 1000), 0}};
	static const int flags[] = {0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
	shared(worker, a);
	shared(worker, b);
#define DO(name) worker->doing = name
	switch (below(worker, 24)) {
	case 0: case 1: DO("mkdir"); mkdir(a, 0777); break;
	case 2: case 3: DO("mknod"); mknod(a, S_IFREG | 0666, 0); break;
	case 4: DO("symlink"); symlink("../s0/n0", a); break;
	case 5: DO("link"); link(a, b); break;
	case 6: case 7: DO("unlink"); unlink(a); break;
	case 8: case 9: DO("rmdir"); rmdir(a); break;
	case 10: case 11: case 12: DO("rename"); renameat2(AT_FDCWD, a, AT_FDCWD, b, flags[below(worker, 4)]); break;
	case 13: DO("chmod"); chmod(a, 0700 + below(worker, 64)); break;
	case 14: DO("chown"); lchown(a, below(worker, 3), below(worker, 3)); break;
	case 15: DO("truncate"); truncate(a, below(worker, 9000)); break;
	case 16: DO("utimens"); utimensat(AT_FDCWD, a, below(worker, 2) ? times : NULL, AT_SYMLINK_NOFOLLOW); break;
	case 17: DO("setxattr"); setxattr(a, "user.a", b, below(worker, 9), 0); break;
	case 18: DO("removexattr"); removexattr(a, "user.a"); break;
	case 19: DO("stat"); lstat(a, &status); stat(b, &status); break;
	case 20: DO("access"); access(a, R_OK); readlink(b, bytes, sizeof bytes); break;
	case 21: DO("list"); snprintf(a, PATH, "s%u", below(worker, DIRS)); list(a); break;
	default: DO("open"); through_descriptor(worker, a); break;
	}
}

/* What the two doors say of a path: through a descriptor it is the kernel. */
static int look(const char *path, int kernel, struct stat *status)
{
	if (!kernel)
		return fstatat(AT_FDCWD, path, status, AT_SYMLINK_NOFOLLOW);
	int file = open(path, O_PATH | O_NOFOLLOW);
	if (file < 0)
		return -1;
	int result = fstatat(file, "", status, AT_EMPTY_PATH);
	close(file);
	return result;
}

static void expect_gone(struct worker *worker, const char *path)
{
	struct stat status;
	for (int kernel = 0; kernel < 2; kernel++)
		if (look(path, kernel, &status) == 0 || errno != ENOENT)
			fail(worker, "%s: still there through door %d", path, kernel);
}

static int same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* Of a directory, with 0 links, the mode only. The door that is asked first is bypass (0) or kernel (1) by chance. */
static void expect(struct worker *worker, const char *path, mode_t mode, unsigned links, long size)
{
	struct stat seen[2];
	int first = (int)below(worker, 2);
	for (int i = 0; i < 2; i++) {
		int door = i ^ first;
		if (look(path, door, &seen[door]) != 0)
			fail(worker, "%s: %s through door %d", path, strerrorname_np(errno), door);
		if (seen[door].st_mode != mode || (links && seen[door].st_nlink != links) ||
		    (links && seen[door].st_size != size))
			fail(worker, "%s through door %d: mode %o links %lu size %ld, not %o %u %ld", path, door,
			     seen[door].st_mode, (unsigned long)seen[door].st_nlink, (long)seen[door].st_size, mode, links, size);
	}
	if ((links && !same_time(seen[0].st_mtim, seen[1].st_mtim)) || seen[0].st_uid != seen[1].st_uid ||
	    seen[0].st_ino != seen[1].st_ino)
		fail(worker, "%s: mode %o: owner %u or %u, number %lu or %lu, mtime %lld.%09ld or %lld.%09ld", path, mode,
		     seen[0].st_uid, seen[1].st_uid, (unsigned long)seen[0].st_ino, (unsigned long)seen[1].st_ino,
		     (long long)seen[0].st_mtim.tv_sec, seen[0].st_mtim.tv_nsec, (long long)seen[1].st_mtim.tv_sec,
		     seen[1].st_mtim.tv_nsec);
}

static void must(struct worker *worker, long result, const char *what)
{
	if (result < 0)
		fail(worker, "%s: %s", what, strerrorname_np(errno));
}

/* Files with names that only this thread uses. */
static void own_file(struct worker *worker)
{
	char a[PATH], b[PATH];
	unsigned round = (unsigned)(worker->steps % 7), of = below(worker, DIRS), to = below(worker, DIRS);
	int warm = (int)below(worker, 2);
	snprintf(a, sizeof a, "s%u/own-%u-%d-%u", of, seed, worker->number, round);
	snprintf(b, sizeof b, "s%u/its-%u-%d-%u", to, seed, worker->number, round);
	DO("own file");
	expect_gone(worker, a);
	if (below(worker, 2)) {
		must(worker, mknod(a, S_IFREG | 0644, 0), "mknod");
	} else {
		int file = open(a, O_CREAT | O_EXCL | O_WRONLY, 0644);
		must(worker, file, "open");
		close(file);
	}
	if (open(a, O_CREAT | O_EXCL | O_WRONLY, 0644) >= 0 || errno != EEXIST)
		fail(worker, "%s: not there for O_EXCL", a);
	if (warm)
		expect(worker, a, S_IFREG | 0644, 1, 0);
	must(worker, chmod(a, 0600), "chmod");
	must(worker, truncate(a, 7), "truncate");
	expect(worker, a, S_IFREG | 0600, 1, 7);
	int file = open(a, O_WRONLY | O_APPEND);
	must(worker, file, "open to append");
	must(worker, write(file, "abc", 3), "write");
	expect(worker, a, S_IFREG | 0600, 1, 10);
	must(worker, truncate(a, 2), "truncate");
	must(worker, write(file, "abc", 3), "write");
	expect(worker, a, S_IFREG | 0600, 1, 5);
	must(worker, link(a, b), "link");
	expect(worker, a, S_IFREG | 0600, 2, 5);
	must(worker, unlink(a), "unlink");
	expect_gone(worker, a);
	expect(worker, b, S_IFREG | 0600, 1, 5);
	must(worker, rename(b, a), "rename");
	expect_gone(worker, b);
	must(worker, fchmod(file, 0640), "fchmod");
	expect(worker, a, S_IFREG | 0640, 1, 5);
	must(worker, unlink(a), "unlink");
	struct stat status;
	must(worker, fstat(file, &status), "fstat");
	if (status.st_nlink != 0)
		fail(worker, "%s: links %lu", a, (unsigned long)status.st_nlink);
	close(file);
	expect_gone(worker, a);
}

static void own_directory(struct worker *worker)
{
	char a[PATH], in[PATH + 8];
	snprintf(a, sizeof a, "s%u/dir-%u-%d", below(worker, DIRS), seed, worker->number);
	snprintf(in, sizeof in, "%s/in", a);
	DO("own directory");
	expect_gone(worker, in);
	must(worker, mkdir(a, 0755), "mkdir");
	int held = below(worker, 2) ? open(a, O_RDONLY | O_DIRECTORY) : -1;
	must(worker, mkdir(in, 0755), "mkdir");
	expect(worker, a, S_IFDIR | 0755, 0, 0);
	expect(worker, in, S_IFDIR | 0755, 0, 0);
	must(worker, rmdir(in), "rmdir");
	expect_gone(worker, in);
	must(worker, rmdir(a), "rmdir");
	expect_gone(worker, a);
	if (held >= 0) {
		if (mkdirat(held, "x", 0755) == 0 || errno != ENOENT)
			fail(worker, "%s: removed, and takes names", a);
		int file = openat(held, "x", O_CREAT | O_WRONLY, 0644);
		if (file >= 0 || errno != ENOENT)
			fail(worker, "%s: removed, and takes files", a);
		close(held);
	}
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	while (!stop) {
		switch (below(worker, 8)) {
		case 0: own_file(worker); break;
		case 1: own_directory(worker); break;
		default: random_call(worker); break;
		}
		worker->steps++;
	}
	return NULL;
}

/* Sleeps until the end, and watches meanwhile and until all have ended. */
static void watch(int threads, long milliseconds)
{
	unsigned long last[THREADS] = {0};
	int idle[THREADS] = {0};
	for (long passed = 0; passed < milliseconds; passed += 50) {
		usleep(50000);
		for (int i = 0; i < threads; i++) {
			unsigned long steps = workers[i].steps;
			idle[i] = steps == last[i] ? idle[i] + 50 : 0;
			last[i] = steps;
			if (idle[i] >= STUCK_SECONDS * 1000)
				fail(&workers[i], "no progress for %d s in %s", STUCK_SECONDS, workers[i].doing);
		}
	}
	stop = 1;
	struct timespec end;
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += STUCK_SECONDS;
	for (int i = 0; i < threads; i++)
		if (pthread_timedjoin_np(workers[i].thread, NULL, &end) != 0)
			fail(&workers[i], "no end within %d s in %s", STUCK_SECONDS, workers[i].doing);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void print_listing(const char *path)
{
	char *names[256];
	int count = 0;
	DIR *stream = opendir(path);
	for (struct dirent *entry; stream && count < 256 && (entry = readdir(stream));)
		names[count++] = strdup(entry->d_name);
	qsort(names, (size_t)count, sizeof *names, by_name);
	printf("%s:", path);
	for (int i = 0; i < count; i++)
		printf(" %s", names[i]);
	puts("");
	if (stream)
		closedir(stream);
}

static void print(const char *path)
{
	struct stat status;
	char text[64] = "", value[64] = "";
	if (lstat(path, &status) != 0) {
		printf("%s: %s\n", path, strerrorname_np(errno));
		return;
	}
	printf("%s: %o owner %u:%u", path, status.st_mode, status.st_uid, status.st_gid);
	if (!S_ISDIR(status.st_mode))
		printf(" links %lu mtime %lld.%09ld size %lld", (unsigned long)status.st_nlink,
		       (long long)status.st_mtim.tv_sec, status.st_mtim.tv_nsec, (long long)status.st_size);
	if (S_ISREG(status.st_mode)) {
		/* Bytes are the kernel's, its page cache included. */
		int file = open(path, O_RDONLY);
		printf(" sees %zd", file < 0 ? -1 : read(file, text, sizeof text - 1));
		for (int i = 0; text[i]; i++)
			putchar(text[i]);
		close(file);
		if (lgetxattr(path, "user.a", value, sizeof value - 1) >= 0)
			printf(" user.a %s", value);
	}
	if (S_ISLNK(status.st_mode) && readlink(path, text, sizeof text - 1) > 0)
		printf(" -> %s", text);
	puts("");
}

static int probe(void)
{
	char path[PATH];
	for (int dir = 0; dir < DIRS; dir++) {
		snprintf(path, sizeof path, "s%d", dir);
		print_listing(path);
		print(path);
		for (int name = 0; name < NAMES; name++) {
			snprintf(path, sizeof path, "s%d/n%d", dir, name);
			print(path);
			for (int in = 0; in < 2; in++) {
				snprintf(path, sizeof path, "s%d/n%d/n%d", dir, name, in);
				print(path);
			}
		}
	}
	return 0;
}

int main(int count, char **arguments)
{
	umask(0);
	if (count < 3 || chdir(arguments[1]) != 0)
		return 2;
	if (count == 3)
		return probe();
	int threads = atoi(arguments[2]) % (THREADS + 1);
	seed = (unsigned)atoi(arguments[4]);
	unsigned long steps = 0;
	for (int dir = 0; dir < DIRS; dir++) {
		char path[PATH];
		snprintf(path, sizeof path, "s%d", dir);
		mkdir(path, 0755);
	}
	for (int i = 0; i < threads; i++) {
		workers[i].number = i;
		workers[i].random = seed * 1000ul + (unsigned)i;
		workers[i].doing = "nothing";
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
			return 1;
	}
	watch(threads, atol(arguments[3]));
	for (int i = 0; i < threads; i++)
		steps += workers[i].steps;
	printf("steps %lu\n", steps);
	return 0;
}
