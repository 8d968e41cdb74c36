// SPDX-License-Identifier: GPL-2.0-only
/*
 * Does this guest read back what it wrote? Pages of memory are written, with an
 * exit to the hypervisor after each, and read again in several rounds; so is what
 * a register holds across an exit. The end is status 0, or 1 with a line that
 * says what was found where.
 */
#include "readback.h"

#define UNOWNED_HYPERCALL	0x4b000000
#define GICD_IIDR		0x008
#define PAGE_WORDS		512
#define PAGES			1024
#define ROUNDS			3

static uint64_t memory[PAGES][PAGE_WORDS] __attribute__((aligned(4096)));

/* Another value for each address and round (splitmix64's finalizer). */
static uint64_t pattern(uint64_t seed)
{
	seed += 0x9e3779b97f4a7c15ull;
	seed = (seed ^ seed >> 30) * 0xbf58476d1ce4e5b9ull;
	seed = (seed ^ seed >> 27) * 0x94d049bb133111ebull;
	return seed ^ seed >> 31;
}

/* By turns to KVM's handler of hypercalls, and to its emulation of a device. */
static void exit_to_hypervisor(uint64_t page)
{
	if (page & 1)
		smccc(UNOWNED_HYPERCALL, 0, 0, 0);
	else
		read32(machine.gicd + GICD_IIDR);
}

static bool differs(const char *what, uint64_t where, uint64_t wrote, uint64_t read)
{
	if (wrote == read)
		return false;
	line_start("readback");
	line_word("of", what);
	line_hex("at", where);
	line_hex("wrote", wrote);
	line_hex("read", read);
	line_end();
	return true;
}

/* Registers that a call leaves alone hold a value across an exit. */
static bool registers_differ(uint64_t page)
{
	uint64_t found[10];
	uint64_t first = pattern(~page);
	register uint64_t function asm("x0") = UNOWNED_HYPERCALL;

	asm volatile("add x19, %1, #0\n add x20, %1, #1\n add x21, %1, #2\n"
		     "add x22, %1, #3\n add x23, %1, #4\n add x24, %1, #5\n"
		     "add x25, %1, #6\n add x26, %1, #7\n add x27, %1, #8\n"
		     "add x28, %1, #9\n"
		     "hvc #0\n"
		     "stp x19, x20, [%2]\n stp x21, x22, [%2, #16]\n"
		     "stp x23, x24, [%2, #32]\n stp x25, x26, [%2, #48]\n"
		     "stp x27, x28, [%2, #64]\n"
		     : "+r" (function)
		     : "r" (first), "r" (found)
		     : "x1", "x2", "x3", "x19", "x20", "x21", "x22", "x23", "x24", "x25",
		       "x26", "x27", "x28", "memory");
	for (uint64_t i = 0; i < 10; i++)
		if (differs("register", 19 + i, first + i, found[i]))
			return true;
	return false;
}

static bool round_differs(uint64_t round)
{
	for (uint64_t page = 0; page < PAGES; page++) {
		for (uint64_t word = 0; word < PAGE_WORDS; word++)
			memory[page][word] = pattern((uint64_t)&memory[page][word] ^ round << 56);
		exit_to_hypervisor(page);
	}
	for (uint64_t page = 0; page < PAGES; page++) {
		for (uint64_t word = 0; word < PAGE_WORDS; word++) {
			uint64_t *at = &memory[page][word];

			if (differs("memory", (uint64_t)at,
				    pattern((uint64_t)at ^ round << 56), *at))
				return true;
		}
	}
	return registers_differ(round);
}

void __wrap_unexpected_exception(uint64_t esr, uint64_t elr, uint64_t far)
{
	line_start("panic");
	line_hex("esr", esr);
	line_hex("elr", elr);
	line_hex("far", far);
	line_end();
	leave(false);
	for (;;)
		asm volatile("wfi");
}

void handle_irq(void)
{
	gic_end(gic_acknowledge());
}

void secondary_main(void)
{
}

int main(void)
{
	bool different = false;

	console_init();
	for (uint64_t round = 0; round < ROUNDS && !different; round++)
		different = round_differs(round);
	if (!different) {
		line_start("readback");
		line_number("bytes", sizeof(memory));
		line_number("rounds", ROUNDS);
		line_end();
	}
	leave(!different);
	for (;;)
		asm volatile("wfi");
}
