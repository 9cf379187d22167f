/*
 * Does what it is told, one call at a time, and says what came of it: so two of them can work on one tree in
 * turns. Standard input is a socket; a line is a command with its arguments, and the answer is a line.
 *
 * Usage: doors DIRECTORY
 *
 * It starts in DIRECTORY, which `cd /` leads back to. A path is relative to the cwd, or, as `@N/name`, to the directory open in slot N.
 * What two equal file systems may disagree in is not said: inode numbers, present times (but whether they are
 * later than at the last look is), sizes of directories, the order of listings.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 10, WORDS = 6, LINE = 4096, LOOKS = 1024, MAP = 8192, LONG_PAST = 1000000000 };

static const char *top;
static int files[SLOTS];
static DIR *streams[SLOTS];
static char *maps[SLOTS];
static char answer[LINE];

/* The times of a path at the last look. */
static struct look {
	char path[64];
	struct timespec modified, changed;
} looks[LOOKS];
static int looked;

static void say(const char *format, ...)
{
	size_t length = strlen(answer);
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(answer + length, sizeof answer - length, format, arguments);
	va_end(arguments);
}

static void result(long result)
{
	say("%s", result < 0 ? strerrorname_np(errno) : "done");
}

/*
 * Until the clock that file systems stamp with has come past this moment: so a change's time is later than that of
 * the last, even if that was taken from the precise clock (ktime_get_real_ts64_mg). The vDSO's coarse clock is
 * no good for that, it runs a little ahead of the kernel's (timekeeping_update_from_shadow).
 */
static void tick(void)
{
	struct timespec begun, now;
	clock_gettime(CLOCK_REALTIME, &begun);
	do {
		usleep(500);
		syscall(SYS_clock_gettime, CLOCK_REALTIME_COARSE, &now);
	} while (now.tv_sec < begun.tv_sec || (now.tv_sec == begun.tv_sec && now.tv_nsec <= begun.tv_nsec));
}

static int slot(const char *word)
{
	return word ? atoi(word) % SLOTS : 0;
}

/* `@N/name` is a name in a directory's descriptor. */
static int at(const char **path)
{
	if (**path != '@')
		return AT_FDCWD;
	int directory = files[slot(*path + 1)];
	const char *name = strchr(*path, '/');
	*path = name ? name + 1 : ".";
	return directory;
}

static const char *than(struct timespec now, struct timespec before)
{
	if (now.tv_sec == before.tv_sec && now.tv_nsec == before.tv_nsec)
		return "same";
	return now.tv_sec > before.tv_sec || (now.tv_sec == before.tv_sec && now.tv_nsec > before.tv_nsec) ? "later"
													    : "earlier";
}

static void say_times(const char *path, const struct stat *status)
{
	int i = 0;
	while (i < looked && strcmp(looks[i].path, path) != 0)
		i++;
	if (i < looked)
		say(" mtime %s ctime %s", than(status->st_mtim, looks[i].modified),
		    than(status->st_ctim, looks[i].changed));
	else if (looked < LOOKS)
		snprintf(looks[looked++].path, sizeof looks[0].path, "%s", path);
	looks[i].modified = status->st_mtim;
	looks[i].changed = status->st_ctim;
	if (status->st_mtime < LONG_PAST)
		say(" (%lld.%09ld)", (long long)status->st_mtime, status->st_mtim.tv_nsec);
	if (status->st_atime < LONG_PAST)
		say(" atime %lld", (long long)status->st_atime);
}

static void say_status(long got, const char *path, const struct stat *status)
{
	if (got < 0) {
		result(got);
		return;
	}
	say("mode %o links %lu owner %u:%u", status->st_mode, (unsigned long)status->st_nlink, status->st_uid,
	    status->st_gid);
	if (!S_ISDIR(status->st_mode))
		say(" size %lld", (long long)status->st_size);
	say_times(path, status);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list(DIR *stream)
{
	char *names[256];
	int count = 0;
	errno = 0;
	for (struct dirent *entry; count < 256 && (entry = readdir(stream));)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			names[count++] = strdup(entry->d_name);
	if (errno != 0) {
		result(-1);
		return;
	}
	qsort(names, (size_t)count, sizeof *names, by_name);
	say("[");
	for (int i = 0; i < count; i++) {
		say(i ? " %s" : "%s", names[i]);
		free(names[i]);
	}
	say("]");
}

static sigjmp_buf over_the_end;

static void on_sigbus(int signal)
{
	(void)signal;
	siglongjmp(over_the_end, 1);
}

/* Reads a byte of a mapping, or writes one. */
static void touch(char *byte, const char *value)
{
	if (sigsetjmp(over_the_end, 1)) {
		say("SIGBUS");
		return;
	}
	if (value)
		*(volatile char *)byte = *value;
	say("%d", *(volatile char *)byte);
}

static int flags(const char *word)
{
	int flags = strchr(word, 'w') ? O_RDWR : O_RDONLY;
	flags |= strchr(word, 'a') ? O_APPEND : 0;
	flags |= strchr(word, 'd') ? O_DIRECTORY : 0;
	flags |= strchr(word, 'p') ? O_PATH : 0;
	flags |= strchr(word, 'c') ? O_CREAT : 0;
	flags |= strchr(word, 'x') ? O_EXCL : 0;
	return flags | (strchr(word, 't') ? O_TRUNC : 0);
}

static void say_bytes(long count, const char *bytes)
{
	if (count < 0) {
		result(count);
		return;
	}
	say("%ld \"", count);
	for (long i = 0; i < count && i < 64; i++)
		say(bytes[i] < ' ' ? "\\%d" : "%c", bytes[i]);
	say("\"");
}

static int user(int id)
{
	int failed = seteuid(0) || setgroups(0, NULL) || setegid((gid_t)id) || seteuid((uid_t)id);
	return failed ? -1 : 0;
}

static const char *below(const char *path)
{
	size_t length = strlen(top);
	return strncmp(path, top, length) == 0 ? path + length : path;
}

/* What changes something. False when there is no such command. */
static int change(const char *verb, const char **words)
{
	const char *a = words[1], *b = words[2], *c = words[3];
	int to = b && *b == '@' ? at(&b) : AT_FDCWD, of = a ? at(&a) : AT_FDCWD;
	struct timespec times[2] = {{0, 0}, {0, 0}};
	if (strcmp(verb, "mkdir") == 0)
		result(mkdirat(of, a, b ? (mode_t)strtoul(b, NULL, 8) : 0755));
	else if (strcmp(verb, "mknod") == 0)
		result(mknodat(of, a, S_IFREG | (b ? (mode_t)strtoul(b, NULL, 8) : 0644), 0));
	else if (strcmp(verb, "mkfifo") == 0)
		result(mknodat(of, a, S_IFIFO | 0644, 0));
	else if (strcmp(verb, "symlink") == 0)
		result(symlinkat(a, to, b));
	else if (strcmp(verb, "link") == 0)
		result(linkat(of, a, to, b, 0));
	else if (strcmp(verb, "unlink") == 0)
		result(unlinkat(of, a, 0));
	else if (strcmp(verb, "rmdir") == 0)
		result(unlinkat(of, a, AT_REMOVEDIR));
	else if (strcmp(verb, "rename") == 0)
		result(renameat2(of, a, to, b, 0));
	else if (strcmp(verb, "noreplace") == 0)
		result(renameat2(of, a, to, b, RENAME_NOREPLACE));
	else if (strcmp(verb, "exchange") == 0)
		result(renameat2(of, a, to, b, RENAME_EXCHANGE));
	else if (strcmp(verb, "chmod") == 0)
		result(fchmodat(of, a, (mode_t)strtoul(b, NULL, 8), 0));
	else if (strcmp(verb, "chown") == 0)
		result(fchownat(of, a, (uid_t)atoi(b), (gid_t)atoi(c), AT_SYMLINK_NOFOLLOW));
	else if (strcmp(verb, "truncate") == 0)
		result(truncate(a, atoll(b)));
	else if (strcmp(verb, "utimes") == 0) {
		times[0].tv_sec = times[1].tv_sec = atoll(b);
		times[1].tv_nsec = 5000;
		result(utimensat(of, a, times, AT_SYMLINK_NOFOLLOW));
	} else if (strcmp(verb, "touch") == 0)
		result(utimensat(of, a, NULL, 0));
	else if (strcmp(verb, "setxattr") == 0)
		result(setxattr(a, b, c, strlen(c), 0));
	else if (strcmp(verb, "removexattr") == 0)
		result(removexattr(a, b));
	else if (strcmp(verb, "make") == 0) {
		/* A file with that many bytes. */
		int file = openat(of, a, O_CREAT | O_TRUNC | O_WRONLY, 0644);
		char *bytes = memset(malloc(MAP), 'x', MAP);
		result(file < 0 ? -1 : write(file, bytes, b ? (size_t)atoi(b) % (MAP + 1) : 10));
		free(bytes);
		close(file);
	} else if (strcmp(verb, "write") == 0)
		say_bytes(write(files[slot(words[1])], words[2], strlen(words[2])), words[2]);
	else
		return 0;
	return 1;
}

/* What only looks, or opens. */
static int observe(const char *verb, const char **words)
{
	const char *path = words[1], *b = words[2];
	struct stat status;
	struct statfs whole;
	char buffer[LINE];
	int n = slot(words[1]), of = path ? at(&path) : AT_FDCWD;
	if (strcmp(verb, "stat") == 0)
		say_status(fstatat(of, path, &status, AT_SYMLINK_NOFOLLOW), words[1], &status);
	else if (strcmp(verb, "follow") == 0)
		say_status(fstatat(of, path, &status, 0), words[1], &status);
	else if (strcmp(verb, "fstat") == 0) {
		snprintf(buffer, sizeof buffer, "#%d", n);
		say_status(fstat(files[n], &status), buffer, &status);
	} else if (strcmp(verb, "access") == 0)
		result(faccessat(of, path, atoi(b), AT_EACCESS));
	else if (strcmp(verb, "readlink") == 0)
		say_bytes(readlinkat(of, path, buffer, sizeof buffer), buffer);
	else if (strcmp(verb, "getxattr") == 0)
		say_bytes(getxattr(path, b, buffer, sizeof buffer), buffer);
	else if (strcmp(verb, "listxattr") == 0)
		say_bytes(listxattr(path, buffer, sizeof buffer), buffer);
	else if (strcmp(verb, "statfs") == 0)
		result(statfs(path, &whole));
	else if (strcmp(verb, "ls") == 0) {
		int directory = openat(of, path, O_RDONLY | O_DIRECTORY);
		DIR *stream = directory < 0 ? NULL : fdopendir(directory);
		if (!stream)
			result(-1);
		else
			list(stream);
		if (stream)
			closedir(stream);
	} else
		return 0;
	return 1;
}

/* Things that stay open. */
static int held(const char *verb, const char **words)
{
	const char *path = words[2];
	char buffer[LINE];
	int n = slot(words[1]), of = path ? at(&path) : AT_FDCWD;
	if (strcmp(verb, "open") == 0) {
		close(files[n]);
		result(files[n] = openat(of, path, flags(words[3]), 0666));
	} else if (strcmp(verb, "close") == 0) {
		result(close(files[n]));
		files[n] = -1;
	} else if (strcmp(verb, "stream") == 0)
		result((streams[n] = opendir(path)) ? 0 : -1);
	else if (strcmp(verb, "rewind") == 0) {
		rewinddir(streams[n]);
		list(streams[n]);
	} else if (strcmp(verb, "read") == 0)
		say_bytes(pread(files[n], buffer, (size_t)atoi(words[3]) % LINE, atoll(words[2])), buffer);
	else if (strcmp(verb, "end") == 0)
		say("%lld", (long long)lseek(files[n], 0, SEEK_END));
	else if (strcmp(verb, "map") == 0) {
		void *map = mmap(NULL, MAP, PROT_READ | PROT_WRITE, MAP_SHARED, files[n], 0);
		maps[n] = map;
		result(map == MAP_FAILED ? -1 : 0);
	} else if (strcmp(verb, "byte") == 0)
		touch(maps[n] + atoi(words[2]) % MAP, words[3]);
	else
		return 0;
	return 1;
}

static int itself(const char *verb, const char **words)
{
	char buffer[LINE];
	if (strcmp(verb, "cd") == 0)
		result(chdir(strcmp(words[1], "/") == 0 ? top : words[1]));
	else if (strcmp(verb, "fchdir") == 0)
		result(fchdir(files[slot(words[1])]));
	else if (strcmp(verb, "cwd") == 0)
		say("%s", getcwd(buffer, sizeof buffer) ? below(buffer) : strerrorname_np(errno));
	else if (strcmp(verb, "path") == 0) {
		/* Of an open file, as /proc knows it. */
		char link[64];
		snprintf(link, sizeof link, "/proc/self/fd/%d", files[slot(words[1])]);
		ssize_t length = readlink(link, buffer, sizeof buffer - 1);
		buffer[length < 0 ? 0 : length] = 0;
		say("%s", below(buffer));
	} else if (strcmp(verb, "user") == 0)
		result(user(atoi(words[1])));
	else
		return 0;
	return 1;
}

static void obey(char *line)
{
	const char *words[WORDS + 1] = {0};
	char *rest = NULL;
	int count = 0;
	for (char *word = strtok_r(line, " \n", &rest); word && count < WORDS; word = strtok_r(NULL, " \n", &rest))
		words[count++] = word;
	if (count == 0)
		return;
	if (observe(words[0], words) || held(words[0], words) || itself(words[0], words))
		return;
	tick();
	if (!change(words[0], words))
		say("no such command");
}

int main(int count, char **arguments)
{
	char line[LINE];
	if (count != 2 || chdir(arguments[1]) != 0)
		return 2;
	top = arguments[1];
	memset(files, -1, sizeof files);
	umask(0);
	signal(SIGBUS, on_sigbus);
	FILE *commands = fdopen(dup(0), "r");
	while (fgets(line, sizeof line, commands)) {
		answer[0] = 0;
		obey(line);
		say("\n");
		if (send(0, answer, strlen(answer), MSG_NOSIGNAL) < 0)
			return 1;
	}
	return 0;
}
