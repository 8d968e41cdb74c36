// SPDX-License-Identifier: GPL-2.0-only
/*
 * e2h     E2H and TGE by turns, wild values into the registers that E2H gives other names, and
 *         levels below that may be our own.
 * hosted  the same with known values. Knows what must come of it.
 */
#include "hostile.h"

#define FIRST_ALIAS	PV_EL2_OP_SCTLR_EL12
#define LAST_ALIAS	PV_EL2_OP_CNTV_CVAL_EL02
#define SVC		0xd4000001u
#define MRS_X0_CONTEXTIDR_EL1	0xd538d020u
#define MSR_CONTEXTIDR_EL1_X1	0xd518d021u
#define PAGE_OF_VNCR	0x0000fffffffff000ul
#define VNCR_MEMORY	1
#define WATCHDOG_US	2000
#define ESR_EC(esr)	((esr) >> 26)
#define EC_SVC64	0x15
#define EC_BRK64	0x3c
#define MSR_MDSCR_EL1_X1	0xd5100241u
#define DAIFCLR_D	0xd50348ffu
#define MDSCR_SS	(1ul << 0)
#define MDSCR_KDE	(1ul << 13)
#define ICH_HCR_EN	(1ul << 0)
#define ICH_HCR_UIE	(1ul << 1)
#define SLOT_ICH_HCR_EL2	(0x4c0 / 8)

static uint64_t mistakes;

static void use_e2h(uint64_t more)
{
	pv_write(HCR_EL2, HCR_SANE | HCR_E2H | more);
}

static void e2h_round(void)
{
	uint64_t gprs[31];

	use_e2h(random64() % 2 ? HCR_TGE : 0);
	for (int i = 0; i < 4; i++) {
		uint32_t op = 1 + random64() % (PV_EL2_OP_SP_EL1 - 1);

		if (random64() % 4)
			op = FIRST_ALIAS + random64() % (LAST_ALIAS - FIRST_ALIAS + 1);
		vel2_access(op, false, wild());
		/* Counters run: what they read is no part of the digest. */
		if (op < PV_EL2_OP_CNTP_TVAL_EL02)
			vel2_access(op, true, 0);
	}
	wild_gprs(gprs);
	write_snippet(NULL, 0);
	run_snippet(random64() % 3, gprs);
	vel2_sane();
}

static void expect(bool right, uint64_t seen)
{
	if (!right) {
		mistakes++;
		note(seen);
	}
}

static void hosted_start(void)
{
	mistakes = 0;
}

static void hosted_stop(void)
{
	vel2_sane();
	checked(mistakes);
}

/* False if the watchdog was sooner, as on a busy machine */
static bool execute(uint32_t word, enum level level, int vector, uint64_t class, uint64_t x1)
{
	uint64_t gprs[31];
	int found;

	wild_gprs(gprs);
	gprs[1] = x1;
	write_snippet(&word, 1);
	found = run_snippet(level, gprs);
	if (is_irq(found))
		return false;
	expect(found == vector, found);
	if (class)
		expect(ESR_EC(read_native(esr_el1)) == class, read_native(esr_el1));
	return true;
}

/* Without a trap, where NEVE lets us */
#define write_deferred(name, value) do {				\
	uint64_t _vncr = this_frame()->vncr;				\
									\
	if (_vncr & VNCR_MEMORY)					\
		((volatile uint64_t *)(_vncr & PAGE_OF_VNCR))[SLOT_##name] = (value); \
	else								\
		pv_write(name, value);					\
} while (0)

/*
 * Interrupts are ours with TGE, also if the hypervisor has last looked at HCR_EL2 while it was
 * clear, as a hypervisor with VHE clears it around its guests' TLB maintenance.
 */
static void interrupted(void)
{
	static const uint32_t words[] = { DAIFCLR_I, LOOP };
	uint64_t gprs[31];
	int found;

	write_deferred(HCR_EL2, HCR_RW | HCR_E2H);
	pv_write(TLBI_ALLE1IS, 0);
	write_deferred(HCR_EL2, HCR_RW | HCR_E2H | HCR_TGE);
	wild_gprs(gprs);
	write_snippet(words, 2);
	watchdog_start(WATCHDOG_US);
	found = run_snippet(EL2, gprs);
	expect(found == VECTOR_CURRENT_IRQ, found);
}

/*
 * The maintenance interrupt comes when our list registers run empty, and goes when we turn them off:
 * with NEVE that is a store to the page.
 */
static void maintained(void)
{
	uint32_t intid;

	if (machine.gich)
		return;
	gic_enable_ppi(MAINTENANCE_INTID);
	pv_write(ICH_HCR_EL2, ICH_HCR_EN | ICH_HCR_UIE);
	intid = gic_acknowledge();
	expect(intid == MAINTENANCE_INTID, intid);
	write_deferred(ICH_HCR_EL2, 0);
	if (intid < SPURIOUS)
		gic_end(intid);
	intid = gic_acknowledge();
	expect(intid >= SPURIOUS, intid);
	if (intid < SPURIOUS)
		gic_end(intid);
}

/* Neither MDCR_EL2.TDE nor TGE: no debug exception from EL2, whatever MDSCR_EL1 has for EL1. */
static void stepped(void)
{
	static const uint32_t words[] = { MSR_MDSCR_EL1_X1, DAIFCLR_D };
	uint64_t gprs[31];

	wild_gprs(gprs);
	gprs[1] = MDSCR_KDE | MDSCR_SS;
	write_snippet(words, 2);
	expect(run_snippet(EL2, gprs) == VECTOR_CURRENT_SYNC, 0);
	expect(ESR_EC(read_native(esr_el1)) == EC_BRK64, read_native(esr_el1));
	expect(read_native(mdscr_el1) == (MDSCR_KDE | MDSCR_SS), read_native(mdscr_el1));
	write_native(mdscr_el1, 0);
}

/* CONTEXTIDR is one of the registers that EL2 has and EL1 has; nothing depends on it. */
static void hosted_round(void)
{
	uint64_t ours = random64() & 0xffffffff, theirs = ours ^ 0xa5a5a5a5;

	use_e2h(HCR_TGE);
	expect(pv_read(CURRENTEL) == CURRENTEL_EL2, pv_read(CURRENTEL));
	expect(pv_read(HCR_EL2) == (HCR_SANE | HCR_E2H | HCR_TGE), pv_read(HCR_EL2));

	/* Ours are native, theirs have names of their own */
	write_native(contextidr_el1, ours);
	pv_write(CONTEXTIDR_EL12, theirs);
	pv_write(CNTKCTL_EL12, 0x3);
	write_native(cntkctl_el1, 0x202);
	expect(read_native(contextidr_el1) == ours, read_native(contextidr_el1));
	expect(pv_read(CONTEXTIDR_EL12) == theirs, pv_read(CONTEXTIDR_EL12));
	expect(pv_read(CONTEXTIDR_EL2) == ours, pv_read(CONTEXTIDR_EL2));
	expect(pv_read(CNTKCTL_EL12) == 0x3, pv_read(CNTKCTL_EL12));
	expect((pv_read(CNTHCTL_EL2) & 0x3ff) == 0x202, pv_read(CNTHCTL_EL2));

	interrupted();
	use_e2h(HCR_TGE);
	maintained();

	/* EL0 is ours, and comes back to us without the host */
	execute(SVC, EL0, VECTOR_LOWER_SYNC, EC_SVC64, 0);

	/* Without TGE it is theirs, and so is EL1 */
	use_e2h(0);
	stepped();
	if (execute(MRS_X0_CONTEXTIDR_EL1, EL1, VECTOR_LOWER_SYNC, 0, 0))
		expect(this_frame()->x0 == theirs, this_frame()->x0);
	if (execute(MSR_CONTEXTIDR_EL1_X1, EL1, VECTOR_LOWER_SYNC, 0, ours ^ 1))
		theirs = ours ^ 1;
	expect(pv_read(CONTEXTIDR_EL12) == theirs, pv_read(CONTEXTIDR_EL12));
	expect(read_native(contextidr_el1) == ours, read_native(contextidr_el1));

	/* Without E2H they have no such names, and EL1's are theirs */
	pv_write(HCR_EL2, HCR_SANE);
	expect(pv_read(CONTEXTIDR_EL1) == theirs, pv_read(CONTEXTIDR_EL1));
	expect(pv_read(CONTEXTIDR_EL2) == ours, pv_read(CONTEXTIDR_EL2));
	execute(EL2_CONTEXTIDR_EL12 | EL2_READ, EL2, VECTOR_CURRENT_SYNC, 0, 0);
	write_native(cntkctl_el1, 0);
}

const struct attack e2h_attacks[] = {
	{ "e2h", true, e2h_round, NULL, NULL },
	{ "hosted", true, hosted_round, hosted_start, hosted_stop },
	{ NULL, false, NULL, NULL, NULL },
};
