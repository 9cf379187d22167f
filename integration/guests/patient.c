/*
 * A file system that takes its time, on libfuse's low-level interface. Usage: patient LOG MOUNTPOINT
 *
 * Its root is all there is. Who makes a directory waits until somebody asks for statistics (statfs(2), which needs
 * no lock), or until the call is interrupted: then the name says what becomes of it.
 *
 *   eintr...    the call fails with EINTR
 *   goes-on...  it waits all the same
 *   twice...    the look-up of the name waits as well, finds nothing when it is interrupted, and then it is as eintr
 *
 * LOG gets a line when a request begins to wait, and when it is interrupted. It waits a minute at most.
 */
#define _GNU_SOURCE
#define FUSE_USE_VERSION 34
#include <errno.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t news = PTHREAD_COND_INITIALIZER;
static unsigned long releases;
static FILE *words;

/* A request that waits. */
struct wait {
	const char *what, *name;
	int interrupted;
};

static void say(const char *what, const char *name, const char *became)
{
	fprintf(words, "%s %s %s\n", what, name, became);
	fflush(words);
}

static void interrupted(fuse_req_t request, void *data)
{
	struct wait *wait = data;
	(void)request;
	pthread_mutex_lock(&lock);
	wait->interrupted = 1;
	say(wait->what, wait->name, "interrupted");
	pthread_cond_broadcast(&news);
	pthread_mutex_unlock(&lock);
}

/* Whether it was interrupted. */
static int wait_for_news(fuse_req_t request, const char *what, const char *name, int goes_on)
{
	struct wait wait = {what, name, 0};
	struct timespec end;
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 60;
	pthread_mutex_lock(&lock);
	unsigned long before = releases;
	say(what, name, "waits");
	pthread_mutex_unlock(&lock);
	fuse_req_interrupt_func(request, interrupted, &wait);
	pthread_mutex_lock(&lock);
	while (releases == before && (goes_on || !wait.interrupted))
		if (pthread_cond_timedwait(&news, &lock, &end) != 0)
			break;
	pthread_mutex_unlock(&lock);
	/* Returns when nobody is in `interrupted` any more. */
	fuse_req_interrupt_func(request, NULL, NULL);
	return wait.interrupted && !goes_on;
}

static int begins(const char *name, const char *with)
{
	return strncmp(name, with, strlen(with)) == 0;
}

static void look_up(fuse_req_t request, fuse_ino_t parent, const char *name)
{
	(void)parent;
	if (begins(name, "twice"))
		wait_for_news(request, "lookup", name, 0);
	fuse_reply_err(request, ENOENT);
}

static void get_attributes(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *file)
{
	struct stat status = {.st_ino = node, .st_mode = S_IFDIR | 0777, .st_nlink = 2};
	(void)file;
	fuse_reply_attr(request, &status, 0);
}

static void make_directory(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode)
{
	static fuse_ino_t last = FUSE_ROOT_ID;
	(void)parent;
	if (wait_for_news(request, "mkdir", name, begins(name, "goes-on"))) {
		fuse_reply_err(request, EINTR);
		return;
	}
	pthread_mutex_lock(&lock);
	struct fuse_entry_param entry = {.ino = ++last};
	pthread_mutex_unlock(&lock);
	entry.attr = (struct stat){.st_ino = entry.ino, .st_mode = S_IFDIR | mode, .st_nlink = 2};
	fuse_reply_entry(request, &entry);
}

static void release(fuse_req_t request, fuse_ino_t node)
{
	struct statvfs statistics = {.f_bsize = 4096};
	(void)node;
	pthread_mutex_lock(&lock);
	releases++;
	pthread_cond_broadcast(&news);
	pthread_mutex_unlock(&lock);
	fuse_reply_statfs(request, &statistics);
}

static const struct fuse_lowlevel_ops operations = {
	.lookup = look_up,
	.getattr = get_attributes,
	.mkdir = make_directory,
	.statfs = release,
};

int main(int count, char **arguments)
{
	if (count != 3 || (words = fopen(arguments[1], "a")) == NULL)
		return 2;
	char *own[] = {arguments[0], NULL};
	struct fuse_args options = FUSE_ARGS_INIT(1, own);
	struct fuse_session *session =
		fuse_session_new(&options, &operations, sizeof operations, NULL);
	if (session == NULL || fuse_set_signal_handlers(session) != 0)
		return 1;
	if (fuse_session_mount(session, arguments[2]) != 0)
		return 1;
	struct fuse_loop_config config = {.clone_fd = 0, .max_idle_threads = 10};
	fuse_session_loop_mt(session, &config);
	fuse_session_unmount(session);
	fuse_remove_signal_handlers(session);
	fuse_session_destroy(session);
	return 0;
}
