// SPDX-License-Identifier: GPL-2.0-only
/* What an attack has found: how its probes ended, and a digest over what they saw. */
#include "hostile.h"

#define PROGRESS_LINES		4

static uint64_t digest, vectors_seen[VECTORS];

void findings_begin(void)
{
	digest = 0xcbf29ce484222325ul;
	for (int i = 0; i < VECTORS; i++)
		vectors_seen[i] = 0;
}

void note(uint64_t value)
{
	digest = (digest ^ value) * 0x100000001b3ul;	/* FNV-1a, by words */
}

/* An interrupt comes when it comes: it is counted, but is no part of the digest. */
void note_vector(int vector)
{
	vectors_seen[vector]++;
	if (!is_irq(vector))
		note(vector);
}

void progress(const char *what, uint32_t at, uint32_t total)
{
	uint32_t part = total / PROGRESS_LINES;

	if (!part || !at || at % part)
		return;
	line_start("progress");
	line_word("what", what);
	line_number("at", at);
	line_number("of", total);
	line_end();
}

/* What an attack which knows what must come of it has found; before "@MB done". */
void checked(uint64_t mistakes)
{
	line_start("checked");
	line_number("mistakes", mistakes);
	line_end();
}

void findings_end(const char *what)
{
	uint64_t same_level = 0, lower = 0, irqs = 0;

	for (int i = 0; i < VECTORS; i++) {
		if (is_irq(i))
			irqs += vectors_seen[i];
		else if (i < 8)
			same_level += vectors_seen[i];
		else
			lower += vectors_seen[i];
	}
	line_start("done");
	line_word("what", what);
	line_number("same_level", same_level);
	line_number("lower", lower);
	line_number("irqs", irqs);
	line_hex("digest", digest);
	line_end();
}
