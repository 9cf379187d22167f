/*
 * A program whose working directory, descriptors and mounts change between calls and meanwhile, by itself and
 * by others. What each call gave is printed. Usage: stale_places SCENARIO MOUNTPOINT DIRECTORY ANSWERS (see
 * stale.h).
 */
#include "stale.h"
#include <sys/socket.h>

static void make_here(const void *who) { makes(who, "."); }
static void ask_here(const void *who) { asks(who, "."); }
static void go(const void *dir) { must(chdir(dir), dir); }
static void go_to(const void *descriptor) { must(fchdir(*(const int *)descriptor), "fchdir"); }

static void working_directories(void)
{
	const char *a = prepare("a", 0755), *b = prepare("b", 0755), *c = prepare("c", 0755);
	int to_b = open_dir(b);
	go(a);
	struct peer *peer = thread();
	make_here("main in a");
	has(peer, make_here, "thread in a");
	has(peer, go_to, &to_b);
	make_here("main after the thread's fchdir to b");
	has(peer, go, c);
	make_here("main after the thread's chdir to c");
	go(a);
	has(peer, make_here, "thread after main's chdir to a");
	has(peer, go, below(mountpoint, ".."));
	ask_here("main outside the mount");
	has(peer, go, b);
	make_here("main in b");
	end(peer);
	struct peer *sharer = process(CLONE_FS);
	has(sharer, make_here, "sharer in b");
	has(sharer, go, c);
	make_here("main after its sharer's chdir to c");
	go(a);
	has(sharer, make_here, "sharer after main's chdir to a");
	end(sharer);
	struct peer *child = process(0);
	has(child, go, c);
	make_here("main still in a");
	has(child, make_here, "child in c");
	go(b);
	has(child, make_here, "child still in c");
	end(child);
}

static const char *ends[2];

static void go_to_one_of_two(const void *which) { must(chdir(ends[*(const int *)which]), "chdir"); }

/* In which of two directories a name is. */
static int found_in(const char *name)
{
	int in[2];
	for (int i = 0; i < 2; i++)
		in[i] = access(below(ends[i], name), F_OK) == 0;
	return in[0] + in[1] == 1 ? in[1] : -1;
}

static int makes_somewhere(int number)
{
	const char *name = numbered("r-", number);
	return mkdir(name, 0777) < 0 ? -1 : found_in(name);
}

static void race_over_cwd(void)
{
	struct race race = {.change = go_to_one_of_two, .call = makes_somewhere};
	ends[0] = prepare("x", 0755);
	ends[1] = prepare("y", 0755);
	go(ends[0]);
	run_race("chdir", race, races());
}

static void move(const void *unused)
{
	(void)unused;
	must(rename(below(directory, "p"), below(directory, "p2")), "rename");
}

static void moved_parents(void)
{
	const char *p = prepare("p", 0755), *q = prepare("p/q", 0755);
	int in_q = open_dir(q);
	go(q);
	make_here("before");
	makes_at("before, by descriptor", in_q);
	move(NULL);
	make_here("after its own rename");
	makes_at("after its own rename, by descriptor", in_q);
	makes("by the old name", q);
	makes("by the new name", below(directory, "p2/q"));
	must(mkdir(p, 0755) | mkdir(q, 0755), "as before");
	make_here("with the old name used again");
	makes_at("with the old name used again, by descriptor", in_q);
	makes("by the old name, used again", q);
	outsider("mv p2 p3");
	make_here("after somebody's rename");
	makes_at("after somebody's rename, by descriptor", in_q);
	must(rmdir(below(directory, "p/q/gone")) < 0 ? 0 : -1, "rmdir");
	struct peer *child = process(0);
	outsider("mv p3/q q3");
	make_here("in another directory");
	has(child, make_here, "child in another directory");
	end(child);
	asks("up", "..");
}

static void remove_dir(const void *dir) { must(rmdir(dir), dir); }

static void removed(const char *what, const char *dir, int at)
{
	asks(what, ".");
	asks_at(what, at);
	/* The number may come again, the directory does not. */
	must(mkdir(dir, 0755), dir);
	asks(what, ".");
	asks_at(what, at);
	makes(what, dir);
}

static void removed_directories(void)
{
	const char *own = prepare("own", 0755), *childs = prepare("childs", 0755), *others = prepare("others", 0755);
	struct peer *child = process(0), *peer = thread();
	go(own);
	int at = open_dir(own);
	remove_dir(own);
	removed("removed by itself", own, at);
	close(at);
	go(childs);
	at = open_dir(childs);
	has(child, remove_dir, childs);
	removed("removed by its child", childs, at);
	close(at);
	go(others);
	at = open_dir(others);
	make_here("before");
	must(rmdir(below(others, numbered("made-", *name_number - 1))), "rmdir");
	outsider("rmdir others");
	removed("removed by somebody", others, at);
	close(at);
	end(child);
	end(peer);
}

/* --- Descriptors --- */

static void close_it(const void *descriptor) { must(close(*(const int *)descriptor), "close"); }
static void over(const void *pair) { must(dup2(((const int *)pair)[0], ((const int *)pair)[1]), "dup2"); }
static void make_at(const void *descriptor) { makes_at("peer", *(const int *)descriptor); }

static int channel[2];

static void hand_over(const void *descriptor)
{
	char control[CMSG_SPACE(sizeof(int))] = {0}, byte = '+';
	struct iovec data = {&byte, 1};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), descriptor, sizeof(int));
	must(sendmsg(channel[0], &message, 0), "sendmsg");
}

static int receive(void)
{
	char control[CMSG_SPACE(sizeof(int))] = {0}, byte;
	struct iovec data = {&byte, 1};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	int descriptor;
	must(recvmsg(channel[1], &message, 0), "recvmsg");
	memcpy(&descriptor, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	return descriptor;
}

static int sent;

static void open_and_send(const void *dir)
{
	sent = open_dir(dir);
	hand_over(&sent);
	close(sent);
}

static void replace(const void *dir)
{
	int descriptor = open_dir(dir);
	must(dup2(descriptor, 100), "dup2");
	close(descriptor);
}

static void reused_descriptors(void)
{
	const char *a = prepare("a", 0755), *b = prepare("b", 0755);
	struct peer *peer = thread();
	int one = open_dir(a), number = one, pair[2];
	makes_at("a", one);
	close(one);
	asks_at("closed", one);
	must(open_dir(b) == number ? 0 : -1, "the same number");
	makes_at("b under the same number", one);
	has(peer, close_it, &one);
	asks_at("closed by a thread", one);
	must(open_dir(a) == number ? 0 : -1, "the same number");
	has(peer, make_at, &one);
	int two = open_dir(b);
	must(dup2(two, one), "dup2");
	makes_at("b by dup2", one);
	int file = open("/dev/null", O_RDONLY);
	must(dup3(file, one, O_CLOEXEC), "dup3");
	asks_at("no directory by dup3", one);
	int outside = open_dir(below(mountpoint, ".."));
	must(dup3(outside, one, 0), "dup3");
	asks_at("outside by dup3", one);
	pair[0] = two;
	pair[1] = one;
	has(peer, over, pair);
	makes_at("b by a thread's dup2", one);
	must(fcntl(one, F_DUPFD, 90) == 90 ? 0 : -1, "F_DUPFD");
	makes_at("b by F_DUPFD", 90);
	must((int)syscall(SYS_close_range, 90, 95, 0), "close_range");
	asks_at("closed by close_range", 90);
	replace(a);
	makes_at("a at 100", 100);
	has(peer, replace, b);
	makes_at("b at 100", 100);
	int path = open(a, O_PATH);
	makes_at("a by O_PATH", path);
	must(dup2(path, 100), "dup2");
	makes_at("a by O_PATH at 100", 100);
	end(peer);
}

static void descriptors_of_processes(void)
{
	const char *a = prepare("a", 0755), *b = prepare("b", 0755);
	static int at = 100;
	replace(a);
	struct peer *child = process(0);
	has(child, make_at, &at);
	has(child, close_it, &at);
	makes_at("parent keeps what its child closed", 100);
	has(child, replace, b);
	makes_at("parent keeps what its child replaced", 100);
	has(child, make_at, &at);
	close(100);
	has(child, make_at, &at);
	asks_at("parent has closed it", 100);
	replace(a);
	end(child);
	struct peer *sharer = process(CLONE_FILES);
	has(sharer, make_at, &at);
	has(sharer, replace, b);
	makes_at("b, by the process that shares", 100);
	replace(a);
	has(sharer, make_at, &at);
	has(sharer, close_it, &at);
	asks_at("closed by the process that shares", 100);
	end(sharer);
}

static void received_descriptors(void)
{
	const char *a = prepare("a", 0755), *b = prepare("b", 0755);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, channel), "socketpair");
	struct peer *child = process(0);
	has(child, open_and_send, a);
	int first = receive();
	makes_at("a, received", first);
	close(first);
	has(child, open_and_send, b);
	must(receive() == first ? 0 : -1, "the same number");
	makes_at("b, received under the same number", first);
	replace(a);
	int ours = open_dir(a);
	hand_over(&ours);
	close(ours);
	sent = receive();
	makes_at("a, sent to itself", sent);
	/* What the child has at 100. */
	has(child, replace, b);
	int handle = (int)syscall(SYS_pidfd_open, child->process, 0);
	must(handle, "pidfd_open");
	int theirs = (int)syscall(SYS_pidfd_getfd, handle, 100, 0);
	must(theirs, "pidfd_getfd");
	makes_at("b, by pidfd_getfd", theirs);
	must(dup2(theirs, 100), "dup2");
	makes_at("b, by pidfd_getfd at 100", 100);
	has(child, replace, a);
	makes_at("b at 100 still", 100);
	theirs = dup2((int)syscall(SYS_pidfd_getfd, handle, 100, 0), 100);
	makes_at("a, by pidfd_getfd at 100", 100);
	end(child);
}

/* The same program again, in this process. */
static void executes(const char *scenario)
{
	execl("/proc/self/exe", "stale_places", scenario, mountpoint, directory, answers, NULL);
	must(-1, "execl");
}

static void before_exec(void)
{
	const char *a = prepare("a", 0755), *b = prepare("b", 0755);
	replace(a);
	must(dup3(100, 101, O_CLOEXEC), "dup3");
	must(dup3(100, 102, O_CLOEXEC), "dup3");
	makes_at("before, kept", 100);
	makes_at("before, to be closed", 101);
	makes_at("before, to be closed", 102);
	syscall(SYS_close_range, 103, 200, 4 /* CLOSE_RANGE_CLOEXEC */);
	umask(027);
	go(b);
	make_here("before, in its cwd");
	executes("after-exec");
}

static void after_exec(void)
{
	*name_number = 50;
	makes_at("after, kept", 100);
	make_here("after, in its cwd");
	asks_at("after, closed", 101);
	int descriptor = open_dir(".");
	must(dup2(descriptor, 101), "dup2");
	makes_at("after, another one", 101);
	asks_at("after, closed", 102);
}

static void over_one_of_two(const void *which)
{
	static int descriptors[2];
	if (!descriptors[0])
		for (int i = 0; i < 2; i++)
			descriptors[i] = open_dir(ends[i]);
	must(dup2(descriptors[*(const int *)which], 100), "dup2");
}

static int makes_at_100(int number)
{
	const char *name = numbered("r-", number);
	return mkdirat(100, name, 0777) < 0 ? -1 : found_in(name);
}

/* Closed in between: a call may meet nothing. */
static void close_and_open(const void *which)
{
	close(100);
	int descriptor = open_dir(ends[*(const int *)which]);
	must(dup2(descriptor, 100), "dup2");
	close(descriptor);
}

static int makes_or_meets_nothing(int number)
{
	const char *name = numbered("s-", number);
	while (mkdirat(100, name, 0777) < 0) {
		if (errno != EBADF)
			return -1;
		/* Which it would have been is not known: try again. */
		sched_yield();
	}
	return found_in(name);
}

static void race_over_descriptors(void)
{
	struct race by_dup = {.change = over_one_of_two, .call = makes_at_100};
	struct race by_close = {.change = close_and_open, .call = makes_or_meets_nothing};
	ends[0] = prepare("x", 0755);
	ends[1] = prepare("y", 0755);
	replace(ends[0]);
	run_race("dup2", by_dup, races());
	replace(ends[0]);
	run_race("close and open", by_close, races());
}

/* --- Threads that leave what they shared --- */

static void leave_files(const void *unused)
{
	(void)unused;
	must(unshare(CLONE_FILES), "unshare");
}

static void leave_fs(const void *unused)
{
	(void)unused;
	must(unshare(CLONE_FS), "unshare");
}

static void ask_at_100(const void *who) { asks_at(who, 100); }

/* Left to the kernel from then on. */
static void unshared(void)
{
	const char *a = prepare("a", 0755), *b = prepare("b", 0755);
	go(a);
	replace(a);
	struct peer *peer = thread();
	make_here("main before");
	makes_at("main before", 100);
	has(peer, leave_files, NULL);
	has(peer, replace, b);
	has(peer, ask_at_100, "thread with its own descriptors, b");
	asks_at("main, a", 100);
	has(peer, leave_fs, NULL);
	has(peer, go, b);
	has(peer, ask_here, "thread with its own cwd, b");
	ask_here("main in a");
	end(peer);
	asks_at("main, a still", 100);
}

/* --- Mounts --- */

static void cover(const void *dir) { must(mount("none", dir, "tmpfs", 0, NULL), "tmpfs"); }
static void uncover(const void *dir) { must(umount(dir), "umount"); }

/* Everything in the mount is the kernel's while something lies in it. */
static void covered_directories(void)
{
	const char *over = prepare("over", 0755), *beside = prepare("beside", 0755);
	int under = open_dir(over), by = open_dir(beside);
	struct peer *child = process(0);
	go(over);
	for (int i = 0; i < 3; i++) {
		makes("uncovered", over);
		make_here("uncovered, in its cwd");
		makes_at("uncovered, by descriptor", under);
		if (i == 0)
			cover(over);
		else if (i == 1)
			has(child, cover, over);
		else
			outsider("cover over");
		asks("covered", over);
		asks("covered, in its cwd", ".");
		asks_at("covered, by descriptor", under);
		asks_at("beside", by);
		int above = open_dir(over);
		asks_at("covered, by a descriptor above", above);
		close(above);
		if (i == 0)
			uncover(over);
		else if (i == 1)
			has(child, uncover, over);
		else
			outsider("uncover over");
		makes("uncovered again", over);
		makes("beside", beside);
	}
	go("/");
	end(child);
}

/* The same file system at another place, and a part of it. */
static void bound_directories(void)
{
	const char *part = prepare("part", 0755), *place = prepare("place", 0755), *plain = prepare("plain", 0755);
	char outside[900], whole[900];
	snprintf(outside, sizeof outside, "%s.outside", mountpoint);
	snprintf(whole, sizeof whole, "%s.whole", mountpoint);
	asks("before", outside);
	must(mount(part, outside, NULL, MS_BIND, NULL), "bind");
	asks("bound, by its name", outside);
	int at = open_dir(outside);
	makes_at("bound, by descriptor", at);
	makes("the part", part);
	must(rename(below(outside, "nothing"), below(part, "nothing")) < 0 && errno == EXDEV ? 0 : -1, "rename");
	must(mount(mountpoint, whole, NULL, MS_BIND, NULL), "bind");
	makes("the whole, bound", whole);
	must(umount(whole), "umount");
	asks("the whole, unbound", whole);
	must(umount2(outside, MNT_DETACH), "umount");
	asks("unbound, by its name", outside);
	asks_at("unbound, by descriptor", at);
	close(at);
	must(mount(part, place, NULL, MS_BIND, NULL), "bind");
	asks("bound inside", place);
	asks("beside what is bound inside", plain);
	must(umount(place), "umount");
	makes("unbound inside", place);
	makes("beside", plain);
}

/* Something comes over the mount, and over the directory above it. */
static void covered_mounts(void)
{
	const char *there = prepare("there", 0755);
	char above[900];
	snprintf(above, sizeof above, "%s", mountpoint);
	*strrchr(above, '/') = 0;
	int at = open_dir(there);
	const char *over[2] = {mountpoint, above};
	for (int i = 0; i < 2; i++) {
		makes("uncovered", there);
		cover(over[i]);
		asks("covered", there);
		if (i == 0)
			asks_at("covered, by descriptor", at);
		else
			makes_at("covered above, by descriptor", at);
		uncover(over[i]);
		makes("uncovered again", there);
		makes_at("uncovered again, by descriptor", at);
	}
	must(mount(NULL, mountpoint, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), "read-only");
	asks("read-only", there);
	asks_at("read-only, by descriptor", at);
	must(mount(NULL, mountpoint, NULL, MS_REMOUNT | MS_BIND, NULL), "writable");
	makes("writable again", there);
	must(mount(NULL, mountpoint, NULL, MS_REMOUNT | MS_RDONLY, NULL), "read-only file system");
	asks("read-only file system", there);
	must(mount(NULL, mountpoint, NULL, MS_REMOUNT, NULL), "writable file system");
	makes("writable file system again", there);
}

static void cover_or_not(const void *covered)
{
	if (*(const int *)covered)
		cover(ends[0]);
	else
		/* Somebody may be in it just now. */
		while (umount(ends[0]) < 0)
			must(errno == EBUSY ? 0 : -1, "umount");
}

static int under_cover;

/* Whether it was made in what covers: it is not in what is covered. */
static int makes_above_or_under(int number)
{
	struct stat status;
	const char *name = numbered("r-", number);
	if (mkdir(below(ends[0], name), 0777) < 0)
		return -1;
	return fstatat(under_cover, name, &status, 0) < 0;
}

static void race_over_mounts(void)
{
	struct race race = {.change = cover_or_not, .call = makes_above_or_under};
	ends[0] = prepare("x", 0755);
	under_cover = open_dir(ends[0]);
	run_race("mount", race, races() / 5);
	umount(ends[0]);
}

/* The mount itself goes, and another one comes. */
static void mounts_anew(void)
{
	const char *there = prepare("there", 0755);
	outsider("mount anew");
	warm(there);
	makes("anew", there);
	outsider("mount another");
	warm(there);
	makes("another", there);
	int at = open_dir(there);
	go(there);
	outsider("mount anew over the old one");
	warm(there);
	asks("the old one, from its cwd", ".");
	asks_at("the old one, by descriptor", at);
	makes("the new one", there);
	go("/");
}

/* A file system that does not answer is taken away, and another one comes before anybody calls. */
static void mounts_anew_after_a_hang(void)
{
	const char *there = prepare("there", 0755);
	/* Then its device has the lowest number that is free, and so has the next one's. */
	outsider("mount anew");
	warm(there);
	makes("before", there);
	outsider("hang and mount anew");
	warm(there);
	makes("anew", there);
}

/* Directories above the mount get other names. */
static void moved_mountpoints(void)
{
	const char *there = prepare("there", 0755);
	int at = open_dir(there);
	makes("before", there);
	outsider("mv above away");
	asks("its old name", there);
	makes_at("by descriptor", at);
	outsider("mkdir above");
	asks("its old name, used again", there);
	outsider("mv above back");
	makes("its name", there);
}

int main(int count, char **arguments)
{
	static const struct scenario scenarios[] = {
		{"cwd", working_directories},
		{"racing-cwd", race_over_cwd},
		{"moved", moved_parents},
		{"removed", removed_directories},
		{"descriptors", reused_descriptors},
		{"processes", descriptors_of_processes},
		{"received", received_descriptors},
		{"exec", before_exec},
		{"after-exec", after_exec},
		{"racing-descriptors", race_over_descriptors},
		{"unshared", unshared},
		{"covered", covered_directories},
		{"bound", bound_directories},
		{"covered-mount", covered_mounts},
		{"racing-mounts", race_over_mounts},
		{"anew", mounts_anew},
		{"anew-after-a-hang", mounts_anew_after_a_hang},
		{"moved-mountpoint", moved_mountpoints},
		{NULL, NULL},
	};
	return run_scenario(count, arguments, scenarios);
}
