/* What the mount is like meanwhile. */

enum scene { AS_MOUNTED, READ_ONLY, NO_SYMLINKS, MOUNTS_BELOW };
static enum scene scene;

/* Roots of the mounts below. */
enum { BELOW = 3 };
static int mounted[BELOW] = {-1, -1, -1};

/* Whether mounts made here are nobody else's: not in the namespace that is called so. */
static int is_apart_from(const char *others)
{
	char own[64] = "";
	return readlink("/proc/self/ns/mnt", own, sizeof own - 1) > 0 && strcmp(own, others) != 0;
}

/* The namespace began as a copy: mounts of other programs would not end while it lasts. */
static void leave_other_mounts(void)
{
	static char table[1 << 20], *at[4096];
	int count = 0, fd = open("/proc/self/mounts", O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	for (ssize_t got; fd >= 0 && (got = read(fd, table + length, sizeof table - 1 - length)) > 0;)
		length += (size_t)got;
	close(fd);
	for (char *line = strtok(table, "\n"); line && count < 4096; line = strtok(NULL, "\n")) {
		char *where = strchr(line, ' '), *kind = where ? strchr(where + 1, ' ') : NULL;
		if (!kind || strncmp(kind, " fuse", 5) != 0 || strncmp(kind, " fusectl", 8) == 0)
			continue;
		*kind = 0;
		at[count++] = where + 1;
	}
	while (count-- > 0)
		if (strcmp(at[count], root) != 0)
			umount2(at[count], MNT_DETACH);
}

/* Switches an option of the mount on or off, and leaves the others. */
static void switch_option(unsigned long option, unsigned long shown)
{
	struct statfs s;
	if (statfs(root, &s) != 0)
		exit(6);
	unsigned long options = MS_REMOUNT | MS_BIND;
	options |= s.f_flags & ST_NOSUID ? MS_NOSUID : 0;
	options |= s.f_flags & ST_NODEV ? MS_NODEV : 0;
	if (!(s.f_flags & (long)shown))
		options |= option;
	printf("remount %lx", options);
	RESULT(mount(NULL, root, NULL, options, NULL));
}

static const char *by_descriptor(int fd)
{
	static char link[64];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	return link;
}

/* Through a descriptor, as the mountpoint may have another name by now. */
static void unmount(int i)
{
	printf("unmount %d", i);
	RESULT(umount2(by_descriptor(mounted[i]), MNT_DETACH));
	close(mounted[i]);
	mounted[i] = -1;
}

static void mount_below(int i)
{
	int from = make_dir_fd(), binds = one_in(2);
	make_path(second);
	say_call(binds ? "bind" : "tmpfs", from, binds ? second : "");
	int at = open_inside(), source = -1;
	/* The root itself has to stay what it is. */
	struct stat here, top;
	if (at < 0 || fstat(at, &here) != 0 || stat(root, &top) != 0 || (here.st_dev == top.st_dev && here.st_ino == top.st_ino)) {
		print_result(-1);
		close(at);
		return;
	}
	long result = -1;
	if (!binds)
		result = mount("differential", by_descriptor(at), "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=777");
	else if ((source = openat(from, second, O_PATH | O_DIRECTORY | O_CLOEXEC)) >= 0 && is_inside(source)) {
		char where[64];
		strcpy(where, by_descriptor(source));
		result = mount(where, by_descriptor(at), NULL, MS_BIND, NULL);
	}
	print_result(result);
	if (result == 0) {
		/* By the path: the descriptor names what is covered now. */
		char where[8192];
		ssize_t length = readlink(by_descriptor(at), where, sizeof where - 1);
		where[length < 0 ? 0 : length] = 0;
		mounted[i] = open(where, O_PATH | O_CLOEXEC);
		print_result(mounted[i] < 0 ? -1 : 0);
	}
	close(source);
	close(at);
}

static void change_mounts(void)
{
	int i = (int)below(BELOW);
	if (self != CARETAKER || scene == AS_MOUNTED)
		printf("nothing to mount");
	else if (scene == READ_ONLY)
		switch_option(MS_RDONLY, ST_RDONLY);
	else if (scene == NO_SYMLINKS)
		switch_option(MS_NOSYMFOLLOW, MS_SHOWN_NOSYMFOLLOW);
	else if (mounted[i] >= 0)
		unmount(i);
	else
		mount_below(i);
}
