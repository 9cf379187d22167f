/* Calls that change nothing, and observers that ask the kernel's own door. */

static void do_getxattr(void)
{
	const char *name = make_attribute();
	size_t size = one_in(4) ? below(4) : sizeof value;
	int follow = (int)below(2);
	void *to = result_to(value);
	make_path(path);
	say_call("getxattr", AT_FDCWD, path);
	printf(" %s %zu %d", name, size, follow);
	long result = syscall(follow ? SYS_getxattr : SYS_lgetxattr, pointer(path), name, to, size);
	print_result(result);
	if (result > 0 && size && to == value)
		print_bytes(value, result);
}

static void do_listxattr(void)
{
	size_t size = one_in(4) ? below(10) : sizeof value;
	int follow = (int)below(2);
	void *to = result_to(value);
	make_path(path);
	say_call("listxattr", AT_FDCWD, path);
	printf(" %zu %d", size, follow);
	long result = syscall(follow ? SYS_listxattr : SYS_llistxattr, pointer(path), to, size);
	print_result(result);
	if (result > 0 && size && to == value)
		print_bytes(value, result);
}

static void do_stat(void)
{
	static const int flags[] = {0, 0, AT_SYMLINK_NOFOLLOW, AT_NO_AUTOMOUNT, AT_EMPTY_PATH, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, 1};
	int dir = make_dir_fd(), flag = FLAG(flags);
	struct stat s;
	void *to = result_to(&s);
	long result;
	make_path_for(flag, path);
	say_call("stat", dir, path);
	printf(" %x", flag);
	if (dir == AT_FDCWD && flag == 0 && one_in(2))
		result = syscall(SYS_stat, pointer(path), to);
	else if (dir == AT_FDCWD && flag == AT_SYMLINK_NOFOLLOW && one_in(2))
		result = syscall(SYS_lstat, pointer(path), to);
	else
		result = syscall(SYS_newfstatat, dir, pointer(path), to, flag);
	print_result(result);
	/* With AT_STATX_DONT_SYNC all but the type may be out of date. */
	if (result == 0 && flag & AT_STATX_DONT_SYNC)
		printf(" type %o", s.st_mode & S_IFMT);
	else if (result == 0)
		print_stat(&s);
}

static void do_statx(void)
{
	static const unsigned masks[] = {0x7ff, 0x7ff, 0xfff, 1, 0, 0x80000000u, 0x1fff, 0x47ff, 0x27ff, 0x3ffff};
	static const int flags[] = {0, AT_SYMLINK_NOFOLLOW, 0x2000, 0x4000, 0x6000, AT_EMPTY_PATH, AT_EMPTY_PATH | 0x2000, 1};
	int dir = make_dir_fd();
	unsigned mask = PICK(masks), flag = (unsigned)FLAG(flags);
	struct statx s;
	memset(&s, 0, sizeof s);
	make_path_for((int)flag, path);
	say_call("statx", dir, path);
	printf(" %x %x", flag, mask);
	long result = syscall(SYS_statx, dir, pointer(path), flag, mask, result_to(&s));
	print_result(result);
	if (result == 0)
		print_statx(&s, mask, flag);
}

/* Whether the file system has forgotten what a descriptor names, as pass-through does with what is removed: then
 * what the kernel still knows of it, by which it judges access, hangs on who removed it. */
static int is_forgotten(int fd)
{
	struct stat s;
	return fstat(fd, &s) != 0 && errno == ESTALE;
}

static void do_access(void)
{
	static const int flags[] = {0, 0, AT_EACCESS, AT_SYMLINK_NOFOLLOW, AT_EACCESS | AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH,
				    AT_EMPTY_PATH | AT_EACCESS, 1};
	int dir = make_dir_fd(), flag = FLAG(flags), mode = (int)below(one_in(20) ? 20 : 8);
	make_path_for(flag, path);
	say_call("access", dir, path);
	printf(" %d %x", mode, flag);
	if (!*path && is_forgotten(dir))
		printf(" forgotten");
	else if (dir == AT_FDCWD && flag == 0 && one_in(2))
		RESULT(syscall(SYS_access, pointer(path), mode));
	else if (flag == 0 && one_in(2))
		RESULT(syscall(SYS_faccessat, dir, pointer(path), mode));
	else
		RESULT(syscall(SYS_faccessat2, dir, pointer(path), mode, flag));
}

static void do_readlink(void)
{
	static const int sizes[] = {4096, 4096, 4096, 1, 3, 0, -1};
	int dir = make_dir_fd(), size = PICK(sizes);
	void *to = result_to(value);
	long result;
	make_path(path);
	if (one_in(30))
		*path = 0;
	say_call("readlink", dir, path);
	printf(" %d", size);
	memset(value, 0, 4097);
	if (dir == AT_FDCWD && one_in(2))
		result = syscall(SYS_readlink, pointer(path), to, size);
	else
		result = syscall(SYS_readlinkat, dir, pointer(path), to, size);
	print_result(result);
	if (result > 0 && to == value) {
		putchar(' ');
		/* A cut one may end inside of the root's own name. */
		if (size == 4096)
			print_path(value);
	}
}

static void do_statfs(void)
{
	struct statfs s;
	make_path(path);
	say_call("statfs", AT_FDCWD, path);
	void *to = result_to(&s);
	long result = syscall(SYS_statfs, pointer(path), to);
	print_result(result);
	if (result == 0 && to == &s)
		printf(" type %lx bsize %ld namelen %ld frsize %ld flags %lx", (long)s.f_type, (long)s.f_bsize,
		       (long)s.f_namelen, (long)s.f_frsize, (long)s.f_flags);
}

/* ---- Never trapped ---- */

static void observe_file(void)
{
	static const int flags[] = {O_RDONLY, O_RDONLY | O_NOFOLLOW, O_PATH | O_NOFOLLOW, O_PATH, O_WRONLY, O_CREAT | O_WRONLY,
				    O_CREAT | O_EXCL | O_RDWR, O_TRUNC | O_WRONLY};
	int flag = PICK(flags), dir = make_dir_fd();
	struct stat s;
	make_path(path);
	say_call("open", dir, path);
	printf(" %x", flag);
	int fd = openat(dir, path, flag | O_CLOEXEC | O_NONBLOCK, 0666);
	print_result(fd == -1 ? -1 : 0);
	if (fd == -1)
		return;
	int known = fstat(fd, &s);
	print_result(known);
	if (known == 0)
		print_stat(&s);
	if (known == 0 && S_ISREG(s.st_mode) && (flag & O_ACCMODE) != O_RDONLY && !(flag & O_PATH))
		print_result(write(fd, "content", 1 + below(7)));
	close(fd);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void observe_dir(void)
{
	char *listed[512];
	int count = 0, dir = make_dir_fd();
	make_path(path);
	say_call("list", dir, path);
	int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	print_result(fd == -1 ? -1 : 0);
	DIR *stream = fd == -1 ? NULL : fdopendir(fd);
	if (!stream)
		return;
	for (struct dirent *entry; count < 512 && (entry = readdir(stream));) {
		listed[count] = malloc(strlen(entry->d_name) + 5);
		sprintf(listed[count++], "%s:%d", entry->d_name, entry->d_type);
	}
	closedir(stream);
	qsort(listed, (size_t)count, sizeof *listed, by_name);
	for (int i = 0; i < count; i++) {
		putchar(' ');
		print_path(listed[i]);
		free(listed[i]);
	}
}

static void observe_descriptor(void)
{
	struct stat s;
	int fd = one_in(4) ? files[below(FILES)] : dirs[below(DIRS)];
	printf("fstat %s", dir_name(fd));
	int result = fstat(fd, &s);
	print_result(result);
	if (result == 0)
		print_stat(&s);
}
