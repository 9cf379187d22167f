/*
 * Makes, looks up, renames and removes names in a directory, round by round, together with others that do the
 * same: with names of its own, of which every result is known, and with names that all of them use, where of
 * two only one may succeed. Prints how many of the latter it made and removed.
 *
 * Usage: rounds DIRECTORY NUMBER ROUNDS; the directory holds a file "anchor".
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned long now;

static void check(int right, const char *what)
{
	if (right)
		return;
	printf("round %lu: %s: %s\n", now, what, strerror(errno));
	exit(1);
}

static int is_missing(const char *name)
{
	struct stat it;
	return stat(name, &it) == -1 && errno == ENOENT;
}

static void own_names(const char *number)
{
	char dir[64], file[96], link_[96], moved[96];
	struct stat first, second;
	snprintf(dir, sizeof dir, "own-%s-%lu", number, now % 3);
	snprintf(file, sizeof file, "%s/file", dir);
	snprintf(link_, sizeof link_, "%s/link", dir);
	snprintf(moved, sizeof moved, "%s/moved", dir);
	check(mkdir(dir, 0755) == 0, "mkdir");
	check(stat(dir, &first) == 0 && S_ISDIR(first.st_mode), "stat of the new directory");
	check(mknod(file, S_IFREG | 0644, 0) == 0, "mknod");
	check(chmod(file, 0600) == 0, "chmod");
	check(stat(file, &second) == 0 && second.st_mode == (S_IFREG | 0600), "stat of the new file");
	check(link(file, link_) == 0, "link");
	check(rename(link_, moved) == 0, "rename");
	check(is_missing(link_), "stat of the name that was renamed");
	check(mkdir(dir, 0755) == -1 && errno == EEXIST, "mkdir once more");
	check(rmdir(dir) == -1 && errno == ENOTEMPTY, "rmdir of what is not empty");
	check(unlink(file) == 0 && unlink(moved) == 0, "unlink");
	check(stat(dir, &second) == 0 && second.st_ino == first.st_ino, "the directory's inode number");
	check(rmdir(dir) == 0, "rmdir");
	check(is_missing(dir), "stat of the removed directory");
}

/* made and removed: directories, then files. */
static unsigned long counts[4];

static void common_names(void)
{
	struct stat it;
	int file;
	if (mkdir("common", 0755) == 0)
		counts[0]++;
	else
		check(errno == EEXIST, "mkdir of the common directory");
	check(stat("common", &it) == 0 ? S_ISDIR(it.st_mode) : errno == ENOENT, "stat of the common directory");
	if (rmdir("common") == 0)
		counts[1]++;
	else
		check(errno == ENOENT, "rmdir of the common directory");
	if ((file = open("both", O_CREAT | O_EXCL | O_WRONLY, 0644)) >= 0) {
		counts[2]++;
		close(file);
	} else {
		check(errno == EEXIST, "making the common file");
	}
	if (unlink("both") == 0)
		counts[3]++;
	else
		check(errno == ENOENT, "unlink of the common file");
}

static void list(void)
{
	DIR *dir = opendir(".");
	struct dirent *entry;
	static char seen[64][256];
	int number = 0, anchors = 0;
	check(dir != NULL, "opendir");
	while ((entry = readdir(dir)) != NULL) {
		const char *name = entry->d_name;
		anchors += strcmp(name, "anchor") == 0;
		for (int i = 0; i < number; i++)
			check(strcmp(seen[i], name) != 0, "a name that is listed twice");
		if (number < 64)
			snprintf(seen[number++], sizeof *seen, "%s", name);
	}
	closedir(dir);
	check(anchors == 1, "the anchor in the listing");
}

int main(int count, char **arguments)
{
	struct stat first, anchor;
	if (count != 4 || chdir(arguments[1]) != 0 || stat("anchor", &first) != 0) {
		perror("usage: rounds DIRECTORY NUMBER ROUNDS");
		return 2;
	}
	unsigned long rounds = strtoul(arguments[3], NULL, 10);
	for (now = 0; now < rounds; now++) {
		own_names(arguments[2]);
		common_names();
		check(stat("anchor", &anchor) == 0 && anchor.st_ino == first.st_ino, "the anchor");
		if (now % 16 == 0)
			list();
	}
	printf("%lu %lu %lu %lu\n", counts[0], counts[1], counts[2], counts[3]);
	return 0;
}
