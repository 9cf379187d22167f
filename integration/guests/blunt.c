/*
 * A file system that speaks the kernel's protocol itself, one message at a time; libfuse only mounts it.
 * Usage: blunt LOG MOUNTPOINT
 *
 * Its root is all there is. Who makes a directory waits until somebody asks for statistics; until then the name
 * says how an interrupt is answered:
 *
 *   eintr...   not at all; the call fails with EINTR
 *   again...   with EAGAIN, twice; then as eintr
 *   unknown... with ENOSYS
 *   garbled... with EAGAIN, but too long, which is refused; then as eintr
 *
 * LOG gets a line for each of these messages: what it is, whether its number is as the kernel's are, and the errno
 * that writing an answer to an interrupt has, of this request and of one that is not there.
 */
#define _GNU_SOURCE
#define FUSE_USE_VERSION 34
#include <errno.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MOST = 16 };

static struct {
	uint64_t unique;
	char name[256];
	int interrupts;
} waiting[MOST];

static int device;
static FILE *words;

static const char *errno_of(int failed)
{
	return failed ? strerrorname_np(errno) : "0";
}

/* Returns what the write says. */
static const char *answer(uint64_t unique, int error, const void *body, size_t length)
{
	struct fuse_out_header header = {sizeof header + length, -error, unique};
	struct iovec parts[] = {{&header, sizeof header}, {(void *)body, length}};
	return errno_of(writev(device, parts, length > 0 ? 2 : 1) < 0);
}

static struct fuse_attr directory(uint64_t node)
{
	return (struct fuse_attr){.ino = node, .mode = S_IFDIR | 0777, .nlink = 2};
}

static void greet(const struct fuse_in_header *in, const struct fuse_init_in *asked)
{
	struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION, .minor = asked->minor};
	out.max_write = 4096;
	out.max_readahead = asked->max_readahead;
	answer(in->unique, 0, &out, sizeof out);
}

static void wait_for(const struct fuse_in_header *in, const char *name)
{
	for (int i = 0; i < MOST; i++) {
		if (waiting[i].unique == 0) {
			waiting[i].unique = in->unique;
			waiting[i].interrupts = 0;
			snprintf(waiting[i].name, sizeof waiting[i].name, "%.255s", name);
			fprintf(words, "%s waits\n", name);
			return;
		}
	}
}

static void finish(int i, int error)
{
	static uint64_t last = FUSE_ROOT_ID;
	struct fuse_entry_out entry = {.nodeid = ++last, .attr = directory(last)};
	answer(waiting[i].unique, error, &entry, error == 0 ? sizeof entry : 0);
	waiting[i].unique = 0;
}

static int begins(int i, const char *with)
{
	return strncmp(waiting[i].name, with, strlen(with)) == 0;
}

static void interrupt(const struct fuse_in_header *in, const struct fuse_interrupt_in *which)
{
	for (int i = 0; i < MOST; i++) {
		if (waiting[i].unique == 0 || waiting[i].unique != which->unique)
			continue;
		int is_sound = in->unique == (which->unique | 1) && in->nodeid == 0 &&
			in->uid == 0 && in->gid == 0 && in->pid == 0;
		fprintf(words, "%s interrupted%s\n", waiting[i].name, is_sound ? "" : " oddly");
		waiting[i].interrupts++;
		if (begins(i, "again") && waiting[i].interrupts <= 2) {
			fprintf(words, "again: %s\n", answer(in->unique, EAGAIN, NULL, 0));
		} else if (begins(i, "unknown")) {
			fprintf(words, "unknown: %s\n", answer(in->unique, ENOSYS, NULL, 0));
		} else {
			if (begins(i, "garbled"))
				fprintf(words, "garbled: %s\n", answer(in->unique, EAGAIN, in, 8));
			finish(i, EINTR);
			fprintf(words, "late: %s\n", answer(in->unique, EAGAIN, NULL, 0));
		}
		return;
	}
	fputs("something else interrupted\n", words);
}

static void release(const struct fuse_in_header *in)
{
	struct fuse_statfs_out out = {.st = {.bsize = 4096}};
	for (int i = 0; i < MOST; i++)
		if (waiting[i].unique != 0)
			finish(i, 0);
	answer(in->unique, 0, &out, sizeof out);
}

static void serve(const struct fuse_in_header *in, const void *body)
{
	struct fuse_attr_out attributes = {.attr = directory(in->nodeid)};
	switch (in->opcode) {
	case FUSE_INIT:
		greet(in, body);
		break;
	case FUSE_GETATTR:
		answer(in->unique, 0, &attributes, sizeof attributes);
		break;
	case FUSE_LOOKUP:
		answer(in->unique, ENOENT, NULL, 0);
		break;
	case FUSE_MKDIR:
		wait_for(in, (const char *)body + sizeof(struct fuse_mkdir_in));
		break;
	case FUSE_INTERRUPT:
		interrupt(in, body);
		break;
	case FUSE_STATFS:
		release(in);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
		break;
	default:
		answer(in->unique, ENOSYS, NULL, 0);
	}
	fflush(words);
}

int main(int count, char **arguments)
{
	static const struct fuse_lowlevel_ops none;
	static _Alignas(8) char message[1 << 17];
	if (count != 3 || (words = fopen(arguments[1], "a")) == NULL)
		return 2;
	char *own[] = {arguments[0], NULL};
	struct fuse_args options = FUSE_ARGS_INIT(1, own);
	struct fuse_session *session = fuse_session_new(&options, &none, sizeof none, NULL);
	if (session == NULL || fuse_session_mount(session, arguments[2]) != 0)
		return 1;
	device = fuse_session_fd(session);
	for (;;) {
		ssize_t length = read(device, message, sizeof message);
		if (length > 0)
			serve((void *)message, message + sizeof(struct fuse_in_header));
		else if (errno == ENODEV)
			break;
		else if (errno != EINTR && errno != ENOENT && errno != EAGAIN)
			return 1;
	}
	fuse_session_unmount(session);
	fuse_session_destroy(session);
	return 0;
}
