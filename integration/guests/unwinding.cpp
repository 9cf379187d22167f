/*
 * A program that gets the agent, and then unwinds: exceptions thrown after calls and by handlers that interrupt
 * them, threads that are cancelled between calls and in them. Prints what came of it; two equal file systems give
 * the same text.
 *
 * Usage: unwinding DIRECTORY
 */
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <pthread.h>
#include <stdexcept>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

namespace {

enum { ROUNDS = 40, TIMES = 40 };

volatile int destroyed;

struct Counted {
	~Counted() { destroyed = destroyed + 1; }
};

void say(const char *what, long result)
{
	printf("%s: %ld\n", what, result);
}

int make_and_remove(const char *name)
{
	int bad = 0;
	for (int i = 0; i < ROUNDS; i++)
		bad += mkdir(name, 0700) != 0 || rmdir(name) != 0 || unlink(name) == 0;
	return bad;
}

/* ---- Exceptions by the program itself ---- */

void fail_after_a_call(int depth)
{
	Counted counted;
	if (depth > 0)
		return fail_after_a_call(depth - 1);
	if (rmdir("missing") != 0)
		throw std::runtime_error("missing");
}

void by_itself()
{
	int caught = 0;
	for (int i = 0; i < TIMES; i++) {
		try {
			fail_after_a_call(3);
		} catch (const std::runtime_error &) {
			caught += mkdir("caught", 0700) == 0 && rmdir("caught") == 0;
		}
	}
	say("caught", caught);
	say("destroyed", destroyed);
}

/* ---- Exceptions by handlers, which are caught within them ---- */

volatile sig_atomic_t handled, wrong;

void throws_and_catches(int)
{
	int error = errno;
	try {
		Counted counted;
		if (rmdir("missing in a handler") != 0)
			throw 5;
	} catch (int five) {
		handled = handled + 1;
		wrong = wrong + (five != 5);
	}
	errno = error;
}

void alarm_every(long microseconds)
{
	itimerval every = {{0, microseconds}, {0, microseconds}};
	setitimer(ITIMER_REAL, &every, nullptr);
}

void by_handlers()
{
	struct sigaction action = {};
	action.sa_handler = throws_and_catches;
	action.sa_flags = SA_RESTART;
	sigaction(SIGALRM, &action, nullptr);
	alarm_every(500);
	int bad = 0;
	while (handled < TIMES)
		bad += make_and_remove("interrupted");
	alarm_every(0);
	say("interrupted", bad);
	say("wrong", wrong);
}

/* ---- Cancelled threads ---- */

pthread_barrier_t ready;

void counts_it(void *) { destroyed = destroyed + 1; }

void *until_cancelled_between_calls(void *)
{
	pthread_cleanup_push(counts_it, nullptr);
	pthread_barrier_wait(&ready);
	for (;;) {
		make_and_remove("cancelled");
		pthread_testcancel();
	}
	pthread_cleanup_pop(0);
	return nullptr;
}

/* It has nothing to clean up: C++ promises that for no other instruction than calls. */
void *until_cancelled_anywhere(void *)
{
	int unused;
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &unused);
	pthread_barrier_wait(&ready);
	for (;;)
		rmdir("never");
}

void cancelled(const char *what, void *(*body)(void *))
{
	int wrong = 0;
	destroyed = 0;
	pthread_barrier_init(&ready, nullptr, 2);
	/* More often than there are slots. */
	for (int i = 0; i < TIMES; i++) {
		pthread_t thread;
		void *result;
		pthread_create(&thread, nullptr, body, nullptr);
		pthread_barrier_wait(&ready);
		usleep(i * 20);
		pthread_cancel(thread);
		pthread_join(thread, &result);
		wrong += result != PTHREAD_CANCELED;
	}
	say(what, wrong);
	say("destroyed", destroyed);
	say("afterwards", make_and_remove("afterwards"));
}

} // namespace

int main(int count, char **arguments)
{
	if (count < 2 || chdir(arguments[1]) != 0)
		return 2;
	setbuf(stdout, nullptr);
	say("first", make_and_remove("first"));
	by_itself();
	by_handlers();
	cancelled("between calls", until_cancelled_between_calls);
	cancelled("anywhere", until_cancelled_anywhere);
	return 0;
}
