/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef MICROBENCH_H
#define MICROBENCH_H

#include "bare.h"

#define MAX_ITERATIONS	65536
#define MAX_BATCH	(1 << 20)

/* What times an operation. */
struct timer {
	const char *name;
	uint64_t hz;
};

/* A benchmark: one operation. */
struct bench {
	const char *name;
	bool (*start)(void);	/* NULL, or prepares; false if the machine can't */
	void (*op)(void);
	void (*stop)(void);
};

const struct bench *find_bench(const char *name);
uint32_t find_batch(const struct bench *bench, uint32_t ticks);
bool run_bench(const struct bench *bench, uint32_t iterations, uint32_t warmup,
	       uint32_t batch);
void print_bench_samples(uint32_t count);
bool repeat_bench(const struct bench *bench, uint32_t iterations);
bool use_timer(const char *name);
extern struct timer timer;
extern volatile bool bench_timed_out;

void sort_samples(uint64_t *samples, uint32_t count);
void print_samples(uint64_t *samples, uint32_t count);

#endif
