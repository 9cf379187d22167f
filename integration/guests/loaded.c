/*
 * A library with a call of its own, the NUMBER that it is compiled with; its code is of the same length whatever
 * that is.
 */
long call(const char *path, long mode)
{
	long result;
	__asm__ volatile("mov %1, %%eax\n\tsyscall"
			 : "=&a"(result)
			 : "i"(NUMBER), "D"(path), "S"(mode)
			 : "rcx", "r11", "memory");
	return result;
}
