// SPDX-License-Identifier: GPL-2.0-only
/*
 * fpu:SEED:MS  keeps a pattern that no other level or process has in all FP/SIMD
 * registers, FPCR and FPSR, and looks whether it is still there. As many threads as CPUs, so
 * that every CPU is switched between owners.
 */
#include <pthread.h>
#include <sys/syscall.h>
#include "selftest.h"

#define SPINS		20000	/* between two looks: long enough to be interrupted */
#define FPSR_MASK	0x0800009ful	/* QC and the cumulative flags */

struct state {
	uint8_t v[32][16];
	uint64_t fpcr, fpsr;
};

static uint64_t seed;
static int64_t end;
static bool failed;
static char *report;

/*
 * Load @from, spin and make a system call, store to @to: all in one go, so that
 * the compiler has no register to use in between.
 */
static void __attribute__((noinline)) hold(const struct state *from, struct state *to)
{
	register const void *x9 asm("x9") = from;
	register void *x10 asm("x10") = to;
	register uint64_t x11 asm("x11") = SPINS;

	asm volatile(
		"mov	x12, x9\n"
		".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
		"ldr	q\\n, [x12], #16\n"
		".endr\n"
		"ldp	x13, x14, [x12]\n"
		"msr	fpcr, x13\n"
		"msr	fpsr, x14\n"
		"1: subs	%0, %0, #1\n"
		"b.ne	1b\n"
		"mov	x8, %3\n"
		"svc	#0\n"
		"mov	x12, x10\n"
		".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
		"str	q\\n, [x12], #16\n"
		".endr\n"
		"mrs	x13, fpcr\n"
		"mrs	x14, fpsr\n"
		"stp	x13, x14, [x12]\n"
		"msr	fpcr, xzr\n"
		: "+r" (x11), "+r" (x9), "+r" (x10) : "i" (SYS_sched_yield)
		: "x0", "x8", "x12", "x13", "x14", "cc", "memory",
		  "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10",
		  "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19",
		  "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28",
		  "v29", "v30", "v31");
}

static void *worker(void *argument)
{
	uint64_t value = seed * 0x9e3779b97f4a7c15ul + (uintptr_t)argument;
	struct state want = { 0 }, have;
	uint64_t rounds = 0;

	do {
		for (size_t i = 0; i < sizeof(want.v); i++) {
			value = value * 6364136223846793005ul + 1442695040888963407ul;
			((uint8_t *)want.v)[i] = value >> 56;
		}
		want.fpcr = (value >> 32 & 3) << 22;	/* rounding mode */
		want.fpsr = value >> 8 & FPSR_MASK;
		memset(&have, 0, sizeof(have));
		hold(&want, &have);
		have.fpsr &= FPSR_MASK;
		if (memcmp(&want, &have, sizeof(want))) {
			int i = 0;

			while (i < 32 && !memcmp(want.v[i], have.v[i], 16))
				i++;
			snprintf(report, FOUND, "register=%d round=%lu fpcr=%lx/%lx fpsr=%lx/%lx", i,
				 rounds, want.fpcr, have.fpcr, want.fpsr, have.fpsr);
			failed = true;
		}
		rounds++;
	} while (now_us() < end && !failed);
	return (void *)rounds;
}

bool fpu(uint64_t with, uint64_t ms, char *found)
{
	pthread_t threads[CPUS];
	uint64_t total = 0;

	seed = with;
	report = found;
	end = now_us() + ms * 1000;
	for (uintptr_t i = 0; i < CPUS; i++)
		pthread_create(&threads[i], NULL, worker, (void *)i);
	for (int i = 0; i < CPUS; i++) {
		void *rounds;

		pthread_join(threads[i], &rounds);
		total += (uintptr_t)rounds;
	}
	if (!failed)
		found("rounds=%lu", total);
	return !failed;
}
