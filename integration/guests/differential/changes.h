/* Calls that change something; each picks its arguments, says them, calls, and says what came. */

static void do_mkdir(void)
{
	int dir = make_dir_fd();
	unsigned mode = make_mode();
	make_path(path);
	say_call("mkdir", dir, path);
	printf(" %o", mode);
	if (dir == AT_FDCWD && one_in(2))
		RESULT(syscall(SYS_mkdir, pointer(path), mode));
	else
		RESULT(syscall(SYS_mkdirat, dir, pointer(path), mode));
}

static void do_mknod(void)
{
	static const unsigned kinds[] = {S_IFREG, 0, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK, S_IFDIR, S_IFREG, 0170000, S_IFREG};
	int dir = make_dir_fd();
	unsigned mode = PICK(kinds) | make_mode();
	if (getenv("WITHOUT_SOCKETS") && (mode & S_IFMT) == S_IFSOCK)
		mode ^= S_IFSOCK ^ S_IFIFO;
	make_path(path);
	say_call("mknod", dir, path);
	printf(" %o", mode);
	if (dir == AT_FDCWD && one_in(2))
		RESULT(syscall(SYS_mknod, pointer(path), mode, 0x103));
	else
		RESULT(syscall(SYS_mknodat, dir, pointer(path), mode, 0x103));
}

static void do_unlink(void)
{
	static const int flags[] = {0, 0, 0, 0, AT_REMOVEDIR, AT_REMOVEDIR, 1, AT_SYMLINK_NOFOLLOW};
	int dir = make_dir_fd(), flag = FLAG(flags);
	make_path(path);
	say_call("unlink", dir, path);
	printf(" %x", flag);
	if (dir == AT_FDCWD && one_in(2))
		RESULT(syscall(flag == AT_REMOVEDIR ? SYS_rmdir : SYS_unlink, pointer(path)));
	else
		RESULT(syscall(SYS_unlinkat, dir, pointer(path), flag));
}

static void do_rename(void)
{
	/* Not RENAME_WHITEOUT: ext4 touches the directory even when it refuses. */
	static const unsigned flags[] = {0, 0, 0, 0, 1, 2, 2, 3, 16, 8};
	int dir = make_dir_fd(), to = make_dir_fd();
	unsigned flag = PICK(flags);
	make_path(path);
	make_path(second);
	say_call("rename", dir, path);
	say_call(" to", to, second);
	printf(" %x", flag);
	if (dir == AT_FDCWD && to == AT_FDCWD && flag == 0 && one_in(2))
		RESULT(syscall(SYS_rename, path, second));
	else if (flag == 0 && one_in(2))
		RESULT(syscall(SYS_renameat, dir, pointer(path), to, second));
	else
		RESULT(syscall(SYS_renameat2, dir, path, to, pointer(second), flag));
}

static void do_link(void)
{
	static const int flags[] = {0, 0, 0, AT_SYMLINK_FOLLOW, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH, AT_EMPTY_PATH | AT_SYMLINK_FOLLOW, 1};
	int dir = make_dir_fd(), to = make_dir_fd(), flag = FLAG(flags);
	make_path_for(flag, path);
	make_path(second);
	say_call("link", dir, path);
	say_call(" to", to, second);
	printf(" %x", flag);
	if (dir == AT_FDCWD && to == AT_FDCWD && flag == 0 && one_in(2))
		RESULT(syscall(SYS_link, path, pointer(second)));
	else if (flag & AT_EMPTY_PATH && *path == 0 && dir != AT_FDCWD)
		/* The kernel trusts its own count of a removed file's names; both fail. */
		print_result(syscall(SYS_linkat, dir, pointer(path), to, second, flag) == 0 ? 0 : 1);
	else
		RESULT(syscall(SYS_linkat, dir, pointer(path), to, second, flag));
}

static void do_symlink(void)
{
	int dir = make_dir_fd();
	make_path(path);
	make_target(path, second);
	say_call("symlink", dir, path);
	printf(" -> ");
	print_path(second);
	if (dir == AT_FDCWD && one_in(2))
		RESULT(syscall(SYS_symlink, pointer(second), path));
	else
		RESULT(syscall(SYS_symlinkat, second, dir, pointer(path)));
}

static void do_chmod(void)
{
	static const int flags[] = {0, 0, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, 1};
	int dir = make_dir_fd(), flag = FLAG(flags);
	unsigned mode = make_mode();
	make_path_for(flag, path);
	say_call("chmod", dir, path);
	printf(" %o %x", mode, flag);
	if (dir == AT_FDCWD && flag == 0 && one_in(2))
		RESULT(syscall(SYS_chmod, pointer(path), mode));
	else if (flag == 0 && one_in(2))
		RESULT(syscall(SYS_fchmodat, dir, pointer(path), mode));
	else
		RESULT(syscall(SYS_fchmodat2, dir, pointer(path), mode, flag));
}

static void do_chown(void)
{
	static const int owners[] = {-1, -1, 0, USER, USER + 1, GROUP, NOBODY};
	static const int flags[] = {0, 0, AT_SYMLINK_NOFOLLOW, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, 1};
	int dir = make_dir_fd(), flag = FLAG(flags), uid = PICK(owners), gid = PICK(owners);
	make_path_for(flag, path);
	say_call("chown", dir, path);
	printf(" %d:%d %x", uid, gid, flag);
	if (dir == AT_FDCWD && flag == 0 && one_in(2))
		RESULT(syscall(SYS_chown, pointer(path), uid, gid));
	else if (dir == AT_FDCWD && flag == AT_SYMLINK_NOFOLLOW && one_in(2))
		RESULT(syscall(SYS_lchown, pointer(path), uid, gid));
	else
		RESULT(syscall(SYS_fchownat, dir, pointer(path), uid, gid, flag));
}

static void do_truncate(void)
{
	static const long sizes[] = {0, 1, 100, 5000, 1 << 20, -1};
	long size = PICK(sizes);
	make_path(path);
	say_call("truncate", AT_FDCWD, path);
	printf(" %ld", size);
	RESULT(syscall(SYS_truncate, pointer(path), size));
}

static void do_times(void)
{
	static const int flags[] = {0, 0, AT_SYMLINK_NOFOLLOW, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, 1};
	int dir = make_dir_fd(), flag = FLAG(flags);
	long times[4] = {below(5000), below(1000), below(5000), below(1000)};
	int how = (int)below(8);
	if (how == 4)
		times[1] = UTIME_OMIT;
	if (how == 5)
		times[3] = UTIME_OMIT;
	if (how == 6)
		times[1] = times[3] = UTIME_OMIT;
	if (one_in(20))
		times[below(2) * 2 + 1] = one_in(2) ? UTIME_NOW : -1;
	const void *given = one_in(60) ? (void *)8 : one_in(12) ? NULL : times;
	make_path_for(flag, path);
	say_call("times", dir, path);
	printf(" %ld.%ld %ld.%ld %d %x", times[0], times[1], times[2], times[3], how, flag);
	if (how == 0 && dir == AT_FDCWD)
		RESULT(syscall(SYS_utime, pointer(path), given));
	else if (how == 1 && dir == AT_FDCWD)
		RESULT(syscall(SYS_utimes, pointer(path), given));
	else if (how == 2)
		RESULT(syscall(SYS_futimesat, dir, pointer(path), given));
	else
		RESULT(syscall(SYS_utimensat, dir, pointer(path), given, flag));
}

static const char *attributes[] = {"user.a", "user.b", "user.a", "user.", "nonsense", "", "trusted.a", "user.c"};

static const char *make_attribute(void)
{
	static char longest[300];
	if (!one_in(40))
		return PICK(attributes);
	memset(longest, 0, sizeof longest);
	memset(longest, 'x', one_in(2) ? 255 : 256);
	return memcpy(longest, "user.", 5);
}

static char value[70000];

static void do_setxattr(void)
{
	static const size_t sizes[] = {0, 1, 5, 300, 65536, 65537};
	const char *name = make_attribute();
	size_t size = one_in(6) ? PICK(sizes) : below(20);
	int follow = (int)below(2), flag = one_in(3) ? (int)below(5) : 0;
	make_path(path);
	memset(value, 'a' + (char)below(26), sizeof value);
	say_call("setxattr", AT_FDCWD, path);
	printf(" %s %zu %d %d", name, size, follow, flag);
	const void *from = one_in(60) ? (void *)8 : value;
	RESULT(syscall(follow ? SYS_setxattr : SYS_lsetxattr, pointer(path), pointer(name), from, size, flag));
}

static void do_removexattr(void)
{
	const char *name = make_attribute();
	int follow = (int)below(2);
	make_path(path);
	say_call("removexattr", AT_FDCWD, path);
	printf(" %s %d", name, follow);
	RESULT(syscall(follow ? SYS_removexattr : SYS_lremovexattr, pointer(path), one_in(60) ? (char *)8 : name));
}
