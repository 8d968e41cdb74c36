// SPDX-License-Identifier: GPL-2.0-only
/*
 * memory:MIB:MS  every page of an area holds what only it can hold, while pages are
 * populated, given back, protected, copied (fork) and shared.
 */
#include <sys/mman.h>
#include <sys/wait.h>
#include "selftest.h"

#define PAGE	4096ul
#define WORDS	(PAGE / sizeof(uint64_t))
#define STEP	64		/* words between two that are looked at */

struct area {
	uint64_t *words;
	uint32_t *version;	/* of each page's contents; 0 = zeros */
	uint64_t pages;
};

static char *report;

static uint64_t word(const struct area *area, uint64_t page, uint64_t at)
{
	uint32_t version = area->version[page];

	return version ? (page << 32 ^ version) * 0x9e3779b97f4a7c15ul + at : 0;
}

static void fill(struct area *area, uint64_t page)
{
	area->version[page]++;
	for (uint64_t i = 0; i < WORDS; i += STEP)
		area->words[page * WORDS + i] = word(area, page, i);
}

static bool intact(const struct area *area)
{
	for (uint64_t page = 0; page < area->pages; page++)
		for (uint64_t i = 0; i < WORDS; i += STEP) {
			uint64_t is = area->words[page * WORDS + i];

			if (is == word(area, page, i))
				continue;
			snprintf(report, FOUND, "page=%lu word=%lu version=%u is=%#lx not=%#lx", page,
				 i, area->version[page], is, word(area, page, i));
			return false;
		}
	return true;
}

static bool map(struct area *area, uint64_t pages, int how)
{
	area->pages = pages;
	area->words = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, how | MAP_ANONYMOUS, -1, 0);
	area->version = mmap(NULL, pages * sizeof(uint32_t), PROT_READ | PROT_WRITE,
			     how | MAP_ANONYMOUS, -1, 0);
	/* half of the area in small pages: KSM and swap take no others */
	madvise(area->words, pages / 2 * PAGE, MADV_NOHUGEPAGE);
	madvise(area->words, pages * PAGE, MADV_MERGEABLE);
	return area->words != MAP_FAILED && area->version != MAP_FAILED;
}

/* A child sees what we had and what we write to the shared area; its own writes are not ours. */
static bool copied_and_shared(struct area *own, struct area *shared)
{
	pid_t child = fork();
	int status;

	if (!child) {
		bool good = intact(own);

		for (uint64_t page = 0; page < own->pages; page += 3)
			fill(own, page);
		for (uint64_t page = 0; page < shared->pages; page += 2)
			fill(shared, page);
		_exit(!(good && intact(own)));
	}
	for (uint64_t page = 1; page < own->pages; page += 5)
		fill(own, page);
	for (uint64_t page = 1; page < shared->pages; page += 2)
		fill(shared, page);
	waitpid(child, &status, 0);
	if (status) {
		snprintf(report, FOUND, "child=%#x", status);
		return false;
	}
	return intact(own) && intact(shared);
}

bool memory(uint64_t mib, uint64_t ms, char *found)
{
	int64_t end = now_us() + ms * 1000;
	struct area own, shared;
	uint64_t rounds = 0;

	report = found;
	if (!map(&own, mib << 20 >> 12, MAP_PRIVATE) || !map(&shared, mib << 20 >> 15, MAP_SHARED))
		return false;
	do {
		uint64_t first = rounds * 97 % own.pages, some = own.pages / 8;

		if (first + some > own.pages)
			some = own.pages - first;
		for (uint64_t page = rounds % 2; page < own.pages; page += 2)
			fill(&own, page);
		if (!intact(&own))
			return false;
		madvise(own.words + first * WORDS, some * PAGE, MADV_DONTNEED);
		memset(own.version + first, 0, some * sizeof(*own.version));
		mprotect(own.words, own.pages * PAGE, PROT_READ);
		if (!intact(&own))
			return false;
		mprotect(own.words, own.pages * PAGE, PROT_READ | PROT_WRITE);
		if (!copied_and_shared(&own, &shared))
			return false;
		rounds++;
	} while (now_us() < end);
	found("rounds=%lu", rounds);
	return true;
}
