/*
 * Makes and removes a directory again and again, with one thread and no signal handlers. Usage: pairs DIRECTORY
 *
 * Prints how many calls failed.
 */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int count, char **arguments)
{
	int bad = 0;
	if (count != 2 || chdir(arguments[1]) != 0)
		return 2;
	for (int i = 0; i < 100; i++) {
		bad += mkdir("pair", 0700) != 0;
		bad += rmdir("pair") != 0;
	}
	printf("failed %d\n", bad);
	return 0;
}
