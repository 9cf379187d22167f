/* Every call by the bare instruction: no libc, nothing to preload into. Usage: raw DIRECTORY */
#include "every_call.h"

long kernel(long number, long a, long b, long c, long d, long e)
{
	long result;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = 0;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

static void write_text(const char *text)
{
	long length = 0;
	while (text[length])
		length++;
	kernel(SYS_write, 1, (long)text, length, 0, 0);
}

static void write_number(long number)
{
	char digits[24];
	int at = sizeof digits - 1;
	digits[at] = 0;
	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number && at > 0);
	write_text(digits + at);
}

void say(const char *name, long result)
{
	write_text(name);
	if (result < 0 && result > -4096) {
		write_text(" -1 ");
		write_number(-result);
	} else {
		write_text(" ");
		write_number(result < 0 ? 0 : result);
		write_text(" 0");
	}
	write_text("\n");
}

static int run(long count, char **arguments)
{
	if (count != 2 || kernel(SYS_chdir, (long)arguments[1], 0, 0, 0, 0) != 0)
		return 2;
	kernel(SYS_umask, 027, 0, 0, 0, 0);
	/* O_RDONLY | O_DIRECTORY */
	every_call(kernel(SYS_open, (long)".", 0200000, 0, 0, 0));
	return 0;
}

void start(long *stack)
{
	kernel(SYS_exit_group, run(stack[0], (char **)(stack + 1)), 0, 0, 0, 0);
	__builtin_unreachable();
}

/* The kernel leaves the arguments at the stack pointer (System V ABI for AMD64, 3.4.1). */
__asm__(".globl _start\n_start: xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call start\n");
