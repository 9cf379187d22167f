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
#include <sys/wait.h>
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
	directories();
	identity(count > 2);
	children();
	start_sharers("share");
	if (count > 2)
		start_sharers("share-and-switch");
	threads_and_signals();
	return 0;
}
