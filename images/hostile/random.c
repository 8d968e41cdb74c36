// SPDX-License-Identifier: GPL-2.0-only
/* Random and wild values, and the memory that attacks work in, where wild addresses lead to. */
#include "hostile.h"

char arena[ARENA_SIZE] __attribute__((aligned(ARENA_SIZE)));
static uint64_t state;

void seed_random(uint64_t seed)
{
	state = seed * 0x9e3779b97f4a7c15ul + 1;
}

uint64_t random64(void)		/* xorshift64* */
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1dul;
}

/* Every second value is one of those where mistakes are made. */
uint64_t wild(void)
{
	uint64_t value = random64();

	switch (random64() % 16) {
	case 0: return 0;
	case 1: return ~0ul;
	case 2: return 1ul << value % 64;
	case 3: return ~(1ul << value % 64);
	case 4: return (1ul << value % 64) - 1;
	case 5: return value & 0xffffffff;
	case 6: return (uint64_t)arena + value % ARENA_SIZE;
	case 7: return (uint64_t)arena & ~0xffful;
	case 8: return machine.gicd + (value & 0xfff8);
	case 9: return machine.ram_base + machine.ram_size + (value & 0xffff000);
	case 10: return value & 0x000000fffffff000ul;
	default: return value;
	}
}

/* An address to go on at: nothing but the snippet is both mapped and code. */
uint64_t wild_pc(void)
{
	uint64_t value = random64();

	switch (value >> 32 & 7) {
	case 0: return value | 1ul << 40;
	case 1: return value & 0xfffffffffffcul;
	case 2: return (uint64_t)arena + (value & 0xffc);
	case 3: return (uint64_t)snippet | (value & 3);
	case 4: return machine.gicd;
	case 5: return (uint64_t)snippet + EL0_ALIAS;
	default: return (uint64_t)snippet;
	}
}

void wild_gprs(uint64_t *gprs)
{
	for (int i = 0; i < 31; i++)
		gprs[i] = wild();
}
