/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SELFTEST_H
#define SELFTEST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CPUS	2

/*
 * A job gets the numbers of its word. It writes what it found as "key=value"
 * into @found and returns whether that is as it should be.
 */
struct job {
	const char *name;
	bool (*run)(uint64_t a, uint64_t b, char *found);
};

#define FOUND	160
#define found(...) snprintf(found, FOUND, __VA_ARGS__)

bool memory(uint64_t mib, uint64_t ms, char *found);
bool fpu(uint64_t seed, uint64_t ms, char *found);
bool ticks(uint64_t seconds, uint64_t unused, char *found);
bool sleeps(uint64_t count, uint64_t microseconds, char *found);
bool ipis(uint64_t trips, uint64_t unused, char *found);
bool virtio(uint64_t reads, uint64_t unused, char *found);
bool events(uint64_t count, uint64_t unused, char *found);
bool asked(uint64_t features, uint64_t unused, char *found);
bool restored(uint64_t a, uint64_t b, char *found);
bool moved(uint64_t way, uint64_t unused, char *found);
bool walk(uint64_t address, uint64_t unused, char *found);
bool vms(uint64_t count, uint64_t unused, char *found);

static inline int64_t now_us(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000l + time.tv_nsec / 1000;
}

#endif
