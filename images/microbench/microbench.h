/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef MICROBENCH_H
#define MICROBENCH_H

#include "bare.h"

#define MAX_ITERATIONS	65536

/* What times an operation. */
struct timer {
	const char *name;
	uint64_t hz;
};

/* Statistics of one benchmark, in ticks of its timer. */
struct stats {
	uint64_t min, median, p99;
	uint64_t mean_milli, stdev_milli;	/* thousandths of a tick */
};

/* A benchmark: one operation, timed alone. */
struct bench {
	const char *name;
	bool (*start)(void);	/* NULL, or prepares; false if the machine can't */
	void (*op)(void);
	void (*stop)(void);
};

const struct bench *find_bench(const char *name);
bool run_bench(const struct bench *bench, uint32_t iterations,
	       uint32_t warmup, struct stats *stats);
bool repeat_bench(const struct bench *bench, uint32_t iterations);
bool use_timer(const char *name);
extern struct timer timer;
extern volatile bool bench_timed_out;

void summarize(uint64_t *samples, uint32_t count, struct stats *stats);

#endif
