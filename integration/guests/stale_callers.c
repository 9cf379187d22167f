/*
 * A program whose threads and processes change credentials and umask between calls and meanwhile. What each
 * call gave is printed. Usage: stale_callers SCENARIO MOUNTPOINT DIRECTORY ANSWERS (see stale.h).
 */
#include "stale.h"
#include <grp.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>

enum { USER = 1000, GROUP = 1234 };

/* Open to all, to root, and to a group. */
static const char *open_place, *closed_place, *group_place;

static void places(void)
{
	open_place = prepare("open", 0777);
	closed_place = prepare("closed", 0700);
	group_place = prepare("group", 0770);
	must(chown(group_place, 0, GROUP), "chown");
}

static void everywhere(const void *who)
{
	makes(who, open_place);
	makes(who, closed_place);
	makes(who, group_place);
}

static long capabilities(const struct __user_cap_data_struct *data)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	return syscall(SYS_capset, &header, data);
}

static void drop_all(const void *unused)
{
	struct __user_cap_data_struct data[2] = {{0, ~0u, 0}, {0, ~0u, 0}};
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct now[2];
	must(syscall(SYS_capget, &header, now), "capget");
	for (int i = 0; i < 2; i++)
		data[i].permitted = now[i].permitted;
	must(capabilities(data), "capset");
	(void)unused;
}

static void raise_all(const void *unused)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct now[2];
	must(syscall(SYS_capget, &header, now), "capget");
	for (int i = 0; i < 2; i++)
		now[i].effective = now[i].permitted;
	must(capabilities(now), "capset");
	(void)unused;
}

static void closed_for(const void *unused)
{
	/* Root owns it; without capabilities that is enough, so it is given away. */
	must(chown(closed_place, USER, USER), "chown");
	(void)unused;
}

static void fs_user(const void *user) { syscall(SYS_setfsuid, *(const uid_t *)user); }
static void fs_group(const void *group) { syscall(SYS_setfsgid, *(const gid_t *)group); }
static void groups(const void *number) { must(syscall(SYS_setgroups, *(const int *)number, (gid_t[]){GROUP}), "setgroups"); }
static void effective_user(const void *user) { must(syscall(SYS_setresuid, -1, *(const uid_t *)user, -1), "setresuid"); }
static void effective_group(const void *group) { must(syscall(SYS_setresgid, -1, *(const gid_t *)group, -1), "setresgid"); }
static void swapped_user(const void *user) { must(syscall(SYS_setreuid, -1, *(const uid_t *)user), "setreuid"); }
static void swapped_group(const void *group) { must(syscall(SYS_setregid, -1, *(const gid_t *)group), "setregid"); }
static void plain_group(const void *group) { must(syscall(SYS_setgid, *(const gid_t *)group), "setgid"); }
static void plain_user(const void *user) { must(syscall(SYS_setuid, *(const uid_t *)user), "setuid"); }

static void keep_capabilities(const void *user)
{
	must(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP), "securebits");
	must(syscall(SYS_setresuid, -1, *(const uid_t *)user, -1), "setresuid");
}

/* One thread changes, another one keeps what it has. */
static void each(const char *what, step change, const void *there, const void *back)
{
	char who[3][64];
	snprintf(who[0], sizeof who[0], "%s, who changed", what);
	snprintf(who[1], sizeof who[1], "%s, the other", what);
	snprintf(who[2], sizeof who[2], "%s, who changed back", what);
	struct peer *peer = thread();
	has(peer, everywhere, "before");
	everywhere("main before");
	has(peer, change, there);
	has(peer, everywhere, who[0]);
	everywhere(who[1]);
	if (back) {
		has(peer, change, back);
		has(peer, everywhere, who[2]);
	}
	end(peer);
}

static void credentials(void)
{
	static const uid_t user = USER, root = 0;
	static const gid_t group = GROUP;
	static const int some = 1, none = 0;
	places();
	must(setgroups(0, NULL), "setgroups");
	each("setfsuid", fs_user, &user, &root);
	each("setfsgid", fs_group, &group, &root);
	each("setgroups", groups, &some, &none);
	each("setresuid", effective_user, &user, &root);
	each("setresgid", effective_group, &group, &root);
	each("setreuid", swapped_user, &user, &root);
	each("setregid", swapped_group, &group, &root);
	each("setgid", plain_group, &group, &root);
	each("setuid", plain_user, &user, NULL);
	each("setresuid with capabilities kept", keep_capabilities, &user, NULL);
	/* A user of the group, from two calls. */
	struct peer *peer = thread();
	has(peer, groups, &some);
	has(peer, fs_user, &user);
	has(peer, everywhere, "setgroups and setfsuid");
	has(peer, fs_user, &root);
	has(peer, groups, &none);
	end(peer);
	closed_for(NULL);
	peer = thread();
	has(peer, everywhere, "before");
	has(peer, drop_all, NULL);
	has(peer, everywhere, "capset, who dropped");
	everywhere("capset, the other");
	has(peer, raise_all, NULL);
	has(peer, everywhere, "capset, who raised");
	end(peer);
}

/* A fork takes what its thread had. */
static void inheritance(void)
{
	static const uid_t user = USER, root = 0;
	places();
	must(setgroups(0, NULL), "setgroups");
	everywhere("parent");
	syscall(SYS_setfsuid, USER);
	struct peer *child = process(0);
	has(child, everywhere, "child of a user");
	syscall(SYS_setfsuid, 0);
	everywhere("parent, root again");
	has(child, everywhere, "child of a user still");
	has(child, fs_user, &root);
	has(child, everywhere, "child, root");
	has(child, fs_user, &user);
	everywhere("parent, root still");
	end(child);
}

/* A process with the number of one that has ended. */
static pid_t clone_as(pid_t wanted)
{
	struct clone_args arguments = {.exit_signal = SIGCHLD};
	if (wanted) {
		arguments.set_tid = (__u64)(uintptr_t)&wanted;
		arguments.set_tid_size = 1;
	}
	fflush(stdout);
	return (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
}

static void as_somebody_else(void)
{
	umask(077);
	must(chdir(open_place), "chdir");
	must(syscall(SYS_setgroups, 0, NULL), "setgroups");
	must(syscall(SYS_setresuid, USER, USER, USER), "setresuid");
	everywhere("first of that number");
	makes("first of that number, from its cwd", ".");
	_exit(0);
}

static void as_before(void)
{
	everywhere("second of that number");
	makes("second of that number, from its cwd", ".");
	_exit(0);
}

static void numbers(void)
{
	places();
	must(chdir(directory), "chdir");
	for (int i = 0; i < 20; i++) {
		pid_t first = clone_as(0), second;
		if (first == 0)
			as_somebody_else();
		must(first, "clone3");
		must(waitpid(first, NULL, 0), "waitpid");
		/* Somebody else may have it by now: then a number like any other. */
		second = clone_as(first);
		if (second < 0 && errno == EEXIST)
			second = clone_as(0);
		if (second == 0)
			as_before();
		must(second, "clone3 with a number");
		must(waitpid(second, NULL, 0), "waitpid");
	}
}


static int makes_as(uid_t user, int number)
{
	struct stat status;
	const char *name = below(open_place, numbered(user ? "user-" : "root-", number));
	if (mkdir(name, 0777) < 0 || lstat(name, &status) < 0)
		return -1;
	return status.st_uid == USER ? 1 : status.st_uid == 0 ? 0 : -1;
}

/* Each thread changes its own ids all the time, and finds its own in what it makes. */
static void *to_and_fro(void *user)
{
	uid_t own = *(uid_t *)user;
	long wrong = 0;
	for (int i = 0; i < races(); i++) {
		uid_t now = i % 2 ? own : 0;
		struct stat status;
		const char *name = below(open_place, numbered(own == USER ? "a-" : "b-", i));
		syscall(SYS_setfsuid, now);
		long result = mkdir(name, 0777);
		syscall(SYS_setfsuid, 0);
		wrong += result < 0 || lstat(name, &status) < 0 || status.st_uid != now;
	}
	return (void *)wrong;
}

static void racing_credentials(void)
{
	places();
	pthread_t threads[2];
	uid_t users[2] = {USER, USER + 1};
	void *wrong;
	for (int i = 0; i < 2; i++)
		must(-pthread_create(&threads[i], NULL, to_and_fro, &users[i]), "pthread_create");
	int as_user = 0;
	for (int i = 0; i < races(); i++)
		as_user += makes_as(0, i) != 0;
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], &wrong);
		printf("thread: %ld wrong\n", (long)wrong);
	}
	printf("main: %d wrong\n", as_user);
}

static void mask(const void *mask) { umask(*(const mode_t *)mask); }
static void make_one(const void *who) { makes(who, directory); }

static void umasks(void)
{
	static const mode_t strict = 077, none = 0, usual = 022;
	struct peer *peer = thread();
	make_one("main before");
	has(peer, make_one, "before");
	has(peer, mask, &strict);
	make_one("main after another thread's umask");
	has(peer, make_one, "after its umask");
	umask(none);
	has(peer, make_one, "after main's umask");
	has(peer, mask, &usual);
	has(peer, mask, &strict);
	make_one("main after two");
	end(peer);
	struct peer *child = process(0);
	has(child, make_one, "child");
	has(child, mask, &none);
	make_one("main after its child's umask");
	has(child, make_one, "child after its umask");
	umask(022);
	has(child, make_one, "child after main's umask");
	make_one("main after its own umask");
	end(child);
}

static void set_one_of_two(const void *which) { umask(*(const int *)which ? 077 : 022); }

static int meets_mask(int number)
{
	struct stat status;
	const char *name = below(directory, numbered("m-", number));
	if (mkdir(name, 0777) < 0 || lstat(name, &status) < 0)
		return -1;
	int mode = status.st_mode & 07777;
	return mode == 0755 ? 0 : mode == 0700 ? 1 : -1;
}

static pthread_barrier_t barrier;

static void *masks_at_once(void *mask)
{
	for (int i = 0; i < races(); i++) {
		pthread_barrier_wait(&barrier);
		umask(*(mode_t *)mask);
		pthread_barrier_wait(&barrier);
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

/* What the kernel has. */
static int current_mask(void)
{
	char text[4096];
	int file = open("/proc/self/status", O_RDONLY);
	ssize_t length = read(file, text, sizeof text - 1);
	close(file);
	text[length > 0 ? length : 0] = 0;
	const char *line = strstr(text, "Umask:");
	return line ? (int)strtol(line + 6, NULL, 8) : -1;
}

static void racing_umasks(void)
{
	struct race race = {.change = set_one_of_two, .call = meets_mask};
	umask(022);
	run_race("umask", race, races());
	/* Two umasks at once: whichever came last in the kernel counts. */
	pthread_t threads[2];
	mode_t masks[2] = {022, 077};
	int wrong = 0;
	pthread_barrier_init(&barrier, NULL, 3);
	for (int i = 0; i < 2; i++)
		must(-pthread_create(&threads[i], NULL, masks_at_once, &masks[i]), "pthread_create");
	for (int i = 0; i < races(); i++) {
		struct stat status;
		const char *name = below(directory, numbered("both-", i));
		pthread_barrier_wait(&barrier);
		pthread_barrier_wait(&barrier);
		must(mkdir(name, 0777), name);
		must(lstat(name, &status), name);
		wrong += (int)(status.st_mode & 0777) != (0777 & ~current_mask());
		pthread_barrier_wait(&barrier);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	printf("two umasks at once: %d wrong\n", wrong);
}

int main(int count, char **arguments)
{
	static const struct scenario scenarios[] = {
		{"credentials", credentials},
		{"inheritance", inheritance},
		{"numbers", numbers},
		{"racing-credentials", racing_credentials},
		{"umasks", umasks},
		{"racing-umasks", racing_umasks},
		{NULL, NULL},
	};
	return run_scenario(count, arguments, scenarios);
}
