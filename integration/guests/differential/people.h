/* Who calls, and from where: ids, groups, capabilities, umask, cwd, descriptors. */

enum { USER = 1000, GROUP = 2000, NOBODY = 65534, MANY_GROUPS = 1100 };

/* What the processes may be: all users; mostly the mount's owner, where others are not let in; only what they are. */
enum crowd { EVERYBODY, OWNERS, ALONE };
static enum crowd crowd;
/* This process; the first one stays root and keeps order, the second gives its privileges up for good. */
static int self;
static const char *arrived;

enum { CARETAKER, UNPRIVILEGED };

static void set_capabilities(uint64_t effective)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct sets[2];
	if (syscall(SYS_capget, &header, sets) != 0)
		exit(4);
	for (int i = 0; i < 2; i++)
		sets[i].effective = sets[i].permitted & (uint32_t)(effective >> 32 * i);
	if (syscall(SYS_capset, &header, sets) != 0)
		exit(4);
}

static uint64_t make_capabilities(void)
{
	static const int single[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID, CAP_MKNOD, CAP_SYS_ADMIN};
	if (one_in(8))
		return ~UINT64_C(0);
	uint64_t set = 0;
	for (unsigned count = below(3); count > 0; count--)
		set |= UINT64_C(1) << PICK(single);
	return set;
}

static int make_id(void)
{
	static const int ids[] = {USER, USER, USER + 1, NOBODY, GROUP, 0};
	return crowd == OWNERS && !one_in(4) ? 0 : PICK(ids);
}

static int make_groups(gid_t *groups)
{
	static const gid_t some[] = {USER, USER + 1, GROUP, NOBODY, 0};
	int count = 0;
	if (one_in(12))
		for (; count < MANY_GROUPS; count++)
			groups[count] = (gid_t)(100000 + count);
	for (unsigned i = below(4); i > 0; i--)
		groups[count++] = PICK(some);
	return count;
}

/* The kernel's own calls: libc's would change all threads. */
static void change_ids(void)
{
	gid_t groups[MANY_GROUPS + 4];
	int count = make_groups(groups), uid = make_id(), gid = make_id();
	int real_uid = one_in(5) ? make_id() : uid, real_gid = one_in(5) ? make_id() : gid;
	/* fuser refuses requests of other fsuids on an owner's mount, so what the kernel has cached would show. */
	int file_uid = one_in(6) && crowd != OWNERS ? make_id() : uid, file_gid = one_in(6) ? make_id() : gid;
	int is_final = self == UNPRIVILEGED, keeps = !is_final && one_in(8);
	uint64_t capabilities = make_capabilities();
	set_capabilities(~UINT64_C(0));
	/* Capabilities are then their own, whatever the ids. */
	long result = prctl(PR_SET_SECUREBITS, keeps ? SECBIT_NO_SETUID_FIXUP : 0);
	result |= syscall(SYS_setgroups, count, groups);
	result |= syscall(SYS_setresgid, real_gid, gid, 0);
	syscall(SYS_setfsgid, file_gid);
	if (is_final) {
		/* No way back, so no id 0. */
		uid = USER + (int)below(2);
		result |= syscall(SYS_setresgid, gid, gid, gid) | syscall(SYS_setresuid, uid, uid, uid);
		printf("for good uid %d gid %d groups %d = %ld", uid, gid, count, result);
		return;
	}
	result |= syscall(SYS_setresuid, real_uid, uid, 0);
	syscall(SYS_setfsuid, file_uid);
	set_capabilities(capabilities);
	printf("ids uid %d,%d,%d gid %d,%d,%d groups", real_uid, uid, file_uid, real_gid, gid, file_gid);
	for (int i = count > 8 ? MANY_GROUPS : 0; i < count; i++)
		printf(" %u", groups[i]);
	printf(" (%d) capabilities %llx bits %d = %ld", count, (unsigned long long)capabilities, keeps, result);
}

static void change_user(void)
{
	if (crowd == ALONE || self == CARETAKER || self == UNPRIVILEGED)
		printf("stays");
	else
		change_ids();
}

static void change_umask(void)
{
	static const unsigned masks[] = {022, 022, 0, 077, 027, 02, 0177};
	unsigned mask = PICK(masks);
	printf("umask %o = %o", mask, umask((mode_t)mask));
}

/* ---- Directories ---- */

/* Not too deep either: what is made there needs a path. */
static int is_inside(int fd)
{
	enum { DEEPEST = 1500 };
	char link[64], where[8192];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	/* readlink of libc is trapped like any other, which is fine: /proc is not the mount. */
	ssize_t length = readlink(link, where, sizeof where - 1);
	if (length < (ssize_t)root_length || length > (ssize_t)root_length + DEEPEST)
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

static int open_root(void)
{
	return open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static void change_dir(void)
{
	printf("chdir");
	int fd = one_in(4) ? open_root() : open_inside();
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

/* Files, links and devices, by descriptors that only name them. */
static void change_file_fd(void)
{
	int i = (int)below(FILES), dir = make_dir_fd();
	make_path(path);
	printf("file%d", i);
	say_call("", dir, path);
	struct stat s;
	int fd = openat(dir, path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && (fstat(fd, &s) != 0 || S_ISDIR(s.st_mode))) {
		close(fd);
		errno = EISDIR;
		fd = -1;
	}
	print_result(fd == -1 ? -1 : 0);
	if (fd >= 0) {
		close(files[i]);
		files[i] = fd;
	}
}

/* A process's first step. */
static void arrive(void)
{
	arrived = "yes";
	for (int i = 0; i < DIRS; i++)
		dirs[i] = open_root();
	/* Nothing of others: calls with an empty path change it. */
	for (int i = 0; i < FILES; i++)
		files[i] = memfd_create("differential", MFD_CLOEXEC);
	change_umask();
	if (crowd != ALONE && self != CARETAKER) {
		putchar(' ');
		change_ids();
	}
}

/* Directories above that somebody closed by `..` would stop all that follows. */
static void open_the_way(void)
{
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 99 && fd >= 0; i++) {
		int above = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = above;
		if (fd >= 0 && fchmod(fd, 0755) != 0 && crowd != ALONE)
			exit(5);
	}
	close(fd);
}

/* A directory that was left with mode 0 or full must not stop all that follows. */
static void start_afresh(void)
{
	open_the_way();
	int fd = open_root();
	if (fd < 0 || fchdir(fd) != 0)
		exit(3);
	close(fd);
	printf("afresh = %d", chmod(root, 0777));
	RESULT(mkdir("s", 0));
	RESULT(chmod("s", 01777));
	RESULT(mkdir("g", 0));
	RESULT(chown("g", -1, crowd == ALONE ? (gid_t)-1 : GROUP));
	RESULT(chmod("g", 02777));
}
