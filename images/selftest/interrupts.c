// SPDX-License-Identifier: GPL-2.0-only
/*
 * ipis:TRIPS     two threads on two CPUs wake each other: a reschedule IPI each way, to a CPU
 *                that idles.
 * virtio:READS   reads of the random number device: an interrupt each.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include "selftest.h"

static uint32_t turn;		/* whose it is */
static uint64_t trips;

/* Of the lines of /proc/interrupts that hold @what. */
static uint64_t interrupts(const char *what)
{
	FILE *file = fopen("/proc/interrupts", "r");
	uint64_t sum = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (strstr(line, what)) {
			char *at = strchr(line, ':') + 1;

			for (int cpu = 0; cpu < CPUS; cpu++)
				sum += strtoul(at, &at, 10);
		}
	if (file)
		fclose(file);
	return sum;
}

static void play(uint32_t me)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(me, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	for (uint64_t i = 0; i < trips; i++) {
		while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != me)
			syscall(SYS_futex, &turn, FUTEX_WAIT, 1 - me, NULL, NULL, 0);
		__atomic_store_n(&turn, 1 - me, __ATOMIC_RELEASE);
		syscall(SYS_futex, &turn, FUTEX_WAKE, 1, NULL, NULL, 0);
	}
}

static void *other(void *argument)
{
	play(1);
	return argument;
}

bool ipis(uint64_t count, uint64_t unused, char *found)
{
	uint64_t before = interrupts("Rescheduling"), came;
	int64_t start = now_us();
	pthread_t thread;

	(void)unused;
	trips = count;
	pthread_create(&thread, NULL, other, NULL);
	play(0);
	pthread_join(thread, NULL);
	came = interrupts("Rescheduling") - before;
	found("trips=%lu ipis=%lu us=%ld", trips, came, now_us() - start);
	return came >= trips;
}

bool virtio(uint64_t reads, uint64_t unused, char *found)
{
	uint64_t before = interrupts("virtio"), bytes = 0, came;
	int file = open("/dev/hwrng", O_RDONLY);
	char buffer[64];

	(void)unused;
	for (uint64_t i = 0; i < reads; i++) {
		ssize_t got = read(file, buffer, sizeof(buffer));

		bytes += got > 0 ? got : 0;
	}
	close(file);
	came = interrupts("virtio") - before;
	found("bytes=%lu interrupts=%lu", bytes, came);
	return bytes == reads * sizeof(buffer) && came >= reads / 4;
}
