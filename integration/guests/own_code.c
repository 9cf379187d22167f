/*
 * A program that gets the agent, and has code of its own making, libraries that come and go, a handler for SIGSYS,
 * and in the end a filter. Prints what came of it; two equal file systems give the same text.
 *
 * Usage: own_code DIRECTORY MAKES REMOVES; two libraries of which the one makes a directory and the other removes it.
 * Without them only the last.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum { ROUNDS = 100 };

typedef long (*call_t)(const char *path, long mode);

static void say(const char *what, long result)
{
	printf("%s: %ld\n", what, result);
}

static int make_and_remove(const char *name)
{
	int bad = 0;
	for (int i = 0; i < ROUNDS; i++)
		bad += mkdir(name, 0700) != 0 || rmdir(name) != 0 || unlink(name) == 0;
	return bad;
}

/* ---- Code that it writes ---- */

/* mov eax, number; syscall; ret */
static void write_code(char *at, int number)
{
	memcpy(at, "\xB8....\x0F\x05\xC3", 8);
	memcpy(at + 1, &number, 4);
	__builtin___clear_cache(at, at + 8);
}

/* Each call is made by the same instruction, of which it changes the number. */
static void say_written(const char *what, char *writable, char *code)
{
	call_t call = (call_t)code;
	int bad = 0;
	for (int i = 0; i < ROUNDS; i++) {
		for (int j = 0; j < 2; j++) {
			write_code(writable, SYS_mkdir);
			long made = call("written", 0700);
			bad += made != (j ? -EEXIST : 0);
		}
		write_code(writable, SYS_rmdir);
		bad += call("written", 0) != 0;
	}
	say(what, bad);
}

static void writes_code(void)
{
	char *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	say_written("in its memory", code + 100, code + 100);
	/* Twice the same pages; what is mapped privately shows what is written as long as nobody else writes there. */
	for (int kind = MAP_SHARED; kind <= MAP_PRIVATE; kind++) {
		int memory = memfd_create("code", 0);
		say("grown", ftruncate(memory, 4096));
		char *writable = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
		code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, kind, memory, 0);
		say_written("in shared memory", writable + 100, code + 100);
		close(memory);
	}
}

/* ---- Libraries that come and go ---- */

static int from_library(const char *path, const char *name, long mode, long first, long then)
{
	void *library = dlopen(path, RTLD_NOW);
	if (!library)
		return 1000;
	call_t call = (call_t)(long)dlsym(library, "call");
	int bad = call(name, mode) != first;
	for (int i = 0; i < ROUNDS; i++)
		bad += call(name, mode) != then;
	dlclose(library);
	return bad;
}

/* The loader puts the one where the other was. */
static void loads_libraries(const char *makes, const char *removes)
{
	for (int i = 0; i < 4; i++) {
		say("makes", from_library(makes, "loaded", 0700, 0, -EEXIST));
		say("removes", from_library(removes, "loaded", 0, 0, -ENOENT));
	}
}

/*
 * With the seventeenth call its site is prepared for the agent, which comes in by the second call from another site
 * that is prepared. By then there is another library where that one was.
 */
static void goes_before_the_agent_comes(const char *makes, const char *removes)
{
	int bad = 0;
	void *library = dlopen(makes, RTLD_NOW);
	call_t make = (call_t)(long)dlsym(library, "call");
	for (int i = 0; i < 17; i++)
		bad += make("gone", 0700) != (i ? -EEXIST : 0);
	dlclose(library);
	library = dlopen(removes, RTLD_NOW);
	call_t remove = (call_t)(long)dlsym(library, "call");
	say("elsewhere", remove != make);
	for (int i = 0; i < 5; i++)
		bad += mkdir("gone", 0700) == 0;
	for (int i = 0; i < 10; i++)
		bad += remove("gone", 0) != (i ? -ENOENT : 0);
	say("gone", bad);
	dlclose(library);
}

/* ---- A handler and a filter ---- */

static volatile sig_atomic_t refused;

static void answer(int signal, siginfo_t *what, void *where)
{
	(void)signal;
	ucontext_t *context = where;
	refused += what->si_syscall == SYS_mkdirat && context->uc_mcontext.gregs[REG_RIP] == (long)what->si_call_addr;
	context->uc_mcontext.gregs[REG_RAX] = -EXDEV;
}

#define ON(number, action) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, action)

/* What the agent lives on kills; one call is answered by the handler, one by the filter. */
static void filters(void)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ON(SYS_process_vm_readv, SECCOMP_RET_KILL_PROCESS),
		ON(SYS_process_vm_writev, SECCOMP_RET_KILL_PROCESS),
		ON(SYS_statx, SECCOMP_RET_KILL_PROCESS),
		ON(SYS_futex, SECCOMP_RET_KILL_PROCESS),
		ON(SYS_mkdirat, SECCOMP_RET_TRAP),
		ON(SYS_unlinkat, SECCOMP_RET_ERRNO | ENOTTY),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {sizeof program / sizeof *program, program};
	struct sigaction action = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO};
	sigaction(SIGSYS, &action, NULL);
	say("with a handler", make_and_remove("handler"));
	say("at", mkdirat(AT_FDCWD, "at", 0700));
	say("at", unlinkat(AT_FDCWD, "at", AT_REMOVEDIR));
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	say("filter", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter));
	for (int i = 0; i < ROUNDS; i++) {
		say("at", mkdirat(AT_FDCWD, "at", 0700) ? errno : 0);
		say("at", unlinkat(AT_FDCWD, "at", AT_REMOVEDIR) ? errno : 0);
	}
	say("refused", refused);
	say("with a filter", make_and_remove("filter"));
}

int main(int count, char **arguments)
{
	if (count < 2 || chdir(arguments[1]) != 0)
		return 2;
	setbuf(stdout, NULL);
	if (count == 4)
		goes_before_the_agent_comes(arguments[2], arguments[3]);
	say("first", make_and_remove("first"));
	if (count != 4) {
		filters();
		return 0;
	}
	writes_code();
	loads_libraries(arguments[2], arguments[3]);
	say("then", make_and_remove("then"));
	/* A filter ends the agent's work, so in a program of its own. */
	int status;
	pid_t child = fork();
	if (child == 0) {
		execl("/proc/self/exe", "own_code", arguments[1], (char *)0);
		_exit(9);
	}
	waitpid(child, &status, 0);
	say("child's end", status);
	return 0;
}
