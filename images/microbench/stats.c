// SPDX-License-Identifier: GPL-2.0-only
#include "microbench.h"

static void sift_down(uint64_t *a, uint32_t root, uint32_t count)
{
	for (;;) {
		uint32_t child = 2 * root + 1;
		uint64_t swap;

		if (child >= count)
			return;
		if (child + 1 < count && a[child + 1] > a[child])
			child++;
		if (a[root] >= a[child])
			return;
		swap = a[root];
		a[root] = a[child];
		a[child] = swap;
		root = child;
	}
}

static void heap_sort(uint64_t *a, uint32_t count)
{
	for (uint32_t i = count / 2; i-- > 0;)
		sift_down(a, i, count);
	for (uint32_t end = count; end-- > 1;) {
		uint64_t swap = a[0];

		a[0] = a[end];
		a[end] = swap;
		sift_down(a, 0, end);
	}
}

static uint64_t square_root(unsigned __int128 value)
{
	uint64_t root = 0;

	for (uint64_t bit = 1ull << 63; bit; bit >>= 1) {
		unsigned __int128 trial = root | bit;

		if (trial * trial <= value)
			root |= bit;
	}
	return root;
}

/* 128 by 32 bits: there is no libgcc here to call. */
static unsigned __int128 divide(unsigned __int128 value, uint32_t by)
{
	unsigned __int128 quotient = 0;
	uint64_t rest = 0;

	for (int i = 127; i >= 0; i--) {
		rest = rest << 1 | (uint64_t)(value >> i & 1);
		if (rest >= by) {
			rest -= by;
			quotient |= (unsigned __int128)1 << i;
		}
	}
	return quotient;
}

/*
 * Sorts @samples and fills @stats. The median is the lower one of an even count,
 * p99 the smallest sample that at least 99 % do not exceed, the deviation that of
 * the sample (divisor count - 1).
 */
void summarize(uint64_t *samples, uint32_t count, struct stats *stats)
{
	unsigned __int128 sum = 0, squares = 0;

	heap_sort(samples, count);
	for (uint32_t i = 0; i < count; i++)
		sum += samples[i];
	stats->min = samples[0];
	stats->median = samples[(count - 1) / 2];
	stats->p99 = samples[((uint64_t)count * 99 + 99) / 100 - 1];
	stats->mean_milli = divide(sum * 1000, count);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t milli = samples[i] * 1000;
		uint64_t off = milli > stats->mean_milli ?
			milli - stats->mean_milli : stats->mean_milli - milli;

		squares += (unsigned __int128)off * off;
	}
	stats->stdev_milli = count > 1 ?
		square_root(divide(squares, count - 1)) : 0;
}
