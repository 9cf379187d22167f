/*
 * Makes and removes a directory again and again, in one of several ways. Usage: ways DIRECTORY WAY
 *
 * Prints how many calls failed. WAY is what happens besides:
 *   plain     nothing
 *   few       only ten calls are made
 *   handler   a signal has a handler from the start
 *   faults    the signals of its own faults have one
 *   filtered  from the start the program filters its own calls, and lets all through
 *   filter    at the end the program filters its own calls, and lets all through
 *   filter-soon  so it does after 17 calls, when it is to have a channel, and makes more then
 *   filter-later  so it does after 65 calls
 *   exec      at the end it executes itself with another way, after an attempt that fails
 *   umask     before each directory it changes its umask, and looks at the mode that comes of it
 *   full      from the start it may open no more descriptors, and says how many it still may at the end
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void nothing(int number)
{
	(void)number;
}

static const int faults[] = { SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV };

static int pairs(int count)
{
	int bad = 0;
	for (int i = 0; i < count; i++) {
		bad += mkdir("pair", 0700) != 0;
		bad += rmdir("pair") != 0;
	}
	return bad;
}

static int pairs_with_umask(int count)
{
	struct stat made;
	int bad = 0;
	for (int i = 0; i < count; i++) {
		mode_t mask = i % 2 ? 027 : 0;
		umask(mask);
		bad += mkdir("pair", 0777) != 0;
		bad += stat("pair", &made) != 0 || (made.st_mode & 0777) != (0777 & ~mask);
		bad += rmdir("pair") != 0;
	}
	return bad;
}

static int filter_all(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { 1, &allow };
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* The limit is what is open: descriptors are open without a gap. */
static int fill(void)
{
	int next = dup(0);
	struct rlimit limit = { next, next };
	return close(next) || setrlimit(RLIMIT_NOFILE, &limit);
}

/* An odd number of calls, which makes and removes something else. */
static int filter_after(int calls)
{
	int bad = mkdir("odd", 0700) != 0 || pairs(calls / 2) != 0 || filter_all() != 0;
	return bad || rmdir("odd") != 0;
}

static int room(void)
{
	int most = 0;
	while (dup(0) >= 0)
		most++;
	return errno == EMFILE ? most : -1;
}

int main(int count, char **arguments)
{
	if (count != 3 || chdir(arguments[1]) != 0)
		return 2;
	const char *way = arguments[2];
	int is = 0;
#define WAY(name) (!strcmp(way, name) && ++is)
	int often = WAY("few") ? 5 : 100;
	if (WAY("plain"))
		is = 1;
	if (WAY("handler") && signal(SIGUSR1, nothing) == SIG_ERR)
		return 2;
	if (WAY("faults"))
		for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
			signal(faults[i], nothing);
	if (WAY("filtered") && filter_all() != 0)
		return 2;
	if (WAY("full") && fill() != 0)
		return 2;
	if (WAY("filter-soon") && filter_after(17) != 0)
		return 2;
	if (WAY("filter-later") && filter_after(65) != 0)
		return 2;
	printf("failed %d\n", WAY("umask") ? pairs_with_umask(often) : pairs(often));
	if (WAY("filter") && filter_all() != 0)
		return 2;
	if (WAY("full"))
		printf("room %d\n", room());
	fflush(stdout);
	if (WAY("exec")) {
		execl("/nowhere/at/all", "nowhere", NULL);
		printf("failed %d\n", pairs(often));
		fflush(stdout);
		execl(arguments[0], arguments[0], arguments[1], "plain", NULL);
		return 2;
	}
	return !is;
}
