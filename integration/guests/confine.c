/*
 * A program that confines itself, or becomes somebody else, and then tries to reach the file system in every
 * way. Usage: confine SCENARIO MOUNTPOINT DIRECTORY; DIRECTORY is an empty one in the mount.
 *
 * What comes before is done by mkdir and rmdir, what comes after by the *at variants of calls: so a report
 * tells them apart. Each line is a call and its result.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { USER = 1000, GROUP = 1234 };

static const char *mountpoint, *directory;
static int names;

static void say(const char *where, const char *what, long result)
{
	printf("%s: %s %s\n", where, what, result < 0 ? strerrorname_np(errno) : "done");
	fflush(stdout);
}

static void must(long result, const char *what)
{
	if (result < 0) {
		printf("%s: %s\n", what, strerrorname_np(errno));
		fflush(stdout);
		_exit(1);
	}
}

static const char *below(const char *dir, const char *name)
{
	static char paths[4][1024];
	static int next;
	char *path = paths[next++ % 4];
	snprintf(path, sizeof paths[0], "%s/%s", dir, name);
	return path;
}

static const char *numbered(const char *dir, const char *name, int number)
{
	char text[64];
	snprintf(text, sizeof text, "%s-%d", name, number);
	return below(dir, text);
}

/* Tries everything in `dir`, as seen from `at`. */
static void reach(const char *where, int at, const char *dir)
{
	struct stat status;
	int n = names++;
	say(where, "mkdirat", mkdirat(at, numbered(dir, "made", n), 0777));
	say(where, "mknodat", mknodat(at, numbered(dir, "node", n), S_IFREG | 0666, 0));
	say(where, "fchmodat", fchmodat(at, numbered(dir, "node", n), 0640, 0));
	say(where, "fchownat", fchownat(at, numbered(dir, "node", n), USER, -1, AT_SYMLINK_NOFOLLOW));
	say(where, "symlinkat", symlinkat("nowhere", at, numbered(dir, "link", n)));
	say(where, "linkat", linkat(at, numbered(dir, "node", n), at, numbered(dir, "hard", n), 0));
	say(where, "renameat", renameat(at, numbered(dir, "node", n), at, numbered(dir, "moved", n)));
	long result = fstatat(at, numbered(dir, "made", n), &status, 0);
	say(where, "newfstatat", result);
	if (result == 0)
		printf("%s: mode %o owner %d:%d\n", where, status.st_mode, status.st_uid, status.st_gid);
	say(where, "faccessat", faccessat(at, dir, W_OK, 0));
	say(where, "unlinkat", unlinkat(at, numbered(dir, "hard", n), 0));
	say(where, "unlinkat of what was there", unlinkat(at, below(dir, "victim"), 0));
	say(where, "rmdir of what was there", unlinkat(at, below(dir, "old"), AT_REMOVEDIR));
}

/* A place with something to take away. */
static const char *place(const char *name, mode_t mode, uid_t user, gid_t group)
{
	const char *dir = strdup(below(directory, name));
	must(mkdir(dir, 0755), dir);
	int file = open(below(dir, "victim"), O_CREAT | O_WRONLY, 0644);
	must(file, "victim");
	close(file);
	must(mkdir(below(dir, "old"), 0755), "old");
	must(chown(dir, user, group), "chown");
	must(chmod(dir, mode), "chmod");
	return dir;
}

static void before(void)
{
	const char *path = strdup(below(directory, "warm"));
	for (int i = 0; i < 10; i++) {
		must(mkdir(path, 0755), path);
		must(rmdir(path), path);
	}
}

static int open_dir(const char *path)
{
	int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(descriptor, path);
	return descriptor;
}

static void in_child(const char *where, int at, const char *dir)
{
	fflush(stdout);
	pid_t child = fork();
	must(child, "fork");
	if (child == 0) {
		reach(where, at, dir);
		_exit(0);
	}
	must(waitpid(child, NULL, 0), "waitpid");
}

/* The same program once more, in a child. */
static void in_program(const char *dir)
{
	int self = open("/proc/self/exe", O_RDONLY);
	char *arguments[] = {"confine", "reach", (char *)mountpoint, (char *)dir, NULL}, *none[] = {NULL};
	fflush(stdout);
	pid_t child = self < 0 ? -1 : vfork();
	if (child == 0) {
		syscall(SYS_execveat, self, "", arguments, none, AT_EMPTY_PATH);
		_exit(1);
	}
	int status = -1;
	if (child > 0)
		waitpid(child, &status, 0);
	printf("program: %d\n", status);
}

static void chroot_above(void)
{
	char parent[1024];
	snprintf(parent, sizeof parent, "%s", mountpoint);
	char *slash = strrchr(parent, '/');
	char inside[1024];
	const char *there = place("there", 0755, 0, 0);
	snprintf(inside, sizeof inside, "%s", there + (slash - parent));
	*slash = 0;
	int root = open_dir("/"), dir = open_dir(there), above = open_dir(parent);
	must(chdir(there), there);
	must(chroot(parent), parent);
	reach("by its name outside", AT_FDCWD, there);
	reach("by its name inside", AT_FDCWD, inside);
	reach("from the root outside", root, there + 1);
	reach("from above", above, inside + 1);
	reach("from the cwd", AT_FDCWD, ".");
	reach("from a descriptor", dir, ".");
	reach("through ..", dir, "../../work/there");
	in_child("by its name outside, in a child", AT_FDCWD, there);
	in_child("by its name inside, in a child", AT_FDCWD, inside);
}

static void chroot_into(void)
{
	const char *jail = place("jail", 0755, 0, 0), *outside = place("outside", 0755, 0, 0);
	must(mkdir(below(jail, "in"), 0755), "in");
	must(symlink(outside, below(jail, "absolute")), "absolute");
	must(symlink("../outside", below(jail, "up")), "up");
	int above = open_dir(directory);
	in_program(outside);
	must(chroot(jail), jail);
	must(chdir("/"), "/");
	reach("inside", AT_FDCWD, "/in");
	reach("outside", AT_FDCWD, outside);
	reach("by an absolute link", AT_FDCWD, "/absolute");
	reach("by a link upwards", AT_FDCWD, "/up");
	reach("by ..", AT_FDCWD, "../outside");
	reach("from above", above, "outside");
	reach("from above by a link", above, "jail/up");
	reach("from above by an absolute link", above, "jail/absolute");
	in_child("in a child", AT_FDCWD, outside);
}

static void *chroot_to(void *dir)
{
	must(chroot(dir), dir);
	return NULL;
}

static void chroot_of_a_thread(void)
{
	const char *there = place("there", 0755, 0, 0);
	pthread_t id;
	pthread_create(&id, NULL, chroot_to, (void *)directory);
	pthread_join(id, NULL);
	reach("outside", AT_FDCWD, there);
	reach("inside", AT_FDCWD, "/there");
}

static void *leave_alone(void *dir)
{
	must(unshare(CLONE_FS), "unshare");
	must(chroot(dir), dir);
	reach("in the thread, outside", AT_FDCWD, below(dir, "there"));
	reach("in the thread, inside", AT_FDCWD, "/there");
	return NULL;
}

static void thread_with_a_root_of_its_own(void)
{
	const char *there = place("there", 0755, 0, 0);
	pthread_t id;
	pthread_create(&id, NULL, leave_alone, (void *)directory);
	pthread_join(id, NULL);
	reach("beside the thread, outside", AT_FDCWD, there);
	reach("beside the thread, inside", AT_FDCWD, "/there");
}

/* In a mount namespace of its own: something else lies over the mount. */
static void cover(void)
{
	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private");
	must(mount("none", mountpoint, "tmpfs", 0, NULL), "tmpfs");
	must(mkdir(directory, 0755), directory);
}

static void unshare_mounts(void)
{
	const char *there = place("there", 0755, 0, 0);
	int dir = open_dir(there);
	must(chdir(there), there);
	must(unshare(CLONE_NEWNS), "unshare");
	reach("before the cover", AT_FDCWD, there);
	cover();
	must(mkdir(there, 0755), there);
	reach("by its name", AT_FDCWD, there);
	reach("from the cwd", AT_FDCWD, ".");
	reach("from a descriptor", dir, ".");
	in_child("by its name, in a child", AT_FDCWD, there);
	in_program(there);
	must(umount2(mountpoint, MNT_DETACH), "umount");
	reach("uncovered", AT_FDCWD, there);
}

static void clone_with_mounts(void)
{
	const char *there = place("there", 0755, 0, 0);
	fflush(stdout);
	pid_t child = (pid_t)syscall(SYS_clone, CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0);
	must(child, "clone");
	if (child == 0) {
		cover();
		must(mkdir(there, 0755), there);
		reach("in the child", AT_FDCWD, there);
		in_child("in its child", AT_FDCWD, there);
		_exit(0);
	}
	must(waitpid(child, NULL, 0), "waitpid");
}

static void setns_and_back(void)
{
	const char *there = place("there", 0755, 0, 0);
	int own = open("/proc/self/ns/mnt", O_RDONLY), ready[2], over[2];
	char byte;
	must(own | pipe(ready) | pipe(over), "setting up");
	pid_t child = fork();
	if (child == 0) {
		must(unshare(CLONE_NEWNS), "unshare");
		cover();
		must(mkdir(there, 0755), there);
		must(write(ready[1], "+", 1), "write");
		close(over[1]);
		_exit(read(over[0], &byte, 1) != 0);
	}
	must(read(ready[0], &byte, 1) == 1 ? 0 : -1, "the child");
	char name[64];
	snprintf(name, sizeof name, "/proc/%d/ns/mnt", child);
	int theirs = open(name, O_RDONLY);
	must(theirs, name);
	must(setns(theirs, CLONE_NEWNS), "setns");
	reach("in the other namespace", AT_FDCWD, there);
	must(setns(own, CLONE_NEWNS), "setns");
	reach("back", AT_FDCWD, there);
	close(over[1]);
	must(waitpid(child, NULL, 0), "waitpid");
}

static void user_namespace(void)
{
	const char *there = place("there", 0777, 0, 0);
	must(unshare(CLONE_NEWUSER), "unshare");
	reach("in a user namespace", AT_FDCWD, there);
	in_child("in its child", AT_FDCWD, there);
}

static int ruleset(void)
{
	struct landlock_ruleset_attr attributes = {.handled_access_fs = (1 << 13) - 1};
	int rules = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);
	if (rules < 0 && (errno == ENOSYS || errno == EOPNOTSUPP)) {
		puts("no landlock");
		exit(0);
	}
	must(rules, "landlock_create_ruleset");
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	return rules;
}

static void restrict_all(void)
{
	must(syscall(SYS_landlock_restrict_self, ruleset(), 0), "landlock_restrict_self");
}

static void *reach_in_thread(void *dir)
{
	reach("in a thread", AT_FDCWD, dir);
	return NULL;
}

static void landlock(void)
{
	const char *there = place("there", 0755, 0, 0);
	int dir = open_dir(there);
	restrict_all();
	reach("by its name", AT_FDCWD, there);
	reach("from a descriptor", dir, ".");
	in_child("in a child", AT_FDCWD, there);
	pthread_t id;
	pthread_create(&id, NULL, reach_in_thread, (void *)there);
	pthread_join(id, NULL);
}

/* The grandchild of `reaper` makes its first call once its parent, which restricted it, is gone. */
static void restrict_an_orphan(const char *there)
{
	int ends[2];
	char byte;
	pid_t reaper = getpid();
	must(pipe(ends), "pipe");
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		restrict_all();
		if (fork() == 0) {
			while (getppid() != reaper)
				usleep(1000);
			reach("in an orphan", AT_FDCWD, there);
		}
		_exit(0);
	}
	must(waitpid(child, NULL, 0), "waitpid");
	close(ends[1]);
	must(read(ends[0], &byte, 1), "read");
	must(wait(NULL), "the orphan");
}

static void landlock_of_an_orphan(void)
{
	const char *there = place("there", 0755, 0, 0);
	must(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "subreaper");
	restrict_an_orphan(there);
	reach("in the reaper", AT_FDCWD, there);
}

static void landlock_of_an_orphan_in_a_pid_namespace(void)
{
	const char *there = place("there", 0755, 0, 0);
	fflush(stdout);
	pid_t child = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
	must(child, "clone");
	if (child == 0) {
		before();
		restrict_an_orphan(there);
		reach("in the reaper", AT_FDCWD, there);
		_exit(0);
	}
	must(waitpid(child, NULL, 0), "waitpid");
}

/* The restricted process makes a child of its parent's. */
static void landlock_of_a_sibling(void)
{
	const char *there = place("there", 0755, 0, 0);
	fflush(stdout);
	pid_t parent = getpid(), child = fork();
	if (child == 0) {
		restrict_all();
		if (syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0) == 0) {
			if (getppid() == parent)
				reach("in a sibling", AT_FDCWD, there);
		}
		_exit(0);
	}
	must(waitpid(child, NULL, 0), "waitpid");
	must(wait(NULL), "the sibling");
	reach("in the parent", AT_FDCWD, there);
}

/* A child of a restricted process that has the id of a free one. */
static void landlock_of_a_reused_id(void)
{
	const char *there = place("there", 0755, 0, 0);
	fflush(stdout);
	pid_t free_one = fork();
	if (free_one == 0) {
		before();
		_exit(0);
	}
	must(waitpid(free_one, NULL, 0), "waitpid");
	pid_t child = fork();
	if (child == 0) {
		restrict_all();
		struct clone_args arguments = {.exit_signal = SIGCHLD, .set_tid = (unsigned long)&free_one, .set_tid_size = 1};
		pid_t again = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
		must(again, "clone3");
		if (again == 0) {
			in_child("below a reused id", AT_FDCWD, there);
			_exit(0);
		}
		_exit(waitpid(again, NULL, 0) != again);
	}
	must(waitpid(child, NULL, 0), "waitpid");
	reach("above", AT_FDCWD, there);
}

/* A call of the i386 ABI; addresses must be low, as those of static data are here. */
static long i386(long number, long one, long two, long three)
{
	long result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(one), "c"(two), "d"(three) : "memory", "r8", "r9", "r10", "r11");
	result = (int)result;
	if (result < 0 && result > -4096) {
		errno = (int)-result;
		return -1;
	}
	return result;
}

enum { I386_GETPID = 20, I386_UMASK = 60, I386_CHROOT = 61, I386_UNLINK = 10, I386_SETRESUID32 = 208, I386_LANDLOCK_RESTRICT_SELF = 446 };

static void have_i386(void)
{
	int status = 1;
	pid_t child = fork();
	if (child == 0)
		_exit(i386(I386_GETPID, 0, 0, 0) != getpid());
	waitpid(child, &status, 0);
	if (status != 0) {
		puts("no i386 calls");
		exit(0);
	}
}

static void landlock_by_i386(void)
{
	have_i386();
	const char *there = place("there", 0755, 0, 0);
	int rules = ruleset();
	must(i386(I386_LANDLOCK_RESTRICT_SELF, rules, 0, 0), "landlock_restrict_self");
	reach("by its name", AT_FDCWD, there);
	in_child("in a child", AT_FDCWD, there);
}

static void users_by_i386(void)
{
	have_i386();
	static const int user = USER;
	const char *closed = place("closed", 0700, 0, 0), *open = place("open", 0777, 0, 0);
	must(i386(I386_SETRESUID32, -1, user, -1), "setresuid32");
	reach("effective user", AT_FDCWD, closed);
	must(i386(I386_SETRESUID32, -1, 0, -1), "setresuid32");
	i386(I386_UMASK, 0077, 0, 0);
	reach("root again", AT_FDCWD, closed);
	must(i386(I386_SETRESUID32, user, user, user), "setresuid32");
	reach("user for good", AT_FDCWD, open);
}

static void chroot_by_i386(void)
{
	have_i386();
	static char jail[1024], victim[1024];
	const char *there = place("there", 0755, 0, 0);
	snprintf(jail, sizeof jail, "%s", directory);
	snprintf(victim, sizeof victim, "%s/%s", there, "victim");
	must(i386(I386_UNLINK, (long)victim, 0, 0), "unlink");
	must(i386(I386_CHROOT, (long)jail, 0, 0), "chroot");
	reach("outside", AT_FDCWD, there);
	reach("inside", AT_FDCWD, "/there");
}

static const char *open_place, *closed_place, *group_place, *sticky_place, *users_place;

static void places(void)
{
	open_place = place("open", 0777, 0, 0);
	closed_place = place("closed", 0700, 0, 0);
	group_place = place("group", 0770, 0, GROUP);
	sticky_place = place("sticky", 01777, 0, 0);
	users_place = place("users", 0700, USER, USER);
}

static void reach_places(const char *where)
{
	const char *all[] = {open_place, closed_place, group_place, sticky_place, users_place};
	for (int i = 0; i < 5; i++) {
		printf("%s: %s\n", where, strrchr(all[i], '/'));
		reach(where, AT_FDCWD, all[i]);
	}
}

static void users(void)
{
	places();
	must(seteuid(USER), "seteuid");
	reach_places("effective user");
	must(seteuid(0), "seteuid");
	reach_places("root again");
	setfsuid(USER);
	reach_places("file system user");
	setfsuid(0);
	reach_places("root again");
	must(setresuid(USER, USER, 0), "setresuid");
	reach_places("all but the saved user");
	in_child("its child", AT_FDCWD, open_place);
	must(setresuid(-1, 0, -1), "setresuid");
	reach_places("real user");
	must(setresuid(0, 0, 0), "setresuid");
	reach_places("root again");
	must(setresgid(GROUP, GROUP, GROUP), "setresgid");
	must(setresuid(USER, USER, USER), "setresuid");
	reach_places("user for good");
	say("user for good", "setuid", setuid(0));
	reach("user for good", AT_FDCWD, open_place);
}

static void groups(void)
{
	places();
	gid_t group = GROUP;
	must(setgroups(1, &group), "setgroups");
	must(seteuid(USER), "seteuid");
	reach_places("in the group");
	must(seteuid(0), "seteuid");
	must(setgroups(0, NULL), "setgroups");
	must(seteuid(USER), "seteuid");
	reach_places("in no group");
	must(seteuid(0), "seteuid");
	must(setegid(GROUP), "setegid");
	must(seteuid(USER), "seteuid");
	reach_places("by the effective group");
}

static void set_capabilities(struct __user_cap_data_struct *data)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	must(syscall(SYS_capset, &header, data), "capset");
}

static void capabilities(void)
{
	places();
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct all[2], fewer[2];
	must(syscall(SYS_capget, &header, all), "capget");
	memcpy(fewer, all, sizeof all);
	fewer[0].effective &= ~(1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH);
	set_capabilities(fewer);
	reach_places("without CAP_DAC_OVERRIDE");
	in_child("its child", AT_FDCWD, users_place);
	fewer[0].effective &= ~(1u << CAP_FOWNER | 1u << CAP_CHOWN);
	set_capabilities(fewer);
	reach_places("without CAP_FOWNER and CAP_CHOWN");
	set_capabilities(all);
	reach_places("with all");
	fewer[0].permitted = fewer[0].effective;
	set_capabilities(fewer);
	reach_places("without for good");
}

static void own_filter(void)
{
	const char *there = place("there", 0755, 0, 0);
	struct sock_filter steps[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mkdirat, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unlinkat, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {sizeof steps / sizeof *steps, steps};
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter), "seccomp");
	reach("under a filter of its own", AT_FDCWD, there);
}

static int ends[2][2];

/* One and the other take turns. */
static void give_turn(int to)
{
	char byte;
	must(write(ends[to][1], "+", 1), "write");
	must(read(ends[!to][0], &byte, 1) == 1 ? 0 : -1, "the sibling's turn");
}

static void sibling(const char *there)
{
	char byte;
	must(read(ends[0][0], &byte, 1) == 1 ? 0 : -1, "a first turn");
	before();
	give_turn(1);
	umask(077);
	give_turn(1);
	reach("the sibling, after the other's umask", AT_FDCWD, there);
	must(chdir(there), there);
	give_turn(1);
	must(chroot(directory), directory);
	must(write(ends[1][1], "+", 1), "write");
	_exit(0);
}

/* Processes that share root, umask and working directory. */
static void siblings(void)
{
	const char *there = place("there", 0755, 0, 0);
	must(pipe(ends[0]) | pipe(ends[1]), "pipe");
	fflush(stdout);
	pid_t child = (pid_t)syscall(SYS_clone, CLONE_FS | SIGCHLD, 0, 0, 0, 0);
	must(child, "clone");
	names = child == 0 ? 100 : 0;
	if (child == 0)
		sibling(there);
	reach("at first", AT_FDCWD, there);
	give_turn(0);
	give_turn(0);
	reach("after its umask", AT_FDCWD, there);
	umask(027);
	give_turn(0);
	reach("after its chdir", AT_FDCWD, ".");
	give_turn(0);
	reach("after its chroot, outside", AT_FDCWD, there);
	reach("after its chroot, inside", AT_FDCWD, "/there");
	must(waitpid(child, NULL, 0), "waitpid");
}

static char stack[1 << 16];
static volatile int turn;

static int loner(void *there)
{
	syscall(SYS_umask, 077);
	syscall(SYS_mkdirat, AT_FDCWD, below(there, "by-the-thread"), 0777);
	turn = 1;
	while (turn == 1)
		usleep(1000);
	syscall(SYS_mkdirat, AT_FDCWD, below(there, "by-the-thread-again"), 0777);
	turn = 3;
	syscall(SYS_exit, 0);
	return 0;
}

/* A thread that shares neither. */
static void thread_with_an_umask_of_its_own(void)
{
	const char *there = place("there", 0755, 0, 0);
	int flags = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_FILES | CLONE_SYSVSEM;
	must(clone(loner, stack + sizeof stack, flags, (void *)there), "clone");
	while (turn != 1)
		usleep(1000);
	reach("beside the thread", AT_FDCWD, there);
	umask(002);
	reach("after an umask of one's own", AT_FDCWD, there);
	turn = 2;
	while (turn != 3)
		usleep(1000);
}

static void only_reach(void)
{
	reach("in a program", AT_FDCWD, directory);
}

static const struct {
	const char *name;
	void (*run)(void);
} scenarios[] = {
	{"reach", only_reach},
	{"chroot-above", chroot_above},
	{"chroot-into", chroot_into},
	{"chroot-of-a-thread", chroot_of_a_thread},
	{"thread-with-a-root-of-its-own", thread_with_a_root_of_its_own},
	{"unshare", unshare_mounts},
	{"clone", clone_with_mounts},
	{"setns", setns_and_back},
	{"user-namespace", user_namespace},
	{"landlock", landlock},
	{"landlock-of-an-orphan", landlock_of_an_orphan},
	{"landlock-in-a-pid-namespace", landlock_of_an_orphan_in_a_pid_namespace},
	{"landlock-of-a-sibling", landlock_of_a_sibling},
	{"landlock-of-a-reused-id", landlock_of_a_reused_id},
	{"landlock-by-i386", landlock_by_i386},
	{"users-by-i386", users_by_i386},
	{"chroot-by-i386", chroot_by_i386},
	{"users", users},
	{"groups", groups},
	{"capabilities", capabilities},
	{"own-filter", own_filter},
	{"siblings", siblings},
	{"thread-with-an-umask-of-its-own", thread_with_an_umask_of_its_own},
};

int main(int count, char **arguments)
{
	if (count != 4)
		return 2;
	mountpoint = arguments[2];
	directory = arguments[3];
	for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
		if (strcmp(arguments[1], scenarios[i].name) == 0) {
			umask(022);
			if (i > 0)
				before();
			scenarios[i].run();
			return 0;
		}
	return 2;
}
