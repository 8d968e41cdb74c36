// SPDX-License-Identifier: GPL-2.0-only
/*
 * hvc        (a command of its own) HVC with every immediate, wild registers.
 * watchdog   none: levels below that loop are interrupted. A check of ourselves.
 * registers  wild values into the registers of virtual EL2, and reads.
 * eret       exception returns of virtual EL2 with wild state.
 * tlbi       TLB maintenance and address translation, wild operands and regimes.
 * psci       power control with wild functions and arguments.
 * system-N   any MSR, MRS and SYS instruction at EL N.
 */
#include "hostile.h"

#define SMC		0xd4000003u
#define SYSTEM		0xd5000000u
#define SYSTEM_READ	(1u << 21)
#define EXECUTE_US	5000

void hvc_storm(enum level level, uint32_t first, uint32_t last, uint32_t step)
{
	uint64_t gprs[31];

	for (uint32_t imm = first; imm <= last; imm += step) {
		uint32_t op = imm >> PV_EL2_HVC_OP_SHIFT, word = HVC | imm << 5;
		uint32_t rt = imm & PV_EL2_HVC_RT_MASK;
		bool vital;
		uint64_t good;

		progress("hvc", (imm - first) / step, (last - first) / step + 1);
		wild_gprs(gprs);
		/* Below EL2 the first registers are a PSCI call: not one to end us. */
		gprs[0] |= 1ul << 31 | 1ul << 29;
		if (level == EL2) {
			if ((imm & 63) == 0)
				vel2_sane();
			good = vel2_good_value(op, &vital);
			if (vital && !(imm & PV_EL2_HVC_READ)) {
				if (rt == 31)
					continue;
				gprs[rt] = good;
			}
			if (op == PV_EL2_OP_HCR_EL2)
				gprs[rt % 31] &= ~HCR_E2H;
			pv_write(ELR_EL2, (uint64_t)(snippet + 1));
			pv_write(SPSR_EL2, DAIF | MODE_EL2H);
		}
		write_snippet(&word, 1);
		run_snippet(level, gprs);
	}
}

/* Every immediate below the highest level, one behind the other; returns how many came. */
uint64_t hvc_ladder(enum level level)
{
	uint64_t at = (uint64_t)ladder + (level == EL0 ? EL0_ALIAS : 0), rungs;
	uint64_t mode = DAIF | (level == EL1 ? MODE_EL1H : MODE_EL0T);

	if (has_el2) {
		vel2_sane();
		pv_write(HCR_EL2, HCR_RW);			/* EL1 masks interrupts */
		use_vectors(climb_vectors);
		if (level == EL0)
			pv_write(VBAR_EL1, (uint64_t)climb_el1_vectors);
		pv_write(ELR_EL2, at);
		pv_write(SPSR_EL2, mode);
		rungs = climb_pv_eret(level == EL1 ? ESR_HVC : 0);
	} else if (level == EL1) {
		rungs = climb_here(0);
	} else {
		use_vectors(climb_el1_vectors);
		write_native(elr_el1, at);
		write_native(spsr_el1, mode);
		rungs = climb_eret(0);
	}
	use_vectors(hostile_vectors);
	if (has_el2)
		vel2_sane();
	return rungs;
}

static void registers_round(void)
{
	uint32_t op = 1 + random64() % (PV_EL2_OP_ERET - 1);

	vel2_access(op, false, wild());
	/* Counters run: what they read is no part of the digest. */
	if (op != PV_EL2_OP_CNTHP_TVAL_EL2 && op != PV_EL2_OP_CNTHP_CTL_EL2)
		vel2_access(op, true, 0);
}

static void eret_round(void)
{
	uint64_t gprs[31];

	wild_gprs(gprs);
	write_snippet(NULL, 0);
	wild_lower_levels();
	pv_write(ELR_EL2, wild_pc());
	pv_write(SPSR_EL2, random64() % 4 ? (wild() & ~0x1ful) | random64() % 16 : wild());
	watchdog_start(EXECUTE_US);
	finish_probe(random64() % 8 ? probe_pv_eret(gprs) : probe_eret(gprs));
	vel2_sane();
}

static void tlbi_round(void)
{
	uint32_t op = PV_EL2_OP_TLBI_ALLE2 +
		      random64() % (PV_EL2_OP_CURRENTEL - PV_EL2_OP_TLBI_ALLE2);

	if (random64() % 8 == 0)
		wild_lower_levels();
	vel2_access(op, false, wild());
	if (op >= PV_EL2_OP_AT_S1E2R)
		note(read_native(par_el1));
}

static void tlbi_stop(void)
{
	vel2_sane();
}

/* A level below that loops: without this the other attacks would hang. */
static void watchdog_round(void)
{
	static const uint32_t loop = LOOP;
	uint64_t gprs[31];

	wild_gprs(gprs);
	write_snippet(&loop, 1);
	run_snippet(random64() % 2, gprs);
}

/* Functions by which a CPU or the machine ends are left to lethal(). */
static bool ends_us(uint64_t function)
{
	uint32_t number = function & ~(1u << 30);

	return number == 0x84000002 || number == 0x84000008 ||
	       number == 0x84000009 || number == 0x84000012;
}

static void psci_round(void)
{
	uint32_t word = has_el2 ? SMC : HVC;
	uint64_t gprs[31];

	wild_gprs(gprs);
	if (random64() % 4)
		gprs[0] = 0x84000000 | (random64() & 1) << 30 | random64() % 32;
	if (ends_us((uint32_t)gprs[0]))
		return;
	if (random64() % 2)
		gprs[1] = machine.mpidr[random64() % 2];
	/* Suspended, only the watchdog ends it; another guest has none. */
	if (!has_el2 && (gprs[0] & ~(1ul << 30)) << 32 == 0x84000001ul << 32)
		return;
	if (has_el2) {
		word |= (random64() % 4 ? 0 : random64() & 0xffff) << 5;
		watchdog_start(EXECUTE_US);
	}
	write_snippet(&word, 1);
	run_snippet(has_el2 ? EL2 : EL1, gprs);
}

/* Would the instruction take away what we need to come back? */
static bool must_not(uint32_t word, enum level level)
{
	uint32_t op1 = word >> 16 & 7, crn = word >> 12 & 15, crm = word >> 8 & 15;
	uint32_t op0 = word >> 19 & 3, op2 = word >> 5 & 7;
	bool own = level == (has_el2 ? EL2 : EL1);

	if (op0 == 1)		/* DC ZVA would clear memory, WFI-like hints are op0 0 */
		return crn == 7 && crm == 4;
	if ((word & SYSTEM_READ) && !(op0 == 3 && crn == 12))
		return false;	/* an IAR that is read must be ended, too */
	if (op0 == 2)
		return crn == 0 && op1 == 0 && (crm == 2 || op2 >= 4);
	if (crn == 13 && op1 == 0)			/* TPIDR_EL1 */
		return true;
	if (crn == 12 || (crn == 4 && crm == 6))	/* VBAR, ICC_* */
		return own;
	if ((op1 == 0 || op1 == 4) && (crn == 1 || crn == 2 || crn == 10))
		return own;				/* SCTLR, TTBR, TCR, MAIR, HCR */
	return false;
}

static void system_round(enum level level)
{
	uint32_t word = SYSTEM | (random64() & 0x3fffff);
	uint64_t gprs[31];

	if (!(word >> 19 & 3))
		word |= 3u << 19;
	if (must_not(word, level))
		return;
	wild_gprs(gprs);
	write_snippet(&word, 1);
	run_snippet(level, gprs);
	if (has_el2 && level != EL0)
		vel2_sane();
	write_native(mdscr_el1, 0);
}

static void system_0_round(void)
{
	system_round(EL0);
}

static void system_1_round(void)
{
	system_round(EL1);
}

static void system_2_round(void)
{
	system_round(EL2);
}

static void system_stop(void)
{
	gic_init_cpu();
}

const struct attack attacks[] = {
	{ "watchdog", true, watchdog_round, NULL, NULL },
	{ "registers", true, registers_round, NULL, NULL },
	{ "eret", true, eret_round, NULL, NULL },
	{ "tlbi", true, tlbi_round, NULL, tlbi_stop },
	{ "psci", false, psci_round, NULL, NULL },
	{ "system-0", false, system_0_round, NULL, system_stop },
	{ "system-1", false, system_1_round, NULL, system_stop },
	{ "system-2", true, system_2_round, NULL, system_stop },
	{ NULL, false, NULL, NULL, NULL },
};

/* Ends this guest, or leaves it to its VMM to. False if there is no such end. */
bool lethal(const char *name)
{
	static uint64_t gprs[31];

	if (same(name, "reset")) {
		psci(0x84000009, 0, 0, 0);
	} else if (same(name, "cpu-off")) {
		psci(0x84000002, 0, 0, 0);
	} else if (same(name, "wfi")) {
		for (;;)
			asm volatile("wfi" ::: "memory");
	} else if (!has_el2) {
		return false;
	} else if (same(name, "vectors")) {
		/* an exception for each instruction fetch, for ever */
		pv_write(VBAR_EL2, ~0ul);
		asm volatile("brk #0");
	} else if (same(name, "mmu")) {
		pv_write(TTBR0_EL2, 1ul << 47);
		pv_write(TLBI_ALLE2, 0);
		asm volatile("dsb sy\n isb\n brk #0");
	} else if (same(name, "device-vectors")) {
		/* code where a VMM's device is */
		pv_write(SCTLR_EL2, 0x30c50830);
		pv_write(VBAR_EL2, machine.uart & ~0x7fful);
		asm volatile("brk #0");
	} else if (same(name, "el1-loop")) {
		pv_write(HCR_EL2, HCR_RW);
		pv_write(VBAR_EL1, 1ul << 47);
		pv_write(ELR_EL2, 1ul << 47);
		pv_write(SPSR_EL2, DAIF | MODE_EL1H);
		probe_pv_eret(gprs);
	} else {
		return lethal_interrupt(name);
	}
	return true;
}
