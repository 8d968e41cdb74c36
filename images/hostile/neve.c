// SPDX-License-Identifier: GPL-2.0-only
/*
 * neve  pages for NEVE where none must be, and wild registers in those that may, while the other
 *       CPU writes there, too.
 * cpus  CPU 1 goes off while it uses NEVE, and comes back without. Knows what must come of it.
 */
#include "hostile.h"

#define PSCI_CPU_OFF		0x84000002
#define PSCI_CPU_ON		0xc4000003
#define PSCI_AFFINITY_INFO	0xc4000004
#define AFFINITY_OFF		1
#define PAGE			4096
#define SLOTS			(PAGE / 8)
#define PAGES			(ARENA_SIZE / PAGE)
#define SLOT_VTTBR_EL2		(0x20 / 8)	/* as in the page of FEAT_NV2 */
#define SLOT_VTCR_EL2		(0x40 / 8)
#define NEVE			3		/* both mechanisms */
#define EXECUTE_US		5000
#define PATTERN			0x5ec2e700a110c8edul

static volatile uint64_t (*pages)[SLOTS] = (void *)arena;
static uint64_t mistakes;

static uint64_t survivable(int slot, uint64_t value)
{
	return slot == SLOT_HCR_EL2 ? survivable_hcr(value) : value;
}

static void fill(volatile uint64_t *page)
{
	for (int slot = 0; slot < SLOTS; slot++)
		page[slot] = survivable(slot, random64() % 4 ? wild() : 0);
	/* Half of the time such that there is something to translate by. */
	if (random64() % 2) {
		page[SLOT_VTTBR_EL2] = (uint64_t)pages[random64() % PAGES];
		page[SLOT_VTCR_EL2] = VTCR_40_BITS;
	}
}

/* CPU 1: all pages change, also its own, which is one of them. */
static void change_pages(void)
{
	uint64_t value = 1;

	while (!helper_told) {
		pv_write(VNCR_EL2, (uint64_t)pages[value >> 32 & (PAGES - 1)] | NEVE);
		for (int i = 0; i < 4096; i++) {
			int slot = value >> 40 & (SLOTS - 1);

			value = value * 6364136223846793005ul + 1442695040888963407ul;
			pages[value >> 32 & (PAGES - 1)][slot] =
				survivable(slot, value & 1 ? value : 1ul << (value >> 58));
		}
		pv_write(TLBI_ALLE1IS, 0);	/* has the registers taken from the page */
	}
	vel2_sane();
}

static void neve_start(void)
{
	helper_start(change_pages);
}

/* What acts on the registers in the page, other than to leave virtual EL2 */
static uint32_t random_op(void)
{
	if (random64() % 2)
		return 1 + random64() % (PV_EL2_OP_ERET - 1);
	return PV_EL2_OP_TLBI_ALLE2 +
	       random64() % (PV_EL2_OP_CURRENTEL - PV_EL2_OP_TLBI_ALLE2);
}

static void neve_round(void)
{
	uint64_t page = (uint64_t)pages[random64() % PAGES], gprs[31];
	uint32_t op = random_op();

	pv_write(VNCR_EL2, random64() % 4 ? page | random64() % 4 : wild());
	fill((uint64_t *)page);
	vel2_access(op, op < PV_EL2_OP_ERET, wild());
	fill((uint64_t *)page);
	wild_gprs(gprs);
	write_snippet(NULL, 0);
	pv_write(ELR_EL2, wild_pc());
	pv_write(SPSR_EL2, DAIF | (random64() % 2 ? MODE_EL1H : MODE_EL0T));
	watchdog_start(EXECUTE_US);
	finish_probe(probe_pv_eret(gprs));
	vel2_sane();
}

static void neve_stop(void)
{
	helper_stop();
	vel2_sane();
}

/* CPU 1: its page is the first one. */
static void go_off(void)
{
	pv_write(VNCR_EL2, (uint64_t)pages[0] | NEVE);
	for (int slot = 0; slot < SLOTS; slot++)
		pages[0][slot] = survivable(slot, slot * 0x9e3779b97f4a7c15ul);
	psci(PSCI_CPU_OFF, 0, 0, 0);
}

static void expect(bool right)
{
	mistakes += !right;
}

static void cpus_start(void)
{
	mistakes = 0;
}

static void cpus_round(void)
{
	uint64_t end = counter() + counter_frequency();

	helper_vncr = ~0ul;
	helper_start(go_off);
	while (psci(PSCI_AFFINITY_INFO, machine.mpidr[1], 0, 0) != AFFINITY_OFF &&
	       counter() < end)
		;
	/* Nobody's page any more */
	for (int slot = 0; slot < SLOTS; slot++)
		pages[0][slot] = PATTERN;
	expect(!psci(PSCI_CPU_ON, machine.mpidr[1], (uint64_t)secondary_entry, 1));
	while (helper_busy && counter() < end)
		;
	expect(!helper_busy && !helper_vncr);
	for (int slot = 0; slot < SLOTS; slot++)
		expect(pages[0][slot] == PATTERN);
}

static void cpus_stop(void)
{
	checked(mistakes);
}

const struct attack neve_attacks[] = {
	{ "neve", true, neve_round, neve_start, neve_stop },
	{ "cpus", true, cpus_round, cpus_start, cpus_stop },
	{ NULL, false, NULL, NULL, NULL },
};
