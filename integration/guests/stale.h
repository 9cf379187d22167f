/*
 * What the guests about stale caches share: saying what a call gave, steps in another thread or process, and a
 * word with whoever started the guest.
 *
 * mkdir and mkdirat are the calls that are bypassed, mknod and mknodat the calls that are the kernel's: so a
 * report tells whether they were.
 */
#ifndef STALE_H
#define STALE_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The mountpoint, an empty directory in it, and a pipe with a name through which the test answers. */
static const char *mountpoint, *directory, *answers;

static inline void must(long result, const char *what)
{
	if (result < 0) {
		printf("%s: %s\n", what, strerrorname_np(errno));
		fflush(stdout);
		_exit(1);
	}
}

static inline const char *below(const char *dir, const char *name)
{
	static _Thread_local char paths[8][1024];
	static _Thread_local int next;
	char *path = paths[next++ % 8];
	snprintf(path, sizeof paths[0], "%s/%s", dir, name);
	return path;
}

static inline const char *numbered(const char *name, int number)
{
	static _Thread_local char texts[8][64];
	static _Thread_local int next;
	char *text = texts[next++ % 8];
	snprintf(text, sizeof texts[0], "%s%d", name, number);
	return text;
}

/* What is the test's own preparation. */
static inline const char *prepare(const char *name, mode_t mode)
{
	const char *dir = strdup(below(directory, name));
	must(mkdir(dir, 0755), dir);
	must(chmod(dir, mode), dir);
	return dir;
}

static inline int open_dir(const char *path)
{
	int descriptor = open(path, O_RDONLY | O_DIRECTORY);
	must(descriptor, path);
	return descriptor;
}

/* The next name's; processes share it. */
static int *name_number;

/* A line a call: `who: call result`, and whose the new node is. */
static inline void made(const char *who, const char *call, long result, int at, const char *name)
{
	struct stat status;
	if (result < 0)
		printf("%s: %s %s\n", who, call, strerrorname_np(errno));
	else if (fstatat(at, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		printf("%s: %s done, then %s\n", who, call, strerrorname_np(errno));
	else
		printf("%s: %s done, mode %o owner %d:%d\n", who, call, status.st_mode & 07777, status.st_uid,
		       status.st_gid);
	fflush(stdout);
}

/* A directory with a new name in `dir`: by mkdir, and so bypassed. */
static inline void makes(const char *who, const char *dir)
{
	const char *name = below(dir, numbered("made-", (*name_number)++));
	made(who, "mkdir", mkdir(name, 0777), AT_FDCWD, name);
}

/* As `makes`, relative to a descriptor. */
static inline void makes_at(const char *who, int at)
{
	const char *name = numbered("made-", (*name_number)++);
	made(who, "mkdirat", mkdirat(at, name, 0777), at, name);
}

/* A node by mknod, where the kernel is to be asked. */
static inline void asks(const char *who, const char *dir)
{
	const char *name = below(dir, numbered("node-", (*name_number)++));
	made(who, "mknod", syscall(SYS_mknod, name, S_IFREG | 0666, 0), AT_FDCWD, name);
}

static inline void asks_at(const char *who, int at)
{
	const char *name = numbered("node-", (*name_number)++);
	made(who, "mknodat", mknodat(at, name, S_IFREG | 0666, 0), at, name);
}

/* Until the mount has been asked whether it is served. */
static inline void warm(const char *dir)
{
	const char *nothing = strdup(below(dir, "nothing"));
	for (int i = 0; i < 100; i++) {
		rmdir(nothing);
		if (i % 10 == 0)
			usleep(2000);
	}
}

/* Has the test do something, and waits until it did. */
static inline void outsider(const char *what)
{
	char byte;
	printf("> %s\n", what);
	fflush(stdout);
	int answer = open(answers, O_RDONLY);
	must(answer, answers);
	must(read(answer, &byte, 1) == 1 ? 0 : -1, "answer");
	close(answer);
}

/* --- Another thread, or a process, which does one step after the other. --- */

typedef void (*step)(const void *);

struct peer {
	pthread_t thread;
	pid_t process;
	int steps[2], done[2];
};

struct todo {
	step step;
	const void *argument;
};

static inline void work(struct peer *peer)
{
	struct todo todo;
	while (read(peer->steps[0], &todo, sizeof todo) == sizeof todo && todo.step) {
		todo.step(todo.argument);
		must(write(peer->done[1], "+", 1), "write");
	}
}

static inline void *work_in_thread(void *peer)
{
	work(peer);
	return NULL;
}

static inline struct peer *pipes(void)
{
	struct peer *peer = calloc(1, sizeof *peer);
	must(pipe2(peer->steps, O_CLOEXEC) | pipe2(peer->done, O_CLOEXEC), "pipe");
	return peer;
}

static inline struct peer *thread(void)
{
	struct peer *peer = pipes();
	must(-pthread_create(&peer->thread, NULL, work_in_thread, peer), "pthread_create");
	return peer;
}

/* A child that shares what `flags` of clone(2) say. */
static inline struct peer *process(unsigned long flags)
{
	struct peer *peer = pipes();
	fflush(stdout);
	peer->process = (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
	must(peer->process, "clone");
	if (peer->process == 0) {
		work(peer);
		fflush(stdout);
		_exit(0);
	}
	return peer;
}

static inline void has(struct peer *peer, step step, const void *argument)
{
	struct todo todo = {step, argument};
	char byte;
	must(write(peer->steps[1], &todo, sizeof todo), "write");
	must(read(peer->done[0], &byte, 1) == 1 ? 0 : -1, "the peer");
}

static inline void end(struct peer *peer)
{
	struct todo todo = {0};
	must(write(peer->steps[1], &todo, sizeof todo), "write");
	if (peer->process)
		must(waitpid(peer->process, NULL, 0), "waitpid");
	else
		pthread_join(peer->thread, NULL);
	for (int i = 0; i < 2; i++) {
		close(peer->steps[i]);
		close(peer->done[i]);
	}
	free(peer);
}

/* --- A race: one thread changes something to and fro, the other one calls. --- */

/* How many times a race is run; FINESSE_RACES asks for more. */
static inline int races(void)
{
	const char *asked = getenv("FINESSE_RACES");
	return asked ? atoi(asked) : 100;
}

/*
 * A call that began and ended while nothing changed must give the one answer; any other, one of the two. The
 * count is odd while a change is under way; half of it, odd or even, is which of the two holds.
 */
struct race {
	step change;         /* to `*(int *)`, 0 or 1 */
	int (*call)(int);    /* the number of the call; says which of the two it met, or -1 for neither */
	atomic_int count, over;
};

static inline void *change_to_and_fro(void *argument)
{
	struct race *race = argument;
	unsigned dice = 1;
	while (!race->over) {
		int to = (race->count / 2 + 1) % 2;
		race->count++;
		race->change(&to);
		race->count++;
		dice = dice * 1103515245 + 12345;
		if (dice >> 30)
			usleep(dice >> 22 & 255);
	}
	return NULL;
}

/* At least so many calls, and until both have been met. */
static inline void run_race(const char *what, struct race race, int calls)
{
	pthread_t changer;
	int neither = 0, stale = 0, both[2] = {0};
	must(-pthread_create(&changer, NULL, change_to_and_fro, &race), "pthread_create");
	for (int i = 0; i < calls || ((!both[0] || !both[1]) && i < 50 * calls); i++) {
		int before = race.count;
		int met = race.call(i);
		int after = race.count;
		if (met < 0)
			neither++;
		else if (before == after && before % 2 == 0 && met != before / 2 % 2)
			stale++;
		else
			both[met]++;
	}
	race.over = 1;
	pthread_join(changer, NULL);
	printf("%s: %d neither, %d stale, %s\n", what, neither, stale, both[0] && both[1] ? "both" : "one only");
	fflush(stdout);
}

struct scenario {
	const char *name;
	void (*run)(void);
};

/* Arguments: SCENARIO MOUNTPOINT DIRECTORY ANSWERS. */
static inline int run_scenario(int count, char **arguments, const struct scenario *scenarios)
{
	if (count != 5)
		return 2;
	mountpoint = arguments[2];
	directory = arguments[3];
	answers = arguments[4];
	name_number = mmap(NULL, sizeof *name_number, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(name_number == MAP_FAILED ? -1 : 0, "mmap");
	warm(directory);
	for (; scenarios->name; scenarios++) {
		if (strcmp(scenarios->name, arguments[1]) == 0) {
			scenarios->run();
			puts("end");
			return 0;
		}
	}
	return 2;
}

#endif
