// SPDX-License-Identifier: GPL-2.0-only
/*
 * selftest JOB...: tests a machine from inside, as a program or as the first process of a
 * guest, which is told its jobs behind "--" on the kernel's command line. A job is a word
 *
 *   NAME[:NUMBER[:NUMBER]]
 *
 * and jobs that are joined by "+" run at once. Each one prints a line
 *
 *   @ST NAME ok|failed key=value...
 *
 * and the exit status is the number of those that failed. `off` and `reboot` end the machine;
 * the words behind `ever` are begun again and again.
 */
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "selftest.h"

static bool off(uint64_t a, uint64_t b, char *found)
{
	(void)a, (void)b, (void)found;
	return reboot(RB_POWER_OFF);
}

static bool again(uint64_t a, uint64_t b, char *found)
{
	(void)a, (void)b, (void)found;
	return reboot(RB_AUTOBOOT);
}

static const struct job jobs[] = {
	{ "memory", memory }, { "fpu", fpu }, { "ticks", ticks }, { "sleeps", sleeps },
	{ "ipis", ipis }, { "virtio", virtio }, { "vms", vms },
	{ "events", events }, { "asked", asked }, { "restored", restored }, { "moved", moved },
	{ "walk", walk }, { "off", off }, { "reboot", again },
};

static bool run(char *word)
{
	const char *name = strsep(&word, ":");
	uint64_t a = word ? strtoul(word, &word, 0) : 0;
	uint64_t b = word && *word == ':' ? strtoul(word + 1, NULL, 0) : 0;
	char found[FOUND] = "";

	for (size_t i = 0; i < sizeof(jobs) / sizeof(*jobs); i++)
		if (!strcmp(jobs[i].name, name)) {
			bool good = jobs[i].run(a, b, found);

			/* one write each, as jobs share the console */
			printf("@ST %s %s %s\n", name, good ? "ok" : "failed", found);
			fflush(stdout);
			return good;
		}
	printf("@ST %s failed unknown\n", name);
	return false;
}

/* The first process has nothing but its program; a virtio console may still be on its way. */
static void become_init(void)
{
	int console;

	mkdir("/proc", 0755);
	mkdir("/dev", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	while ((console = open("/dev/console", O_RDWR)) < 0)
		usleep(10000);
	for (int i = 0; i < 3; i++)
		dup2(console, i);
	printf("@ST up ok cpus=%ld\n", sysconf(_SC_NPROCESSORS_ONLN));
}

int main(int argc, char **argv)
{
	int failed = 0, status, ever = 0;

	setvbuf(stdout, NULL, _IOFBF, 4096);
	if (getpid() == 1)
		become_init();
	fflush(stdout);
	for (int i = 1; i < argc; i++) {
		char *job, *words, *rest;

		if (!strcmp(argv[i], "ever"))
			ever = i++;
		rest = words = strdup(argv[i]);
		while ((job = strsep(&rest, "+")))
			if (!fork())
				_exit(!run(job));
		while (wait(&status) > 0)
			failed += status != 0;
		free(words);
		if (ever && i == argc - 1)
			i = ever;
	}
	return failed;
}
