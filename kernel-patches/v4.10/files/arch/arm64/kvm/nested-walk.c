/*
 * Walk of the stage-2 tables of a guest hypervisor.
 *
 * This is the ARMv8.0 stage-2 translation of VMSAv8-64 as the Arm ARM
 * describes it (AArch64.TranslationTableWalk), for all granules. The registers
 * and tables come from the guest and may hold anything: every value leads to
 * a translation or to a fault for virtual EL2, and only memory of the VM is
 * read.
 *
 * This program is free software; you can redistribute it and/or modify
 * it under the terms of the GNU General Public License version 2 as
 * published by the Free Software Foundation.
 */

#include <linux/bitops.h>
#include <linux/kernel.h>
#include <linux/kvm_host.h>

#include <asm/esr.h>
#include <asm/kvm_arm.h>
#include <asm/kvm_mmu.h>

#include "nested-mmu.h"

/* Fault status codes with the level in the lowest bits */
#define FSC_ADDRESS_SIZE	0x00

#define DESC_VALID		(UL(1) << 0)
#define DESC_TABLE		(UL(1) << 1)	/* or page, at level 3 */

#define LAST_LEVEL		3

unsigned int kvm_s2_granule_shift(u64 vtcr)
{
	switch (vtcr & VTCR_EL2_TG0_MASK) {
	case VTCR_EL2_TG0_64K:
		return 16;
	case VTCR_EL2_TG0_16K:
		return 14;
	default:	/* 4K, and what we make of the reserved value */
		return 12;
	}
}

static unsigned int level_shift(unsigned int granule, int level)
{
	return granule + (LAST_LEVEL - level) * (granule - 3);
}

/* Size of what a leaf entry at @level maps */
unsigned long kvm_s2_leaf_size(u64 vtcr, int level)
{
	return BIT(level_shift(kvm_s2_granule_shift(vtcr), level));
}

static int start_level(unsigned int granule, u64 vtcr)
{
	int sl0 = (vtcr & VTCR_EL2_SL0_MASK) >> VTCR_EL2_SL0_SHIFT;

	return (granule == 12 ? 2 : 3) - sl0;
}

/* Physical address size as virtual EL2 has configured it, and as it has it */
static unsigned int output_size(u64 vtcr)
{
	static const u8 size[] = { 32, 36, 40, 42, 44, 48, 48, 48 };
	unsigned int ps = (vtcr & VTCR_EL2_PS_MASK) >> TCR_EL2_PS_SHIFT;

	return min_t(unsigned int, size[ps], KVM_PHYS_SHIFT);
}

static bool walk_fault(struct kvm_s2_trans *trans, u32 type, int level)
{
	trans->level = level;
	trans->fsc = type | level;
	return false;
}

static bool read_desc(struct kvm *kvm, const struct kvm_s2_regime *regime,
		      phys_addr_t addr, u64 *desc)
{
	u64 raw;

	if (kvm_read_guest(kvm, addr, &raw, sizeof(raw)))
		return false;

	if (regime->big_endian)
		*desc = be64_to_cpu((__force __be64)raw);
	else
		*desc = le64_to_cpu((__force __le64)raw);
	return true;
}

static bool leaf_found(u64 desc, phys_addr_t ipa, unsigned int shift,
		       struct kvm_s2_trans *trans)
{
	trans->size = BIT(shift);
	trans->output = (desc & GENMASK_ULL(47, shift)) |
			(ipa & GENMASK_ULL(shift - 1, 0));

	/* Virtual EL2 has no hardware update of the access flag */
	if (!(desc & PTE_AF))
		return walk_fault(trans, FSC_ACCESS, trans->level);

	trans->readable = desc & PTE_S2_RDONLY;
	trans->writable = desc & (PTE_S2_RDWR & ~PTE_S2_RDONLY);
	trans->executable = !(desc & S2_XN);
	trans->memattr = (desc & S2_MEMATTR_MASK) >> S2_MEMATTR_SHIFT;
	trans->sh = (desc & S2_SH_MASK) >> S2_SH_SHIFT;
	return true;
}

/**
 * kvm_s2_walk - translate an L2 IPA by the guest hypervisor's tables
 * @kvm:	The VM
 * @regime:	Registers of virtual EL2 that control the walk
 * @ipa:	The IPA of L2
 * @trans:	Result; in case of a fault its fsc and level
 *
 * Returns true if there is a translation, whatever it permits. The caller
 * holds kvm->srcu and may sleep.
 */
bool kvm_s2_walk(struct kvm *kvm, const struct kvm_s2_regime *regime,
		 phys_addr_t ipa, struct kvm_s2_trans *trans)
{
	unsigned int granule = kvm_s2_granule_shift(regime->vtcr);
	unsigned int oa_size = output_size(regime->vtcr);
	int ia_size = 64 - (regime->vtcr & VTCR_EL2_T0SZ_MASK);
	int level = start_level(granule, regime->vtcr);
	u64 base = regime->vttbr & GENMASK_ULL(47, 0);
	int index_bits;

	/*
	 * An input size that the architecture does not know may be forced
	 * into its range or fault; so may one that exceeds what virtual EL2
	 * has of address space.
	 */
	if (ia_size < 25 || ia_size > 48 ||
	    ipa >> min(ia_size, KVM_PHYS_SHIFT))
		return walk_fault(trans, FSC_FAULT, 0);

	/*
	 * Level 0 exists with 4K pages only. There are from 2 entries up to
	 * 16 concatenated tables at the start.
	 */
	index_bits = ia_size - (int)level_shift(granule, level);
	if (level < (granule == 12 ? 0 : 1) ||
	    index_bits < 1 || index_bits > (int)granule - 3 + 4)
		return walk_fault(trans, FSC_FAULT, 0);

	if (base >> oa_size)
		return walk_fault(trans, FSC_ADDRESS_SIZE, 0);

	base &= GENMASK_ULL(47, index_bits + 3);

	for (;; level++) {
		unsigned int shift = level_shift(granule, level);
		u64 index = (ipa >> shift) & GENMASK_ULL(index_bits - 1, 0);
		u64 desc;

		if (!read_desc(kvm, regime, base | index << 3, &desc))
			return walk_fault(trans, FSC_WALK_EXTABT, level);

		if (!(desc & DESC_VALID))
			return walk_fault(trans, FSC_FAULT, level);

		/* No blocks at level 3, 0, and 1 but with 4K pages */
		if (!(desc & DESC_TABLE) &&
		    (level == LAST_LEVEL || level < (granule == 12 ? 1 : 2)))
			return walk_fault(trans, FSC_FAULT, level);

		if ((desc & GENMASK_ULL(47, granule)) >> oa_size)
			return walk_fault(trans, FSC_ADDRESS_SIZE, level);

		if (level == LAST_LEVEL || !(desc & DESC_TABLE)) {
			trans->level = level;
			return leaf_found(desc, ipa, shift, trans);
		}

		base = desc & GENMASK_ULL(47, granule);
		index_bits = granule - 3;
	}
}

/* Does @trans permit the access? If not, it becomes a permission fault. */
bool kvm_s2_access_allowed(struct kvm_s2_trans *trans,
			   enum kvm_s2_access access)
{
	bool allowed = access == S2_WRITE ? trans->writable :
		       access == S2_EXEC  ? trans->executable :
					    trans->readable;

	if (!allowed)
		walk_fault(trans, FSC_PERM, trans->level);

	return allowed;
}
