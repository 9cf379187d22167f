/*
 * A program that whoever changes its code has to be careful with. It makes and removes a directory again and again.
 * Usage: unusual DIRECTORY WAY
 *
 * Prints how many calls failed. WAY is what is unusual:
 *   across      the instructions that make the calls lie on the borders of pages
 *   unreadable  its code may be executed only
 *   dispatched  before half of the calls it makes a signal of each call from any code but its own, and says how many
 *               came; dispatched-first: before all
 *   asks        the call that the bootstrap makes for the agent it makes itself, as soon as it would get an answer;
 *               then it makes a directory, becomes somebody else if it may, and says whether it may change it
 *   offered     some children make calls until they are offered a channel, filter their own calls, and wait for "stop";
 *               before, "ready" is made
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

/* CHILDREN stands in fast/unusual.rs, too. */
enum { OFTEN = 100, CHILDREN = 30, UNTIL_OFFERED = 17, NOBODY = 65534, ASK = 0x46494E45, ASK_AGENT = 1, PAGE = 4096 };

extern char __executable_start, etext;
extern void _init(void);
/* They return what the kernel does. */
extern int make_across(const char *path, mode_t mode);
extern int remove_across(const char *path);

/* The border is in the middle of the number of the one, and of the call of the other. */
__asm__(".text\n"
	".balign 4096\n"
	".skip 4093\n"
	"make_across:\n"
	"	mov $83, %eax\n"
	"	syscall\n"
	"	ret\n"
	".balign 4096\n"
	".skip 4090\n"
	"remove_across:\n"
	"	mov $84, %eax\n"
	"	syscall\n"
	"	ret\n");

static int (*makes)(const char *path, mode_t mode) = mkdir;
static int (*removes)(const char *path) = rmdir;

static int pairs(int count)
{
	int bad = 0;
	for (int i = 0; i < count; i++) {
		bad += makes("pair", 0700) != 0;
		bad += removes("pair") != 0;
	}
	return bad;
}

static int hide_code(void)
{
	uintptr_t start = (uintptr_t)_init / PAGE * PAGE;
	return mprotect((void *)start, (uintptr_t)&etext - start, PROT_EXEC);
}

static volatile sig_atomic_t came;
static volatile char selector = SYSCALL_DISPATCH_FILTER_ALLOW;

static void refuse(int signal, siginfo_t *what, void *where)
{
	(void)signal, (void)what;
	ucontext_t *context = where;
	context->uc_mcontext.gregs[REG_RAX] = -ENOSYS;
	came++;
}

static int pairs_dispatched(void)
{
	struct sigaction action = {.sa_sigaction = refuse, .sa_flags = SA_SIGINFO};
	uintptr_t start = (uintptr_t)&__executable_start, length = &etext - &__executable_start;
	int bad = sigaction(SIGSYS, &action, NULL) ||
		prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, start, length, &selector);
	selector = SYSCALL_DISPATCH_FILTER_BLOCK;
	bad += pairs(OFTEN);
	selector = SYSCALL_DISPATCH_FILTER_ALLOW;
	printf("signals: %d\n", (int)came);
	return bad;
}

/* As soon as it is prepared there is an answer: a descriptor. */
static int ask(const char *name)
{
	int got = -1, bad = mkdir(name, 0700) != 0;
	for (int i = 0; i < OFTEN && got < 0; i++) {
		bad += mkdir(name, 0700) == 0;
		got = prctl(ASK, ASK_AGENT, 0, 0, 0);
	}
	umask(022);
	return bad + (got < 0 || fcntl(got, F_GETFD) != FD_CLOEXEC);
}

static int become_somebody_else(void)
{
	int bad = mkdir("own", 0700) != 0;
	if (geteuid() == 0)
		bad += setresuid(NOBODY, NOBODY, NOBODY) != 0;
	printf("may change: %d\n", chmod("own", 0755) == 0);
	return bad;
}

static int filter_all(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { 1, &allow };
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int are_offered(void)
{
	int bad = 0, status, done[2];
	char byte, name[16];
	if (pipe(done) != 0)
		return 1;
	for (int i = 0; i < CHILDREN; i++) {
		if (fork() != 0)
			continue;
		snprintf(name, sizeof name, "pair-%d", i);
		bad = mkdir(name, 0700) != 0;
		for (int call = 1; call < UNTIL_OFFERED; call++)
			bad += mkdir(name, 0700) == 0;
		bad += write(done[1], "x", 1) != 1;
		while (access("now", F_OK) != 0)
			usleep(10000);
		bad += filter_all();
		bad += write(done[1], "x", 1) != 1;
		while (access("stop", F_OK) != 0)
			usleep(10000);
		_exit(bad + (rmdir(name) != 0));
	}
	for (int i = 0; i < CHILDREN; i++)
		bad += read(done[0], &byte, 1) != 1;
	bad += close(creat("ready", 0600)) != 0;
	while (wait(&status) > 0)
		bad += status != 0;
	return bad;
}

int main(int count, char **arguments)
{
	if (count != 3 || chdir(arguments[1]) != 0)
		return 2;
	const char *way = arguments[2];
	int bad = 0;
	if (strcmp(way, "across") == 0) {
		makes = make_across;
		removes = remove_across;
		bad += pairs(OFTEN);
	} else if (strcmp(way, "unreadable") == 0) {
		bad += hide_code() + pairs(OFTEN);
	} else if (strcmp(way, "dispatched") == 0) {
		bad += pairs(OFTEN) + pairs_dispatched();
	} else if (strcmp(way, "dispatched-first") == 0) {
		bad += pairs_dispatched();
	} else if (strcmp(way, "asks") == 0) {
		bad += chmod(".", 0777) != 0;
		bad += ask("pair") + (rmdir("pair") != 0);
		bad += become_somebody_else() + pairs(OFTEN);
	} else if (strcmp(way, "offered") == 0) {
		bad += are_offered();
	} else {
		return 2;
	}
	printf("failed %d\n", bad);
	return 0;
}
