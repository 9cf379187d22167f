/* What is printed: nothing that two equal file systems may disagree in. */

enum { LONG_PAST = 1000000000 };

/* Long runs shortened, the root as @. */
static void print_path(const char *path)
{
	putchar('"');
	if (strncmp(path, root, root_length) == 0) {
		putchar('@');
		path += root_length;
	}
	size_t length = strlen(path);
	if (length > 60)
		printf("%.20s...(%zu)...%s", path, length, path + length - 20);
	else
		fputs(path, stdout);
	putchar('"');
}

static const char *dir_name(int fd)
{
	static char text[4][16];
	static int turn;
	if (fd == AT_FDCWD)
		return "cwd";
	char *here = text[turn++ % 4];
	snprintf(here, sizeof text[0], "%d", fd == NO_SUCH_FD ? fd : -1);
	for (int i = 0; i < FILES; i++)
		if (fd >= 0 && fd == files[i])
			snprintf(here, sizeof text[0], "file%d", i);
	for (int i = 0; i < DIRS; i++)
		if (fd >= 0 && fd == dirs[i])
			snprintf(here, sizeof text[0], "dir%d", i);
	return here;
}

static void say_call(const char *name, int dir, const char *first)
{
	printf("%s %s ", name, dir_name(dir));
	print_path(first);
}

static void print_result(long result)
{
	if (result == -1)
		printf(" = -1 %s", strerrorname_np(errno));
	else
		printf(" = %ld", result);
}

#define RESULT(call) do { long result = (call); print_result(result); } while (0)

static void print_time(const char *name, long seconds, long nanoseconds)
{
	if (seconds < LONG_PAST)
		printf(" %s %ld.%09ld", name, seconds, nanoseconds);
}

static void print_stat(const struct stat *s)
{
	printf(" mode %o links %lu %u:%u rdev %lx", s->st_mode, (unsigned long)s->st_nlink, s->st_uid, s->st_gid,
	       (unsigned long)s->st_rdev);
	if (!S_ISDIR(s->st_mode))
		printf(" size %ld blocks %ld", (long)s->st_size, (long)s->st_blocks);
	printf(" blksize %ld", (long)s->st_blksize);
	print_time("a", s->st_atim.tv_sec, s->st_atim.tv_nsec);
	print_time("m", s->st_mtim.tv_sec, s->st_mtim.tv_nsec);
}

/* What was not asked for may be out of date, and with AT_STATX_DONT_SYNC all but the type. */
static void print_statx(const struct statx *s, unsigned asked, unsigned flags)
{
	if (flags & AT_STATX_DONT_SYNC)
		asked = 0;
	printf(" mask %x attr %llx/%llx type %o rdev %u:%u", s->stx_mask, (unsigned long long)s->stx_attributes,
	       (unsigned long long)s->stx_attributes_mask, s->stx_mode & S_IFMT, s->stx_rdev_major, s->stx_rdev_minor);
	if (asked & STATX_MODE)
		printf(" mode %o", s->stx_mode);
	if (asked & STATX_NLINK)
		printf(" links %u", s->stx_nlink);
	if (asked & STATX_UID && asked & STATX_GID)
		printf(" %u:%u", s->stx_uid, s->stx_gid);
	if (!S_ISDIR(s->stx_mode) && asked & STATX_SIZE && asked & STATX_BLOCKS)
		printf(" size %llu blocks %llu", (unsigned long long)s->stx_size, (unsigned long long)s->stx_blocks);
	if (asked & STATX_ATIME)
		print_time("a", s->stx_atime.tv_sec, s->stx_atime.tv_nsec);
	if (asked & STATX_MTIME)
		print_time("m", s->stx_mtime.tv_sec, s->stx_mtime.tv_nsec);
}

static void print_bytes(const char *bytes, long length)
{
	unsigned long sum = 0;
	for (long i = 0; i < length; i++)
		sum = sum * 31 + (unsigned char)bytes[i];
	printf(" bytes %lx", sum & 0xffffff);
}
