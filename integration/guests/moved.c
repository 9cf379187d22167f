/*
 * Makes calls by absolute paths below a mount, without any signal handler, and waits twice meanwhile.
 * Usage: moved MOUNT SIGNS
 *
 * Says "ready" and waits for SIGNS/1; says "again" and waits for SIGNS/2; makes MOUNT/last; says how many calls
 * failed.
 */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int pairs(const char *path, int count)
{
	int bad = 0;
	for (int i = 0; i < count; i++) {
		bad += mkdir(path, 0700) != 0;
		bad += rmdir(path) != 0;
	}
	return bad;
}

static void wait_for(const char *word, const char *sign)
{
	struct stat found;
	puts(word);
	fflush(stdout);
	while (stat(sign, &found) != 0)
		usleep(5000);
}

int main(int count, char **arguments)
{
	char pair[4096], last[4096], first_sign[4096], second_sign[4096];
	if (count != 3)
		return 2;
	snprintf(pair, sizeof pair, "%s/pair", arguments[1]);
	snprintf(last, sizeof last, "%s/last", arguments[1]);
	snprintf(first_sign, sizeof first_sign, "%s/1", arguments[2]);
	snprintf(second_sign, sizeof second_sign, "%s/2", arguments[2]);
	int bad = pairs(pair, 100);
	wait_for("ready", first_sign);
	bad += pairs(pair, 20);
	wait_for("again", second_sign);
	bad += mkdir(last, 0700) != 0;
	printf("failed %d\n", bad);
	return 0;
}
