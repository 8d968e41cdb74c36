// SPDX-License-Identifier: GPL-2.0-only
/*
 * Samples, all of them, in few lines: sorted, equal ones together. What they say
 * is for the reader to compute.
 */
#include "microbench.h"

#define PER_LINE	16	/* two numbers of 20 digits each fit into a line */

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

void sort_samples(uint64_t *a, uint32_t count)
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

/* Lines "samples VALUE=COUNT ...". Sorts @samples. */
void print_samples(uint64_t *samples, uint32_t count)
{
	int in_line = 0;

	sort_samples(samples, count);
	for (uint32_t i = 0, end; i < count; i = end) {
		for (end = i + 1; end < count && samples[end] == samples[i];)
			end++;
		if (in_line == 0)
			line_start("samples");
		line_pair(samples[i], end - i);
		if (++in_line == PER_LINE || end == count) {
			line_end();
			in_line = 0;
		}
	}
}
