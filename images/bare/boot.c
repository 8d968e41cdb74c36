// SPDX-License-Identifier: GPL-2.0-only
/* What start.S calls, and the words of a command. */
#include "bare.h"

#define PSCI_SYSTEM_OFF		0x84000008
#define BLOCK_SHIFT		30	/* 1 GiB */
#define BLOCK_DEVICE		0x0060000000000401ul	/* XN, AF, attribute 0 */
#define BLOCK_NORMAL		0x0000000000000705ul	/* AF, inner shareable, attribute 1 */

extern uint64_t page_table[512];

/* Called with the MMU off: blocks that hold RAM are normal memory. */
void build_page_table(const void *fdt)
{
	uint64_t end;

	read_machine(fdt, &machine);
	end = machine.ram_base + machine.ram_size;
	for (uint64_t i = 0; i < 512; i++) {
		uint64_t base = i << BLOCK_SHIFT;
		bool ram = base < end &&
			   base + (1ul << BLOCK_SHIFT) > machine.ram_base;

		page_table[i] = base | (ram ? BLOCK_NORMAL : BLOCK_DEVICE);
	}
}

void unexpected_exception(uint64_t esr, uint64_t elr, uint64_t far)
{
	line_start("panic");
	line_hex("esr", esr);
	line_hex("elr", elr);
	line_hex("far", far);
	line_end();
	smccc(PSCI_SYSTEM_OFF, 0, 0, 0);
}

char *next_word(char **at)
{
	char *word;

	while (**at == ' ')
		(*at)++;
	word = *at;
	while (**at && **at != ' ')
		(*at)++;
	if (**at)
		*(*at)++ = 0;
	return word;
}

uint32_t number(const char *text)
{
	uint32_t value = 0;

	while (*text >= '0' && *text <= '9')
		value = value * 10 + (*text++ - '0');
	return value;
}
