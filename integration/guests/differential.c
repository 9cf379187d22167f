/*
 * Some processes take turns in making calls that a seed determines, and print a line a call: who asked, what,
 * and what came of it. Two file systems that behave alike give the same text.
 *
 * Usage: differential DIRECTORY SEED STEPS [CROWD [SCENE OTHERS]]
 *
 * CROWD says who the processes are: "alone", as this one is; "owners", root and some that are not let in;
 * "everybody", users with groups and capabilities of all kinds. SCENE says what happens to the mount
 * meanwhile: nothing, "read-only" or "no-symlinks" come and go, or mounts "below" do; it needs a mount
 * namespace of its own, other than OTHERS, which is what /proc/self/ns/mnt says elsewhere.
 *
 * DIRECTORY, an absolute path, has to lie 120 directories deep, whose names are none of those used here: a
 * path here holds at most 19 `..`, the kernel follows at most 40 symbolic links, and none made here holds more
 * than two; so no call reaches as far up as directories of others.
 *
 * With WITHOUT_SOCKETS in the environment fifos are made in the place of sockets.
 *
 * What two equal file systems may disagree in is not printed: inode and device numbers, present times, sizes
 * of directories, the order of listings.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif
/* ST_NOSYMFOLLOW of statfs(2). */
#define MS_SHOWN_NOSYMFOLLOW 0x2000

#include "differential/draw.h"
#include "differential/paths.h"
#include "differential/say.h"
#include "differential/people.h"
#include "differential/changes.h"
#include "differential/looks.h"
#include "differential/mounts.h"

/* ---- One step ---- */

struct weighted {
	void (*call)(void);
	unsigned weight;
};

static const struct weighted calls[] = {
	{do_mkdir, 10}, {do_mknod, 10}, {do_unlink, 8}, {do_rename, 12}, {do_link, 7}, {do_symlink, 8}, {do_chmod, 6},
	{do_chown, 6}, {do_truncate, 3}, {do_times, 6}, {do_setxattr, 5}, {do_removexattr, 3}, {do_getxattr, 4},
	{do_listxattr, 3}, {do_stat, 8}, {do_statx, 6}, {do_access, 7}, {do_readlink, 5}, {do_statfs, 1},
	{observe_file, 8}, {observe_dir, 4}, {observe_descriptor, 2}, {change_dir, 3}, {change_dir_fd, 5},
	{change_file_fd, 2}, {change_umask, 2}, {change_user, 3},
};

static void call_one(void)
{
	unsigned sum = 0;
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		sum += calls[i].weight;
	unsigned drawn = below(sum);
	for (size_t i = 0;; i++) {
		if (drawn < calls[i].weight) {
			calls[i].call();
			return;
		}
		drawn -= calls[i].weight;
	}
}

static void step(unsigned long number)
{
	printf("%lu p%d ", number, self);
	int is_first = !arrived;
	if (is_first)
		arrive();
	if (self == CARETAKER && number % 100 == 0)
		start_afresh();
	else if (is_first)
		;
	else if (self == CARETAKER && scene != AS_MOUNTED && one_in(12))
		change_mounts();
	else
		call_one();
	putchar('\n');
}

/* ---- Turns ---- */

enum { PEOPLE = 7 };

/* Whoever holds it makes the next step, and draws who comes after. */
struct turn {
	uint64_t state;
	unsigned long step;
};

static int ways[PEOPLE][2];

static void hand_to(int person, struct turn turn)
{
	turn.state = state;
	fflush(stdout);
	if (write(ways[person][1], &turn, sizeof turn) != sizeof turn)
		exit(7);
}

static int next_person(unsigned long number)
{
	/* The caretaker first, and whenever things are put in order. */
	if (number % 100 == 0)
		return CARETAKER;
	return one_in(4) ? CARETAKER : (int)below(PEOPLE);
}

static void live(unsigned long steps)
{
	struct turn turn;
	for (;;) {
		if (read(ways[self][0], &turn, sizeof turn) != sizeof turn)
			exit(7);
		state = turn.state;
		int next = self;
		while (next == self) {
			if (turn.step == steps)
				exit(0);
			step(turn.step++);
			next = next_person(turn.step);
		}
		hand_to(next, turn);
	}
}

static pid_t people[PEOPLE];

static int start_all(unsigned long steps)
{
	for (self = 0; self < PEOPLE; self++)
		if (pipe2(ways[self], O_CLOEXEC) != 0)
			return -1;
	for (self = 0; self < PEOPLE; self++) {
		people[self] = fork();
		if (people[self] == 0)
			live(steps);
		if (people[self] < 0)
			return -1;
	}
	hand_to(CARETAKER, (struct turn){state, 0});
	return 0;
}

/* The first to end has made the last step, or failed. */
static int end_all(void)
{
	int status, other;
	pid_t first = wait(&status);
	for (int i = 0; i < PEOPLE; i++)
		if (people[i] != first && people[i] > 0)
			kill(people[i], SIGKILL);
	while (wait(&other) > 0)
		;
	if (WIFSIGNALED(status))
		fprintf(stderr, "differential: killed by signal %d\n", WTERMSIG(status));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 8;
}

static int choose(const char *word, const char *const *words, int count)
{
	for (int i = 0; i < count; i++)
		if (strcmp(word, words[i]) == 0)
			return i;
	fprintf(stderr, "differential: what is %s?\n", word);
	exit(2);
}

int main(int count, char **arguments)
{
	static const char *const crowds[] = {"everybody", "owners", "alone"};
	static const char *const scenes[] = {"as-mounted", "read-only", "no-symlinks", "below"};
	if (count < 4 || arguments[1][0] != '/' || chdir(arguments[1]) != 0) {
		fprintf(stderr, "usage: differential DIRECTORY SEED STEPS [CROWD [SCENE OTHERS]]\n");
		return 2;
	}
	root = arguments[1];
	root_length = strlen(root);
	state = strtoull(arguments[2], NULL, 10);
	crowd = count > 4 ? (enum crowd)choose(arguments[4], crowds, 3) : ALONE;
	scene = count > 5 ? (enum scene)choose(arguments[5], scenes, 4) : AS_MOUNTED;
	if (scene != AS_MOUNTED) {
		if (count < 7 || !is_apart_from(arguments[6])) {
			fprintf(stderr, "differential: mounts would change for others, too\n");
			return 2;
		}
		leave_other_mounts();
	}
	make_pages();
	if (start_all(strtoul(arguments[3], NULL, 10)) != 0) {
		perror("differential");
		return 7;
	}
	return end_all();
}
