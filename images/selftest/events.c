// SPDX-License-Identifier: GPL-2.0-only
/*
 * events:COUNT  WFE where nothing sends an event: the timer's event stream ends it, or a hypervisor
 *               that traps it, long before the kernel's next tick.
 */
#include "selftest.h"

#define LIMIT_US	2000	/* the stream is of 10 kHz, the tick of 100 Hz */

static int by_value(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

	return (left > right) - (left < right);
}

bool events(uint64_t count, uint64_t unused, char *found)
{
	int64_t *spans = calloc(count + 1, sizeof(*spans));

	(void)unused;
	for (uint64_t i = 0; i < count; i++) {
		int64_t start;

		/* the first WFE takes an event that is left over */
		asm volatile("sevl\n wfe" ::: "memory");
		start = now_us();
		asm volatile("wfe" ::: "memory");
		spans[i] = now_us() - start;
	}
	qsort(spans, count, sizeof(*spans), by_value);
	found("median_us=%ld longest_us=%ld", spans[count / 2], spans[count ? count - 1 : 0]);
	count = spans[count / 2] < LIMIT_US;
	free(spans);
	return count;
}
