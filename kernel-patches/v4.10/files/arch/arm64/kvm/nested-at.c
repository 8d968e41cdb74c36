/*
 * Address translation instructions of virtual EL2.
 *
 * Stage 1 is left to the hardware, in the regime that virtual EL2 has set up,
 * so that permissions, attributes and PAR_EL1 are right by construction. It
 * walks guest tables through our stage 2, where entries may be missing: these
 * are made by following the table addresses here, and then the instruction is
 * repeated. Stage 2 of virtual EL2 is walked by software.
 *
 * This program is free software; you can redistribute it and/or modify
 * it under the terms of the GNU General Public License version 2 as
 * published by the Free Software Foundation.
 */

#include <linux/kvm_host.h>

#include <asm/kvm_arm.h>
#include <asm/kvm_asm.h>
#include <asm/kvm_emulate.h>
#include <asm/kvm_mmu.h>
#include <asm/kvm_nested.h>
#include <asm/kvm_pv_el2_ops.h>

#include "nested-mmu.h"

/* PAR_EL1 */
#define PAR_F			BIT(0)		/* translation aborted */
#define PAR_FST_SHIFT		1
#define PAR_PTW			BIT(8)		/* stage 2, walk of stage 1 */
#define PAR_S			BIT(9)		/* stage 2 */
#define PAR_FAULT_RES1		BIT(11)
#define PAR_PA_MASK		GENMASK_ULL(47, 12)
#define PAR_SH_MASK		GENMASK_ULL(8, 7)
#define PAR_SH_OUTER		(UL(2) << 7)
#define PAR_ATTR_SHIFT		56
#define ATTR_NORMAL_NC		0x44

#define TCR_TG1_SIZE(tcr)	(((tcr) & TCR_TG1_MASK) >> TCR_TG1_SHIFT)

/* Every retry needs an entry to have vanished since the last */
#define MAX_TRIES		8

struct at {
	u64 va;
	u32 access;		/* bit 0: write, bit 1: EL0 */
	bool nested;		/* stage 2 of virtual EL2 is enabled */
	bool vel2;		/* the regime of virtual EL2 itself */
};

static void load_regime(struct kvm_vcpu *vcpu, const struct at *at)
{
	struct kvm_at_regime *r = &vcpu->arch.at_regime;
	u64 hcr = HCR_VM | HCR_RW;

	if (is_kernel_in_hyp_mode())
		hcr |= HCR_E2H;

	if (at->vel2) {
		r->sctlr = vcpu_sys_reg(vcpu, SCTLR_EL1);
		r->tcr	 = vcpu_sys_reg(vcpu, TCR_EL1);
		r->ttbr0 = vcpu_sys_reg(vcpu, TTBR0_EL1);
		r->ttbr1 = vcpu_sys_reg(vcpu, TTBR1_EL1);
		r->mair	 = vcpu_sys_reg(vcpu, MAIR_EL1);
		r->amair = vcpu_sys_reg(vcpu, AMAIR_EL1);
	} else {
		u64 virt = vel2_read(vcpu, V_HCR_EL2);

		r->sctlr = vel2_read(vcpu, V_SCTLR_EL1);
		r->tcr	 = vel2_read(vcpu, V_TCR_EL1);
		r->ttbr0 = vel2_read(vcpu, V_TTBR0_EL1);
		r->ttbr1 = vel2_read(vcpu, V_TTBR1_EL1);
		r->mair	 = vel2_read(vcpu, V_MAIR_EL1);
		r->amair = vel2_read(vcpu, V_AMAIR_EL1);

		if (!(virt & HCR_RW))
			hcr &= ~HCR_RW;
		if (at->nested)
			hcr |= virt & (HCR_DC | HCR_PTW);
		if (virt & HCR_TGE)
			r->sctlr &= ~SCTLR_ELx_M;
	}

	r->hcr = hcr;
}

/* The VMID of the regime, if it is valid: see kvm_nested_load_mmu() */
static bool load_vttbr(struct kvm_vcpu *vcpu, const struct at *at,
		       const struct kvm_shadow_s2 *shadow)
{
	struct kvm_arch *arch = &vcpu->kvm->arch;
	const u64 *gen = &arch->vmid_gen, *vttbr = &arch->vttbr;

	if (at->vel2) {
		gen = &arch->nested_mmu.vel2_vmid_gen;
		vttbr = &arch->nested_mmu.vel2_vttbr;
	} else if (shadow) {
		gen = &shadow->vmid_gen;
		vttbr = &shadow->hw_vttbr;
	}

	if (kvm_need_new_vmid_gen(READ_ONCE(*gen)))
		return false;

	smp_rmb();	/* see kvm_update_vttbr() */
	vcpu->arch.at_regime.vttbr = READ_ONCE(*vttbr);
	return true;
}

/* Let the hardware translate: 0, with PAR_EL1 in *@par, or an error code */
static int run_at(struct kvm_vcpu *vcpu, const struct at *at, u64 *par)
{
	struct kvm_arch *arch = &vcpu->kvm->arch;
	struct kvm_shadow_s2 *shadow = NULL;
	bool done;

	load_regime(vcpu, at);

	do {
		kvm_update_vttbr(&arch->vmid_gen, &arch->vttbr, arch->pgd);
		kvm_update_vttbr(&arch->nested_mmu.vel2_vmid_gen,
				 &arch->nested_mmu.vel2_vttbr, arch->pgd);
		if (at->nested) {
			shadow = kvm_nested_get_shadow(vcpu);
			if (!shadow)
				return -ENOMEM;
			kvm_update_vttbr(&shadow->vmid_gen, &shadow->hw_vttbr,
					 shadow->pgd);
		}

		/*
		 * No new generation of VMIDs can begin, nor another vCPU of
		 * the VM leave its translations in this CPU's TLB.
		 */
		local_irq_disable();
		done = load_vttbr(vcpu, at, shadow);
		if (done)
			*par = kvm_call_hyp(__kvm_at, vcpu, at->va, at->access);
		local_irq_enable();
	} while (!done);

	return 0;
}

/*
 * Make the stage-2 entry for an address in stage-1 tables, and tell where it is
 * in L1's address space. Returns as kvm_shadow_fault() does.
 */
static int touch(struct kvm_vcpu *vcpu, const struct at *at, phys_addr_t addr,
		 struct kvm_s2_trans *trans)
{
	int ret;

	if (at->nested)
		return kvm_shadow_fault(vcpu, addr, S2_READ, true, trans);

	trans->output = addr;
	ret = kvm_nested_host_fault(vcpu, addr, false);
	return ret ? ret : SHADOW_MAPPED;
}

static unsigned int granule_shift(u64 tcr, bool upper)
{
	static const u8 tg0[] = { 12, 16, 14, 12 };
	static const u8 tg1[] = { 12, 14, 12, 16 };

	return upper ? tg1[TCR_TG1_SIZE(tcr)] :
		       tg0[(tcr & TCR_TG0_MASK) >> TCR_TG0_SHIFT];
}

/*
 * Follow the stage-1 tables as far as they go, for the sake of their stage-2
 * entries only: what they mean is for the hardware to say.
 */
static int touch_tables(struct kvm_vcpu *vcpu, const struct at *at,
			struct kvm_s2_trans *trans)
{
	const struct kvm_at_regime *r = &vcpu->arch.at_regime;
	bool upper = at->va & BIT(55);
	unsigned int granule = granule_shift(r->tcr, upper);
	unsigned int stride = granule - 3;
	unsigned int size = 64 - (r->tcr >> (upper ? TCR_T1SZ_OFFSET :
						     TCR_T0SZ_OFFSET) & 0x3f);
	unsigned int shift, bits;
	u64 base;
	int ret;

	if (!(r->hcr & HCR_RW) || size <= granule || size > 48)
		return SHADOW_MAPPED;

	/* Address bits which are resolved below the first level */
	shift = granule + (size - granule - 1) / stride * stride;
	bits = size - shift;
	base = (upper ? r->ttbr1 : r->ttbr0) & GENMASK_ULL(47, bits + 3);

	for (;;) {
		u64 addr, desc;

		addr = base | (at->va >> shift & GENMASK_ULL(bits - 1, 0)) << 3;
		ret = touch(vcpu, at, addr, trans);
		if (ret != SHADOW_MAPPED)
			return ret;

		if (kvm_read_guest(vcpu->kvm, trans->output, &desc,
				   sizeof(desc)))
			return SHADOW_MMIO;
		desc = r->sctlr & SCTLR_ELx_EE ?
		       be64_to_cpu((__force __be64)desc) :
		       le64_to_cpu((__force __le64)desc);

		if ((desc & PMD_TYPE_MASK) != PMD_TYPE_TABLE ||
		    shift == granule)
			return SHADOW_MAPPED;

		base = desc & GENMASK_ULL(47, granule);
		shift -= stride;
		bits = stride;
	}
}

static u64 par_fault(const struct kvm_s2_trans *trans, u64 flags)
{
	return PAR_F | PAR_S | PAR_FAULT_RES1 | flags |
	       (u64)trans->fsc << PAR_FST_SHIFT;
}

static int translate_stage1(struct kvm_vcpu *vcpu, const struct at *at,
			    u64 *par)
{
	struct kvm_s2_trans trans = { };
	int tries, ret;

	for (tries = 0; tries < MAX_TRIES; tries++) {
		ret = run_at(vcpu, at, par);
		if (ret || (*par & (PAR_F | PAR_S)) != (PAR_F | PAR_S))
			return ret;

		ret = touch_tables(vcpu, at, &trans);
		if (ret == SHADOW_FAULT) {
			*par = par_fault(&trans, PAR_PTW);
			return 0;
		}
		if (ret != SHADOW_MAPPED)
			return min(ret, 0);
	}

	return 0;
}

/*
 * Continue with stage 2. Attributes of stage 1 are only overridden where
 * stage 2 has no cacheable memory.
 */
static u64 translate_stage2(struct kvm_vcpu *vcpu, const struct at *at, u64 par)
{
	phys_addr_t ipa = (par & PAR_PA_MASK) | (at->va & ~PAGE_MASK);
	struct kvm_s2_regime regime;
	struct kvm_s2_trans trans = { };
	u64 attr = par >> PAR_ATTR_SHIFT;

	kvm_nested_s2_regime(vcpu, &regime);
	if (!kvm_s2_walk(vcpu->kvm, &regime, ipa, &trans) ||
	    !kvm_s2_access_allowed(&trans, at->access & 1 ? S2_WRITE : S2_READ))
		return par_fault(&trans, 0);

	par &= ~(PAR_PA_MASK | GENMASK_ULL(63, PAR_ATTR_SHIFT));
	par |= trans.output & PAR_PA_MASK;

	if (kvm_s2_attr_is_device(trans.memattr)) {
		u64 device = (trans.memattr & 3) << 2;

		attr = attr & 0xf0 ? device : min(attr, device);
		par = (par & ~PAR_SH_MASK) | PAR_SH_OUTER;
	} else if (trans.memattr == 5 && (attr & 0xf0)) {
		attr = ATTR_NORMAL_NC;
		par = (par & ~PAR_SH_MASK) | PAR_SH_OUTER;
	}

	return par | attr << PAR_ATTR_SHIFT;
}

/**
 * kvm_nested_at - emulate an address translation instruction of virtual EL2
 * @vcpu:	The vCPU, in virtual EL2
 * @op:		PV_EL2_OP_AT_*
 * @va:		The address
 *
 * The result is in PAR_EL1. May sleep.
 */
void kvm_nested_at(struct kvm_vcpu *vcpu, u32 op, u64 va)
{
	struct at at = {
		.va = va,
		.nested = vel2_read(vcpu, V_HCR_EL2) & (HCR_VM | HCR_DC),
	};
	bool stage2 = false;
	u64 par = PAR_F;
	int idx;

	switch (op) {
	case PV_EL2_OP_AT_S1E2W:
		at.access = 1;
		/* fall through */
	case PV_EL2_OP_AT_S1E2R:
		at.vel2 = true;
		at.nested = false;
		break;
	case PV_EL2_OP_AT_S12E1R:
	case PV_EL2_OP_AT_S12E1W:
	case PV_EL2_OP_AT_S12E0R:
	case PV_EL2_OP_AT_S12E0W:
		stage2 = at.nested;
		at.access = op - PV_EL2_OP_AT_S12E1R;
		break;
	default:
		at.access = op - PV_EL2_OP_AT_S1E1R;
	}

	idx = srcu_read_lock(&vcpu->kvm->srcu);
	if (translate_stage1(vcpu, &at, &par))
		par = PAR_F | PAR_FAULT_RES1;
	else if (stage2 && !(par & PAR_F))
		par = translate_stage2(vcpu, &at, par);
	srcu_read_unlock(&vcpu->kvm->srcu, idx);

	vcpu_sys_reg(vcpu, PAR_EL1) = par;
}
