/*
 * Address translation in the context of a guest that is not running.
 *
 * This program is free software; you can redistribute it and/or modify
 * it under the terms of the GNU General Public License version 2 as
 * published by the Free Software Foundation.
 */

#include <asm/kvm_asm.h>
#include <asm/kvm_hyp.h>

#define TCR_EPD0	(UL(1) << 7)
#define TCR_EPD1	(UL(1) << 23)

/* F, FST: synchronous external abort on a walk, level 0 */
#define PAR_WALK_ABORT	(BIT(11) | (0x14 << 1) | BIT(0))

static void __hyp_text __save_regime(struct kvm_at_regime *regime)
{
	regime->vttbr	= read_sysreg(vttbr_el2);
	regime->hcr	= read_sysreg(hcr_el2);
	regime->sctlr	= read_sysreg_el1(sctlr);
	regime->tcr	= read_sysreg_el1(tcr);
	regime->ttbr0	= read_sysreg_el1(ttbr0);
	regime->ttbr1	= read_sysreg_el1(ttbr1);
	regime->mair	= read_sysreg_el1(mair);
	regime->amair	= read_sysreg_el1(amair);
}

/*
 * Between two regimes the CPU might walk tables speculatively by a mixture of
 * both, and keep the result with the VMID of one of them: disable the walks.
 */
static void __hyp_text __load_regime(const struct kvm_at_regime *regime)
{
	write_sysreg_el1(regime->tcr | TCR_EPD0 | TCR_EPD1, tcr);
	isb();

	write_sysreg(regime->vttbr, vttbr_el2);
	write_sysreg(regime->hcr, hcr_el2);
	write_sysreg_el1(regime->ttbr0, ttbr0);
	write_sysreg_el1(regime->ttbr1, ttbr1);
	write_sysreg_el1(regime->mair, mair);
	write_sysreg_el1(regime->amair, amair);
	write_sysreg_el1(regime->sctlr, sctlr);
	isb();

	write_sysreg_el1(regime->tcr, tcr);
	isb();
}

/**
 * __kvm_at - execute an AT instruction for stage 1 of a guest
 * @vcpu:	The vCPU, with the regime in arch.at_regime
 * @va:		The address to translate
 * @access:	Bit 0: a write; bit 1: by EL0
 *
 * Returns PAR_EL1. Called with interrupts disabled.
 *
 * A walk that ends in an external abort is reported as one at level 0.
 */
u64 __hyp_text __kvm_at(struct kvm_vcpu *vcpu, u64 va, u32 access)
{
	struct kvm_at_regime host;
	u64 par, host_par;
	bool ok;

	vcpu = kern_hyp_va(vcpu);

	host_par = read_sysreg(par_el1);
	__save_regime(&host);
	__load_regime(&vcpu->arch.at_regime);

	switch (access & 3) {
	case 0:
		ok = kvm_hyp_at("s1e1r", va);
		break;
	case 1:
		ok = kvm_hyp_at("s1e1w", va);
		break;
	case 2:
		ok = kvm_hyp_at("s1e0r", va);
		break;
	default:
		ok = kvm_hyp_at("s1e0w", va);
		break;
	}
	par = ok ? read_sysreg(par_el1) : PAR_WALK_ABORT;

	__load_regime(&host);
	write_sysreg(host_par, par_el1);

	return par;
}
