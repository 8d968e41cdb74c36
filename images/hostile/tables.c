// SPDX-License-Identifier: GPL-2.0-only
/*
 * tables  stage-2 tables that point outside of RAM, at devices, at themselves.
 * race    such tables change while the other CPU uses them.
 */
#include "hostile.h"

#define LEVELS		4			/* tables in the arena, one page each */
#define STR_X0_X1	0xf9000020u
#define BR_X1		0xd61f0020u
#define RACE_IPA	(16ul << 30)
#define RACE_SPAN	(4ul << 20)
#define RACE_US		5000

static uint64_t (*tables)[ENTRIES] = (void *)arena;	/* and pages as victims */
static volatile uint64_t racer_faults;

static uint64_t address(const void *pointer)
{
	return (uint64_t)pointer;
}

/* Where an entry points. */
static uint64_t target(bool *device)
{
	uint64_t value = random64();

	*device = false;
	switch (random64() % 9) {
	case 0:					/* any of the tables, itself too */
	case 1:
		return address(tables[value % LEVELS]);
	case 2:
		*device = true;
		return machine.gicd;
	case 3:
		*device = true;
		return machine.gicc;
	case 4:
		*device = true;
		return value & 0x3ffff000;	/* below RAM */
	case 5:
		*device = true;
		return machine.ram_base + machine.ram_size + (value & 0x3ffff000);
	case 6:
		*device = true;
		return value & 0xfffffffff000ul;
	case 7:					/* written to, it harms nobody but us */
		return machine.gich ? machine.gich : address(tables[0]);
	default:
		return address(arena) + (LEVELS + value % LEVELS) * 4096;
	}
}

/*
 * Entries may be written through only where they lead to the arena: a device
 * could be turned off, and nothing would bring us back.
 */
static uint64_t entry(int level)
{
	bool device;
	uint64_t to = target(&device), flags = random64();
	uint64_t attributes = flags & (0xful << 2 | 3ul << 8 | 1ul << 54 | AF | S2_READ);

	if (flags >> 60 == 0)
		return random64() & ~S2_WRITE & ~VALID;
	if (level < 3 && flags >> 63)
		return to | TABLE | VALID;
	if (level < 3)
		return (to & ~0x1ffffful) | attributes | VALID;
	return to | attributes | AF | TABLE | VALID | (device ? 0 : S2_WRITE);
}

/* The first table maps the snippet as it is, so that there is code to run. */
static void make_tables(void)
{
	for (int level = 0; level < LEVELS; level++)
		for (int i = 0; i < 16; i++)
			tables[level][random64() % ENTRIES] = entry(1 + level % 3);
	tables[0][machine.ram_base >> 30] = machine.ram_base | S2_LEAF;
}

static void tables_start(void)
{
	for (int i = 0; i < LEVELS * ENTRIES; i++)
		tables[0][i] = 0;
}

static void tables_round(void)
{
	static const uint32_t words[] = { LDR_X0_X1, STR_X0_X1 };
	static const uint32_t jump = BR_X1;
	uint64_t gprs[31], kind = random64() % 8;

	make_tables();
	wild_gprs(gprs);
	/* Every second time an address for which there is an entry. */
	gprs[1] = random64() % (1ul << 40);
	if (random64() % 2)
		for (int i = random64() % ENTRIES, n = 0; n < ENTRIES; n++, i = (i + 1) % ENTRIES)
			if (tables[0][i] & VALID && i != (int)(machine.ram_base >> 30)) {
				gprs[1] = (uint64_t)i << 30 | random64() % (1ul << 30);
				break;
			}
	if (kind)
		gprs[1] &= ~7ul;
	if (kind == 1)
		write_snippet(&jump, 1);
	else
		write_snippet(words + kind % 2, 2 - kind % 2);
	pv_write(SCTLR_EL1, 0x30d00800);		/* MMU off */
	pv_write(VTCR_EL2, random64() % 4 ? VTCR_40_BITS : wild());
	pv_write(VTTBR_EL2, (random64() % 3 << 48) |
		 address(tables[random64() % 8 ? 0 : random64() % LEVELS]));
	pv_write(HCR_EL2, HCR_SANE | HCR_VM);
	if (random64() % 2)
		pv_write(TLBI_VMALLS12E1IS, 0);
	run_snippet(EL1, gprs);
	note(pv_read(ESR_EL2) >> 26);
	vel2_sane();
}

static void race_entry(void)
{
	uint64_t index = random64() % ENTRIES;
	uint64_t page = address(arena) + (LEVELS + random64() % 8) * 4096;
	uint64_t leaf = page | S2_LEAF | S2_WRITE | TABLE;

	switch (random64() % 8) {
	case 0:
		tables[2][index] = 0;
		break;
	case 1:
		tables[2][index] = leaf & ~S2_WRITE;
		break;
	case 2:			/* a device, read-only */
		tables[2][index] = machine.gicd | VALID | TABLE | AF | S2_READ;
		break;
	case 3:			/* a block in place of the table, and back */
		tables[1][index % 2] = (machine.ram_base & ~0x1ffffful) | VALID | AF |
				       S2_READ | S2_NORMAL;
		break;
	case 4:
		tables[1][index % 2] = address(tables[2]) | TABLE | VALID;
		break;
	case 5:			/* itself */
		tables[2][index] = address(tables[2]) | VALID | TABLE | AF | S2_READ | S2_NORMAL;
		break;
	default:
		tables[2][index] = leaf;
	}
}

static void race_tlbi(void)
{
	uint64_t ipa = RACE_IPA + random64() % RACE_SPAN;

	asm volatile("dsb ish" ::: "memory");
	switch (random64() % 8) {
	case 0:
		break;		/* a hypervisor may forget it */
	case 1:
		pv_write(TLBI_VMALLS12E1IS, 0);
		break;
	case 2:
		pv_write(TLBI_ALLE1IS, 0);
		break;
	default:
		pv_write(TLBI_IPAS2E1IS, ipa >> 12);
		asm volatile("dsb ish" ::: "memory");
		asm volatile("tlbi vmalle1is" ::: "memory");
	}
	asm volatile("dsb ish" ::: "memory");
}

/* CPU 1: uses the tables until it is told to stop, whatever faults it gets. */
static void race_worker(void)
{
	static uint64_t gprs[31];

	gprs[1] = RACE_IPA;
	gprs[3] = RACE_SPAN - 1;
	vel2_sane();
	pv_write(SCTLR_EL1, 0x30d00800);
	pv_write(VTTBR_EL2, address(tables[0]));
	pv_write(HCR_EL2, HCR_SANE | HCR_VM);
	while (!helper_told) {
		gprs[1] = RACE_IPA + ((racer_faults << 12) & (RACE_SPAN - 1));
		pv_write(ELR_EL2, address(race_loop));
		pv_write(SPSR_EL2, DAIF | MODE_EL1H);
		watchdog_start(RACE_US);
		if (!is_irq(probe_pv_eret(gprs)))
			racer_faults++;
		watchdog_stop();
	}
	vel2_sane();
}

static void race_start(void)
{
	tables_start();
	tables[0][machine.ram_base >> 30] = machine.ram_base | S2_LEAF;
	tables[0][RACE_IPA >> 30] = address(tables[1]) | TABLE | VALID;
	tables[1][0] = tables[1][1] = address(tables[2]) | TABLE | VALID;
	asm volatile("dsb ish" ::: "memory");
	pv_write(VTTBR_EL2, address(tables[0]));
	racer_faults = 0;
	helper_start(race_worker);
}

static void race_round(void)
{
	for (int i = 0; i < 8; i++)
		race_entry();
	race_tlbi();
}

static void race_stop(void)
{
	helper_stop();
	line_start("race");
	line_number("faults", racer_faults);
	line_end();
}

const struct attack table_attacks[] = {
	{ "tables", true, tables_round, tables_start, NULL },
	{ "race", true, race_round, race_start, race_stop },
	{ NULL, false, NULL, NULL, NULL },
};
