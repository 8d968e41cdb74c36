/*
 * Stage-2 translation of nested virtual machines: what its files share.
 *
 * An L2 IPA is translated to an L1 IPA by the tables of the guest hypervisor
 * (nested-walk.c), and to a physical address by those of the host
 * (arch/arm/kvm/mmu.c). Shadow tables cache the composition for the hardware
 * (nested-shadow.c). nested-mmu.c decides which tables a vCPU runs on, and
 * fills the shadows when L2 faults.
 *
 * This program is free software; you can redistribute it and/or modify
 * it under the terms of the GNU General Public License version 2 as
 * published by the Free Software Foundation.
 */

#ifndef __KVM_ARM64_NESTED_MMU_H__
#define __KVM_ARM64_NESTED_MMU_H__

#include <linux/kvm_host.h>

/* A stage-2 translation regime of virtual EL2 */
struct kvm_s2_regime {
	u64 vttbr;
	u64 vtcr;
	bool big_endian;		/* SCTLR_EL2.EE */
};

/* What a walk of the guest hypervisor's tables has found */
struct kvm_s2_trans {
	phys_addr_t output;
	unsigned long size;		/* of the leaf */
	int level;			/* of the leaf or fault */
	bool readable;
	bool writable;
	bool executable;
	u8 memattr;			/* MemAttr[3:0] */
	u8 sh;				/* SH[1:0] */
	u32 fsc;			/* if it fails: as in ESR_ELx */
};

/* Fault status: external abort on a table walk, with the level added */
#define FSC_WALK_EXTABT		0x14

/* Leaf bits of VMSAv8-64 stage 2 which the kernel has no names for */
#define S2_MEMATTR_SHIFT	2
#define S2_MEMATTR_MASK		(UL(0xf) << S2_MEMATTR_SHIFT)
#define S2_SH_SHIFT		8
#define S2_SH_MASK		(UL(3) << S2_SH_SHIFT)
#define S2_SH_OUTER		2
#define S2_SH_INNER		3
#define S2_XN			(UL(1) << 54)
#define S2_ADDR_MASK		GENMASK_ULL(47, 12)

static inline bool kvm_s2_attr_is_device(u8 memattr)
{
	return !(memattr & 0xc);
}

unsigned int kvm_s2_granule_shift(u64 vtcr);
unsigned long kvm_s2_leaf_size(u64 vtcr, int level);
bool kvm_s2_walk(struct kvm *kvm, const struct kvm_s2_regime *regime,
		 phys_addr_t ipa, struct kvm_s2_trans *trans);

/*
 * Shadow tables of one stage-2 regime of virtual EL2. All fields but the
 * identity and the PGD, which stay as long as there are users, are protected
 * by mmu_lock.
 */
struct kvm_shadow_s2 {
	struct list_head lru;		/* in kvm_nested_mmu.shadows */
	unsigned int users;		/* vCPUs that run on it */

	u64 vttbr;			/* virtual: VMID and BADDR */
	u64 vtcr;

	pgd_t *pgd;
	u64 hw_vttbr;
	u64 vmid_gen;

	unsigned long nr_tables;	/* pages below the PGD */
	bool writable;			/* may have writable leaves */
	int min_level;			/* of the virtual leaves in here */
};

struct kvm_shadow_s2 *kvm_shadow_alloc(void);
void kvm_shadow_free(struct kvm_shadow_s2 *shadow);
int kvm_shadow_topup(struct kvm_mmu_memory_cache *cache);
void kvm_shadow_map(struct kvm *kvm, struct kvm_shadow_s2 *shadow,
		    struct kvm_mmu_memory_cache *cache, phys_addr_t ipa,
		    u64 host_leaf, unsigned long host_size,
		    const struct kvm_s2_trans *trans);
void kvm_shadow_unmap_ipa(struct kvm *kvm, struct kvm_shadow_s2 *shadow,
			  phys_addr_t ipa);
void kvm_shadow_unmap(struct kvm *kvm, struct kvm_shadow_s2 *shadow);
void kvm_shadow_wp(struct kvm_shadow_s2 *shadow);

/* How virtual EL2's stage 2 is accessed; a permission and the reason */
enum kvm_s2_access {
	S2_READ,
	S2_WRITE,
	S2_EXEC,
};

enum kvm_shadow_result {
	SHADOW_MAPPED = 1,	/* the access may be repeated */
	SHADOW_FAULT,		/* virtual EL2's: see kvm_s2_trans */
	SHADOW_MMIO,		/* not memory: kvm_s2_trans.output */
};

bool kvm_s2_access_allowed(struct kvm_s2_trans *trans,
			   enum kvm_s2_access access);
void kvm_nested_s2_regime(struct kvm_vcpu *vcpu, struct kvm_s2_regime *regime);
int kvm_shadow_fault(struct kvm_vcpu *vcpu, phys_addr_t ipa,
		     enum kvm_s2_access access, bool ptw,
		     struct kvm_s2_trans *trans);
struct kvm_shadow_s2 *kvm_nested_get_shadow(struct kvm_vcpu *vcpu);
u64 kvm_nested_vmid_mask(u64 vtcr);
int kvm_nested_host_fault(struct kvm_vcpu *vcpu, phys_addr_t gpa, bool write);

#endif /* __KVM_ARM64_NESTED_MMU_H__ */
