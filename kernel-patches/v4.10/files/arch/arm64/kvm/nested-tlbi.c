/*
 * TLB maintenance by virtual EL2.
 *
 * What virtual EL2 invalidates in the regimes EL1&0 has the VMID which is in
 * its VTTBR_EL2: it may be that of a guest, with shadow tables, and as well
 * that of L1's own EL1, which is not told apart by VMIDs as long as
 * HCR_EL2.VM is 0. Whether an instruction is limited to one CPU is ignored:
 * the vCPU may have run on others.
 *
 * This program is free software; you can redistribute it and/or modify
 * it under the terms of the GNU General Public License version 2 as
 * published by the Free Software Foundation.
 */

#include <linux/kvm_host.h>

#include <asm/kvm_asm.h>
#include <asm/kvm_nested.h>
#include <asm/kvm_pv_el2_ops.h>

#include "nested-mmu.h"

/* Operands: the page numbers of an IPA and of a VA */
#define TLBI_IPA_MASK		GENMASK_ULL(35, 0)
#define TLBI_VA_MASK		GENMASK_ULL(43, 0)

static bool has_vmid(const struct kvm_shadow_s2 *shadow, u64 vttbr)
{
	return !((shadow->vttbr ^ vttbr) & kvm_nested_vmid_mask(shadow->vtcr));
}

static void flush_own_stage1(struct kvm *kvm)
{
	kvm_call_hyp(__kvm_tlb_flush_vttbr_s1, kvm->arch.vttbr);
}

static void flush_stage1(struct kvm *kvm, u64 vttbr)
{
	struct kvm_shadow_s2 *shadow;

	list_for_each_entry(shadow, &kvm->arch.nested_mmu.shadows, lru)
		if (has_vmid(shadow, vttbr) && shadow->hw_vttbr)
			kvm_call_hyp(__kvm_tlb_flush_vttbr_s1,
				     shadow->hw_vttbr);

	flush_own_stage1(kvm);
}

static void flush_stage2_ipa(struct kvm *kvm, u64 vttbr, phys_addr_t ipa)
{
	struct kvm_shadow_s2 *shadow;

	kvm->arch.nested_mmu.inval_seq++;
	list_for_each_entry(shadow, &kvm->arch.nested_mmu.shadows, lru)
		if (has_vmid(shadow, vttbr))
			kvm_shadow_unmap_ipa(kvm, shadow, ipa);
}

static void flush_stage12(struct kvm *kvm, u64 vttbr)
{
	struct kvm_shadow_s2 *shadow;

	kvm->arch.nested_mmu.inval_seq++;
	list_for_each_entry(shadow, &kvm->arch.nested_mmu.shadows, lru)
		if (has_vmid(shadow, vttbr))
			kvm_shadow_unmap(kvm, shadow);

	flush_own_stage1(kvm);
}

static void flush_all_el1(struct kvm *kvm)
{
	kvm->arch.nested_mmu.inval_seq++;
	kvm_nested_s2_unmap(kvm);
	flush_own_stage1(kvm);
}

/**
 * kvm_nested_tlbi - emulate a TLB maintenance instruction of virtual EL2
 * @vcpu:	The vCPU
 * @op:		PV_EL2_OP_TLBI_*
 * @val:	The instruction's operand
 */
void kvm_nested_tlbi(struct kvm_vcpu *vcpu, u32 op, u64 val)
{
	u64 vttbr = vel2_read(vcpu, V_VTTBR_EL2);
	struct kvm *kvm = vcpu->kvm;
	u64 vel2_vttbr;

	spin_lock(&kvm->mmu_lock);
	vel2_vttbr = kvm->arch.nested_mmu.vel2_vttbr;

	switch (op) {
	case PV_EL2_OP_TLBI_ALLE2:
	case PV_EL2_OP_TLBI_ALLE2IS:
		kvm_call_hyp(__kvm_tlb_flush_vttbr_s1, vel2_vttbr);
		break;
	case PV_EL2_OP_TLBI_VAE2:
	case PV_EL2_OP_TLBI_VAE2IS:
	case PV_EL2_OP_TLBI_VALE2:
	case PV_EL2_OP_TLBI_VALE2IS:
		kvm_call_hyp(__kvm_tlb_flush_vttbr_va, vel2_vttbr,
			     val & TLBI_VA_MASK);
		break;
	case PV_EL2_OP_TLBI_IPAS2E1:
	case PV_EL2_OP_TLBI_IPAS2E1IS:
	case PV_EL2_OP_TLBI_IPAS2LE1:
	case PV_EL2_OP_TLBI_IPAS2LE1IS:
		flush_stage2_ipa(kvm, vttbr, (val & TLBI_IPA_MASK) << 12);
		break;
	case PV_EL2_OP_TLBI_VMALLS12E1:
	case PV_EL2_OP_TLBI_VMALLS12E1IS:
		flush_stage12(kvm, vttbr);
		break;
	case PV_EL2_OP_TLBI_ALLE1:
	case PV_EL2_OP_TLBI_ALLE1IS:
		flush_all_el1(kvm);
		break;
	default:
		/* By VA or ASID: no guest hypervisor has been seen to do so */
		flush_stage1(kvm, vttbr);
	}

	spin_unlock(&kvm->mmu_lock);
}
