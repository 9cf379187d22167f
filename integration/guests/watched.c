/*
 * Makes, looks at and removes a directory until there is a file "stop". Usage: watched DIRECTORY
 *
 * Prints its process id, a dot for each hundred rounds, and how many calls went wrong.
 */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int count, char **arguments)
{
	struct stat made, stop;
	int wrong = 0;
	if (count < 2 || chdir(arguments[1]) != 0)
		return 2;
	setbuf(stdout, NULL);
	printf("%d\n", (int)getpid());
	for (long round = 1; stat("stop", &stop) != 0; round++) {
		wrong += mkdir("made", 0700) != 0;
		wrong += stat("made", &made) != 0 || !S_ISDIR(made.st_mode);
		wrong += mkdir("made", 0700) == 0;
		wrong += rmdir("made") != 0;
		if (round % 100 == 0)
			printf(".");
	}
	printf("\nwrong: %d\n", wrong);
	return 0;
}
