/*
 * A program that gets the agent, and then does what an agent could get wrong. Prints what came of each call; two
 * equal file systems give the same text.
 *
 * Usage: resident DIRECTORY [switch-users]; it starts itself with other words in the place of the last.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { THREADS = 6, ROUNDS = 60, OTHER_USER = 65534 };

static const char *root;

static void say(const char *what, long result)
{
	if (result == -1)
		printf("%s: %s\n", what, strerrorname_np(errno));
	else
		printf("%s: %ld\n", what, result);
}

static void say_mode(const char *what, int dir, const char *path)
{
	struct stat s;
	if (fstatat(dir, path, &s, 0) == 0)
		printf("%s: mode %o owner %u:%u\n", what, s.st_mode, s.st_uid, s.st_gid);
	else
		say(what, -1);
}

/* Enough calls from each site for the agent to come and the sites to be rewritten. */
static void warm_up(void)
{
	for (int i = 0; i < 40; i++) {
		if (mkdir("warm", 0700) || rmdir("warm") || mkdirat(AT_FDCWD, "warm", 0700) ||
		    unlinkat(AT_FDCWD, "warm", AT_REMOVEDIR))
			say("warm-up", -1);
		if (unlink("warm") == 0)
			say("unlink of nothing", 0);
	}
}

/* ---- Paths and pointers ---- */

static void paths(void)
{
	static char path[8192];
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	say("null", unlink((char *)1));
	say("low", mkdir((char *)8, 0700));
	mprotect(pages + 4096, 4096, PROT_NONE);
	strcpy(pages + 4096 - 5, "edge");
	say("up to the edge", mkdir(pages + 4096 - 5, 0700));
	memset(pages + 4090, 'a', 6);
	say("beyond the edge", mkdir(pages + 4090, 0700));
	mprotect(pages + 4096, 4096, PROT_READ | PROT_WRITE);
	strcpy(pages + 4096 - 3, "across");
	say("across pages", mkdir(pages + 4096 - 3, 0700));
	say("empty", mkdir("", 0700));
	say("dot", rmdir("."));
	say("dots", mkdir("a..b", 0700));
	say("up", mkdir("across/../up", 0700));
	say("slashes", mkdir("//tmp//", 0700));
	say("trailing", rmdir("edge/"));
	for (int length = 4094; length <= 4097; length++) {
		memset(path, '/', sizeof path);
		memcpy(path, "./", 2);
		strcpy(path + length - 4, "long");
		say("long path", mkdir(path, 0700));
		say("long path", rmdir(path));
	}
	memset(path, 'n', 256);
	path[255] = 0;
	say("long name", mkdir(path, 0700));
	say("long name", rmdir(path));
	path[255] = 'n';
	path[256] = 0;
	say("longer name", mkdir(path, 0700));
	snprintf(path, sizeof path, "%s/absolute", root);
	say("absolute", mkdir(path, 0700));
	say("absolute", rmdir(path));
	snprintf(path, sizeof path, "/%s/absolute", root);
	say("two slashes", mkdir(path, 0700));
	snprintf(path, sizeof path, "%sx", root);
	say("beside", rmdir(path));
	say("the mount", rmdir(root));
}

/* ---- Attributes, times, sizes: what calls beside their paths read and write ---- */

/* The compiler need not know. */
static void *volatile nowhere = (void *)8;
static volatile size_t everywhere = -1;

static void say_bytes(const char *what, long result, const char *bytes)
{
	unsigned long sum = 0;
	for (long i = 0; i < result; i++)
		sum = sum * 31 + (unsigned char)bytes[i];
	say(what, result);
	if (result > 0)
		printf("%s: %lx\n", what, sum);
}

static void say_times(const char *path)
{
	struct stat s;
	stat(path, &s);
	printf("%ld.%09ld %ld.%09ld\n", s.st_atim.tv_sec, s.st_atim.tv_nsec, s.st_mtim.tv_sec, s.st_mtim.tv_nsec);
}

/* Values of many sizes; names up to the longest; buffers that are too small, or end in the middle. */
static void attributes_of(const char *path, char *edge)
{
	static char value[65537], got[65537], name[300];
	memset(value, 'v', sizeof value);
	for (int size = 0; size <= 4000; size += 800) {
		say("set", setxattr(path, "user.a", value, size, 0));
		say_bytes("get", getxattr(path, "user.a", got, sizeof got), got);
		say("size", getxattr(path, "user.a", NULL, 0));
		say("small", getxattr(path, "user.a", got, 799));
		say("exact", lgetxattr(path, "user.a", got, size ? size : 1));
		say("to the edge", getxattr(path, "user.a", edge - size, size ? size : 1));
		say("over the edge", getxattr(path, "user.a", edge - 100, 4000));
		say("room for all", getxattr(path, "user.a", got, everywhere));
	}
	/* File systems have little room for them. */
	say("short", setxattr(path, "user.a", value, 50, 0));
	say("too large", setxattr(path, "user.b", value, 65537, 0));
	say("large", setxattr(path, "user.b", value, 65536, 0) == 0 ? 0 : 1);
	say("value beyond the edge", setxattr(path, "user.c", edge - 100, 200, 0));
	say("value to the edge", setxattr(path, "user.c", edge - 100, 100, 0));
	say("no value", setxattr(path, "user.d", nowhere, 0, 0));
	say("bad value", setxattr(path, "user.d", nowhere, 1, 0));
	say("bad flags", setxattr(path, "user.d", "", 0, 7));
	say("there", setxattr(path, "user.d", "", 0, XATTR_CREATE));
	say("not there", lsetxattr(path, "user.e", "", 0, XATTR_REPLACE));
	for (int length = 253; length <= 257; length++) {
		memset(name, 'n', sizeof name);
		memcpy(name, "user.", 5);
		name[length] = 0;
		say("long name", setxattr(path, name, "x", 1, 0));
		say("long name", getxattr(path, name, got, 1));
		say("long name", removexattr(path, name));
	}
	say("dots", setxattr(path, "user...", "x", 1, 0));
	say("bad name", getxattr(path, nowhere, got, 8));
	say("empty name", getxattr(path, "", got, 8));
	say("no space", getxattr(path, "nonsense", got, 8));
	say("bad buffer", getxattr(path, "user.a", nowhere, 4000));
	say("list size", listxattr(path, NULL, 0));
	say_bytes("list", listxattr(path, got, sizeof got), got);
	say("list small", llistxattr(path, got, 3));
	say("list nowhere", llistxattr(path, nowhere, 4000));
	say("remove", removexattr(path, "user.a") | removexattr(path, "user.c") | lremovexattr(path, "user.d"));
	say("remove again", lremovexattr(path, "user.a"));
	say("remove bad", removexattr(path, nowhere));
}

static long old_times(long number, const char *path, const void *times)
{
	return number == SYS_futimesat ? syscall(number, AT_FDCWD, path, times) : syscall(number, path, times);
}

static void times_of(const char *path, char *edge)
{
	static const long numbers[] = {SYS_utime, SYS_utimes, SYS_futimesat};
	static const long times[][4] = {
		{1000, 2000, 3000, 4000}, {1000, 999999, 2000, 0}, {1000, 1000000, 2000, 0}, {1000, 0, 2000, -1},
		{5, (1 << 30) - 1, 6, 0}, {7, 0, 8, (1 << 30) - 2},
	};
	for (int i = 0; i < 3; i++) {
		for (int j = 0; j < 6; j++) {
			say("times", old_times(numbers[i], path, times[j]));
			say_times(path);
		}
		memcpy(edge - 16, times[0], 16);
		say("times to the edge", old_times(numbers[i], path, edge - 16));
		say("bad times", old_times(numbers[i], path, nowhere));
		say("now", old_times(numbers[i], path, NULL));
		say("times of nothing", old_times(numbers[i], "nothing", times[0]));
		say("times of no path", old_times(numbers[i], NULL, times[0]));
	}
}

static void sizes_of(const char *path, char *edge)
{
	static const off_t sizes[] = {0, 1, 70000, 1L << 40, 5, -1, (long)(1UL << 63)};
	struct stat s;
	struct statfs fs;
	for (int i = 0; i < 7; i++) {
		say("truncate", truncate(path, sizes[i]));
		stat(path, &s);
		say("size", s.st_size);
	}
	memset(&fs, 0x55, sizeof fs);
	say("statfs", statfs(path, &fs));
	printf("%lx %ld %ld %ld %lx %x %x %ld %ld\n", fs.f_type, fs.f_bsize, fs.f_namelen, fs.f_frsize, fs.f_flags,
	       fs.f_fsid.__val[0], fs.f_fsid.__val[1], fs.f_spare[0], fs.f_spare[3]);
	say("statfs over the edge", statfs(path, (void *)(edge - 60)));
	say("statfs nowhere", statfs(path, nowhere));
	say("statfs of nothing", statfs("nothing", &fs));
}

static void more_than_paths(void)
{
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(pages + 4096, 4096, PROT_NONE);
	/* Twice: a node that the kernel holds, and one that it may not. */
	for (int i = 0; i < 2; i++) {
		mknod("subject", S_IFREG | 0600, 0);
		attributes_of("subject", pages + 4096);
		times_of("subject", pages + 4096);
		sizes_of("subject", pages + 4096);
		unlink("subject");
	}
	munmap(pages, 8192);
}

/* ---- What a call hangs on ---- */

static void directories(void)
{
	mkdir("one", 0700);
	mkdir("two", 0700);
	int one = open("one", O_DIRECTORY | O_RDONLY), two = open("two", O_PATH | O_DIRECTORY);
	for (int i = 0; i < 3; i++) {
		say("in one", mkdirat(one, "x", 0700));
		say("in one", unlinkat(one, "x", AT_REMOVEDIR));
	}
	say("moved", rename("one", "three"));
	say("in three", mkdirat(one, "x", 0700));
	dup2(two, one);
	say("in two", mkdirat(one, "y", 0700));
	say("three/x", rmdir("three/x"));
	say("two/y", rmdir("two/y"));
	close(one);
	say("closed", mkdirat(one, "z", 0700));
	int out = open("/tmp", O_PATH | O_DIRECTORY);
	say("reused", out == one ? unlinkat(out, "finesse-is-not-here", 0) : 0);
	close(out);
	int file = open("file", O_CREAT | O_RDWR, 0600);
	say("file as directory", mkdirat(file, "z", 0700));
	close(file);
	say("chdir", chdir("three"));
	say("in cwd", mkdir("c", 0700));
	say("up and away", chdir("..") | rename("three", "two/four"));
	say("two/four/c", rmdir("two/four/c"));
	int gone = open("two/four", O_PATH | O_DIRECTORY);
	say("gone", rmdir("two/four"));
	say("in gone", mkdirat(gone, "x", 0700));
	close(gone);
	close(two);
	say("unlink of a directory", unlink("two"));
	say("rmdir of a file", rmdir("file"));
	say("flags", unlinkat(AT_FDCWD, "file", 1));
}

static void identity(int may_switch)
{
	umask(027);
	mkdir("umask", 0777);
	say_mode("umask", AT_FDCWD, "umask");
	umask(0);
	mkdir("open", 0777);
	say_mode("open", AT_FDCWD, "open");
	umask(022);
	if (!may_switch)
		return;
	for (int i = 0; i < 3; i++) {
		say("other user", syscall(SYS_setresuid, OTHER_USER, OTHER_USER, 0));
		say("theirs", mkdir("open/theirs", 0755));
		say_mode("theirs", AT_FDCWD, "open/theirs");
		say("ours", mkdir("umask/no", 0755));
		say("root again", syscall(SYS_setresuid, 0, 0, 0));
		say("ours", mkdir("umask/yes", 0755));
		say_mode("ours", AT_FDCWD, "umask/yes");
		say("theirs", rmdir("open/theirs") | rmdir("umask/yes"));
	}
}

/* ---- Processes, threads, signals ---- */

static int make_and_remove(const char *kind, int number)
{
	char name[32];
	int bad = 0;
	for (int i = 0; i < ROUNDS; i++) {
		snprintf(name, sizeof name, "%s%d-%d", kind, number, i);
		bad += mkdir(name, 0700) != 0;
		bad += mkdir(name, 0700) == 0 || errno != EEXIST;
		bad += rmdir(name) != 0;
		bad += unlink(name) == 0 || errno != ENOENT;
	}
	return bad;
}

static void children(void)
{
	volatile int bad = 0;
	int status;
	for (volatile int i = 0; i < 4; i++) {
		pid_t child = fork();
		if (child == 0)
			_exit(make_and_remove("child", i));
		if (i % 2)
			bad += make_and_remove("parent", i);
		waitpid(child, &status, 0);
		bad += status;
		child = vfork();
		if (child == 0) {
			unlink("nothing");
			execl("/bin/true", "true", (char *)0);
			_exit(9);
		}
		waitpid(child, &status, 0);
		bad += status;
	}
	say("children", bad);
}

/* ---- Processes that share their memory, and so the agent in it ---- */

static volatile int turn;
static int becomes_another;

static void wait_for_turn(int number)
{
	while (turn != number)
		usleep(100);
}

/* Another process than its parent, in the same memory: what it is, the parent is not. */
static int sharer(void *unused)
{
	(void)unused;
	if (becomes_another)
		syscall(SYS_setresuid, OTHER_USER, OTHER_USER, OTHER_USER);
	else
		umask(077);
	turn = 1;
	wait_for_turn(2);
	for (int i = 0; i < 3; i++) {
		mkdir("open/shared", 0777);
		say_mode("made by the sharer", AT_FDCWD, "open/shared");
		say("removed by the sharer", rmdir("open/shared"));
	}
	turn = 3;
	wait_for_turn(4);
	_exit(0);
}

static void sharers(void)
{
	static char stack[65536];
	pid_t child = clone(sharer, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL);
	say("sharer", child > 0);
	wait_for_turn(1);
	/* What suspended the agent is over for the parent. */
	for (int i = 0; i < 20; i++) {
		mkdir("open/own", 0777);
		rmdir("open/own");
	}
	turn = 2;
	wait_for_turn(3);
	mkdir("open/own", 0777);
	say_mode("made by the parent", AT_FDCWD, "open/own");
	rmdir("open/own");
	turn = 4;
	int status;
	waitpid(child, &status, 0);
	say("sharer's end", status);
}

static void *thread(void *number)
{
	return (void *)(long)make_and_remove("thread", (int)(long)number);
}

static volatile sig_atomic_t in_handler, handled;
static sigjmp_buf out;

static void nested(int signal)
{
	(void)signal;
	int error = errno;
	char name[32];
	snprintf(name, sizeof name, "nested-%d", (int)syscall(SYS_gettid));
	if (mkdir(name, 0700) || rmdir(name))
		in_handler++;
	handled++;
	errno = error;
}

static void leave(int signal)
{
	(void)signal;
	siglongjmp(out, 1);
}

static void alarm_every(long microseconds)
{
	struct itimerval every = {{0, microseconds}, {0, microseconds}};
	setitimer(ITIMER_REAL, &every, NULL);
}

static void threads_and_signals(void)
{
	pthread_t threads[THREADS];
	long bad = 0;
	struct sigaction action = {.sa_handler = nested, .sa_flags = SA_RESTART};
	sigaction(SIGALRM, &action, NULL);
	alarm_every(700);
	say("under signals", make_and_remove("signals", 0));
	for (long i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, thread, (void *)i);
	for (int i = 0; i < THREADS; i++) {
		void *one;
		pthread_join(threads[i], &one);
		bad += (long)one;
	}
	say("threads", bad);
	alarm_every(0);
	say("in handlers", in_handler);
	say("handled", handled > 0);
	/* Each leaves a call in the middle; more often than there are slots. */
	action.sa_handler = leave;
	action.sa_flags = 0;
	sigaction(SIGALRM, &action, NULL);
	for (volatile int i = 0; i < 64; i++) {
		sigset_t alarm_only;
		sigemptyset(&alarm_only);
		sigaddset(&alarm_only, SIGALRM);
		if (sigsetjmp(out, 1) == 0) {
			struct itimerval once = {{0, 0}, {0, 300}};
			setitimer(ITIMER_REAL, &once, NULL);
			for (;;)
				unlink("never");
		}
	}
	say("after leaving", make_and_remove("left", 0));
}

/* They end the agent's work, so in a program of their own. */
static void start_sharers(const char *how)
{
	int status;
	pid_t child = fork();
	if (child == 0) {
		execl("/proc/self/exe", "resident", root, how, (char *)0);
		_exit(9);
	}
	waitpid(child, &status, 0);
	say(how, status);
}

int main(int count, char **arguments)
{
	if (count < 2 || chdir(arguments[1]) != 0)
		return 2;
	root = arguments[1];
	setbuf(stdout, NULL);
	warm_up();
	if (count > 2 && strncmp(arguments[2], "share", 5) == 0) {
		becomes_another = strcmp(arguments[2], "share-and-switch") == 0;
		sharers();
		return 0;
	}
	paths();
	more_than_paths();
	directories();
	identity(count > 2);
	children();
	start_sharers("share");
	if (count > 2)
		start_sharers("share-and-switch");
	threads_and_signals();
	return 0;
}
