/* Names, paths, and what they start from. */

enum { DIRS = 4, FILES = 2, NO_SUCH_FD = 999 };

static const char *root;
static size_t root_length;
static char path[8192], second[8192];
/* Open directories. */
static int dirs[DIRS];
/* Descriptors of anything else. */
static int files[FILES];
/* The last bytes before a page that cannot be read. */
static char *edge;
/* A page that can only be read. */
static char *locked;

/* "s" is a sticky directory for all, "g" one that hands its group on; see start_afresh. */
static const char *names[] = {"a", "b", "c", "d", "e", "f", "a", "b", "c", "a", "b", "s", "g"};
static const int limits[] = {255, 255, 255, 256, 256, 256, 1023, 1024, 1025};

static void add_name(char *path, int *ups)
{
	if (one_in(90)) {
		int length = PICK(limits);
		char *end = path + strlen(path);
		memset(end, 'n', (size_t)length);
		end[length] = 0;
	} else if (one_in(14) && *ups > 0) {
		--*ups;
		strcat(path, "..");
	} else if (one_in(25)) {
		strcat(path, ".");
	} else {
		strcat(path, PICK(names));
	}
}

/* Puts components that mean nothing before the last ones, until the path has `length` bytes. */
static void stretch(char *path, size_t length)
{
	size_t start = path[0] == '/' ? root_length + 1 : 0, now = strlen(path);
	if (now >= length)
		return;
	size_t gap = length - now;
	memmove(path + start + gap, path + start, now - start + 1);
	/* "./././" or ".//.//", and what a whole number of them leaves over. */
	size_t unit = one_in(2) ? 2 : 3;
	for (size_t i = 0; i < gap; i++)
		path[start + i] = i % unit == 0 && i + 1 < gap ? '.' : '/';
	if (start == 0 && path[0] == '/')
		path[0] = 'a';
}

/* A path of one to five names, now and then absolute, empty, with slashes at the end, or too long. */
static void make_path(char *path)
{
	static const size_t lengths[] = {4094, 4095, 4096, 4097};
	int ups = 4;
	*path = 0;
	if (one_in(70))
		return;
	if (one_in(8)) {
		strcpy(path, root);
		strcat(path, one_in(2) ? "/" : one_in(3) ? "/g/" : "/s/");
	}
	if (one_in(60))
		for (int i = 0; i < 15; i++)
			strcat(path, "./a/../");
	int count = 1 + (int)(below(3) * below(3));
	for (int i = 0; i < count; i++) {
		add_name(path, &ups);
		if (i + 1 < count)
			strcat(path, one_in(20) ? "//" : "/");
	}
	if (one_in(14))
		strcat(path, one_in(4) ? "//" : "/");
	if (one_in(25))
		strcat(path, "/.");
	if (one_in(150))
		stretch(path, PICK(lengths));
}

/* Empty where that names the descriptor itself. */
static void make_path_for(int flags, char *path)
{
	if (flags & AT_EMPTY_PATH && one_in(2))
		*path = 0;
	else
		make_path(path);
}

static const char *targets[] = {"a", "b", "../a", "..", "c", ".", "d/e", "b/", "../../a", "missing/x", "f", "a/..", "s/a", "../s/b", "g"};

/* What a link at `path` may hold; now and then its own name: a loop. */
static void make_target(const char *path, char *target)
{
	const char *slash = strrchr(path, '/');
	if (one_in(8)) {
		strcpy(target, root);
		strcat(target, one_in(2) ? "/a" : "/b/c");
	} else if (one_in(60)) {
		memset(target, 't', 4096);
		target[4094 + below(3)] = 0;
	} else if (one_in(12)) {
		strcpy(target, slash ? slash + 1 : path);
	} else {
		strcpy(target, one_in(60) ? "" : PICK(targets));
	}
}

static int make_dir_fd(void)
{
	if (one_in(2))
		return AT_FDCWD;
	if (one_in(25))
		return files[below(FILES)];
	return one_in(40) ? NO_SUCH_FD : dirs[below(DIRS)];
}

/* Mostly one of those that a call knows, rarely any bit. */
static int make_flag(const int *known, size_t count)
{
	return one_in(40) ? 1 << below(20) : known[below((unsigned)count)];
}

#define FLAG(list) make_flag(list, sizeof(list) / sizeof *(list))

static unsigned make_mode(void)
{
	static const unsigned modes[] = {0755, 0777, 0700, 0644, 0, 01777, 02775, 04755, 0111, 0555, 0311, 0664, 0666, 02711, 03777, 0070};
	return one_in(10) ? below(010000) : PICK(modes);
}

/* The pointer to give for `text`: mostly itself, sometimes just before a page's end, rarely one that faults. */
static const char *pointer(const char *text)
{
	size_t length = strlen(text) + 1;
	if (one_in(150))
		return one_in(2) ? (const char *)8 : one_in(2) ? NULL : (const char *)-8;
	if (one_in(150)) {
		/* Unterminated up to the edge. */
		memset(edge - 5, 'a', 5);
		return edge - 5;
	}
	if (one_in(10) && length <= 4096)
		return memcpy(edge - length, text, length);
	return text;
}

/* Where to want a result: mostly where it is read from, rarely where none can be written. */
static void *result_to(void *buffer)
{
	if (one_in(60))
		return one_in(3) ? edge - 3 : (void *)8;
	return one_in(60) ? locked : buffer;
}

static void make_pages(void)
{
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	locked = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED || locked == MAP_FAILED || mprotect(pages + 4096, 4096, PROT_NONE) != 0)
		exit(2);
	edge = pages + 4096;
}
