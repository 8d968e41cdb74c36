// SPDX-License-Identifier: GPL-2.0-only
/* Our virtual EL2, and the state that each attack starts from. */
#include "hostile.h"

#define MAIR		0xff04ul	/* as start.S has it for EL1 */
#define TCR_EL1_VALUE	0x200803519ul	/* T0SZ 25, EPD1, 40 bits */
#define TCR_EL2_VALUE	0x80823519ul
#define SCTLR_EL2_VALUE	0x30c51835ul	/* RES1, M, C, I */
#define CPTR_EL2_VALUE	0x33fful
#define INTID_MASK	0x3ff

bool has_el2;
extern uint64_t page_table[512];

void vel2_start(void)
{
	pv_write(MAIR_EL2, MAIR);
	pv_write(TCR_EL2, TCR_EL2_VALUE);
	pv_write(TTBR0_EL2, (uint64_t)page_table);
	asm volatile("dsb ish" ::: "memory");
	pv_write(TLBI_ALLE2, 0);
	pv_write(SCTLR_EL2, SCTLR_EL2_VALUE);
	asm volatile("isb" ::: "memory");
	vel2_sane();
	if (machine.gic_version == 3)
		pv_write(ICC_SRE_EL2, 0xf);
	gic_enable_ppi(WATCHDOG_INTID);
}

static void no_list_registers(void)
{
	if (!machine.gich) {
		pv_write(ICH_HCR_EL2, 0);
		pv_write(ICH_LR0_EL2, 0);
		pv_write(ICH_LR1_EL2, 0);
		pv_write(ICH_LR2_EL2, 0);
		pv_write(ICH_LR3_EL2, 0);
		return;
	}
	write32(machine.gich + GICH_HCR, 0);
	for (int i = 0; i < GICH_LRS; i++)
		write32(machine.gich + GICH_LR0 + 4 * i, 0);
}

/*
 * All that an attack may have changed, but for what would have ended this
 * guest: see vel2_good_value().
 */
void vel2_sane(void)
{
	if (!ARCHITECTED)		/* it is the hypervisor's */
		pv_write(VNCR_EL2, this_frame()->vncr);
	pv_write(CNTHP_CTL_EL2, 0);
	pv_write(HCR_EL2, HCR_SANE);
	pv_write(VTTBR_EL2, 0);
	pv_write(VTCR_EL2, VTCR_40_BITS);
	pv_write(TCR_EL2, TCR_EL2_VALUE);
	pv_write(CPTR_EL2, CPTR_EL2_VALUE);
	pv_write(MDCR_EL2, 0);
	pv_write(HSTR_EL2, 0);
	pv_write(CNTHCTL_EL2, 3);
	pv_write(CNTVOFF_EL2, 0);
	pv_write(VMPIDR_EL2, read_native(mpidr_el1));
	no_list_registers();
	pv_write(VBAR_EL1, (uint64_t)el1_vectors);
	pv_write(SCTLR_EL1, SCTLR_EL1_VALUE);
	pv_write(TCR_EL1, TCR_EL1_VALUE);
	pv_write(MAIR_EL1, MAIR);
	pv_write(TTBR0_EL1, (uint64_t)page_table);
	write_native(mdscr_el1, 0);
}

/* What register @op must hold for us to go on; @vital if there is such a value. */
uint64_t vel2_good_value(uint32_t op, bool *vital)
{
	*vital = true;
	switch (op) {
	case PV_EL2_OP_MAIR_EL2:
		return MAIR;
	case PV_EL2_OP_TCR_EL2:
		return TCR_EL2_VALUE;
	case PV_EL2_OP_TTBR0_EL2:
		return (uint64_t)page_table;
	case PV_EL2_OP_SCTLR_EL2:
		return SCTLR_EL2_VALUE;
	case PV_EL2_OP_VBAR_EL2:
		return (uint64_t)hostile_vectors;
	}
	*vital = false;
	return 0;
}

/*
 * Without IMO the watchdog would not bring us back. E2H is for the attacks that know what they
 * do: with it the registers of EL1 are ours.
 */
uint64_t survivable_hcr(uint64_t value)
{
	return (value | HCR_IMO) & ~(HCR_TGE | HCR_E2H);
}

/* What the levels below run with. */
void wild_lower_levels(void)
{
	uint64_t hcr = wild();

	if (random64() % 2)
		pv_write(SCTLR_EL1, wild());
	if (random64() % 2)
		pv_write(TCR_EL1, wild());
	if (random64() % 2)
		pv_write(TTBR0_EL1, wild());
	pv_write(TTBR1_EL1, wild());
	pv_write(MAIR_EL1, wild());
	pv_write(CPACR_EL1, wild());
	pv_write(VTTBR_EL2, wild());
	pv_write(VTCR_EL2, wild());
	pv_write(CPTR_EL2, wild());
	pv_write(MDCR_EL2, wild());
	pv_write(HSTR_EL2, wild());
	pv_write(CNTHCTL_EL2, wild());
	pv_write(CNTVOFF_EL2, wild());
	pv_write(VMPIDR_EL2, wild());
	pv_write(HCR_EL2, survivable_hcr(hcr));
}

/* An interrupt to virtual EL2, whatever the levels below do. */
void watchdog_start(uint32_t microseconds)
{
	pv_write(CNTHP_TVAL_EL2, counter_frequency() * microseconds / 1000000);
	pv_write(CNTHP_CTL_EL2, 1);
}

void watchdog_stop(void)
{
	uint32_t intid;

	pv_write(CNTHP_CTL_EL2, 0);
	/* GICv2 says who has sent a software interrupt, too */
	while (((intid = gic_acknowledge()) & INTID_MASK) < SPURIOUS)
		gic_end(intid);
}

/* SMC is the conduit where there is an EL2 of our own. */
uint64_t psci(uint64_t function, uint64_t a1, uint64_t a2, uint64_t a3)
{
	register uint64_t x0 asm("x0") = function;
	register uint64_t x1 asm("x1") = a1;
	register uint64_t x2 asm("x2") = a2;
	register uint64_t x3 asm("x3") = a3;

	if (!has_el2)
		return smccc(function, a1, a2, a3);
	asm volatile("smc #0" : "+r" (x0), "+r" (x1), "+r" (x2), "+r" (x3) :: "memory");
	return x0;
}
