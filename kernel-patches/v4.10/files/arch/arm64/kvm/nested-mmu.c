/*
 * Stage-2 translation for virtual EL2 and its guests.
 *
 * A VM with a virtual EL2 runs on several translation regimes, each with a
 * VMID of its own: EL1&0 of L1 and virtual EL2 share the VM's own tables (but
 * must not share TLB entries of stage 1), and each stage 2 that virtual EL2
 * sets up for a guest has shadow tables. The shadows belong to the VM, so that
 * the vCPUs of an L2 guest share one, found by the value of VTTBR_EL2 and
 * VTCR_EL2.
 *
 * Shadow entries are made under mmu_lock of an entry of the VM's own tables,
 * which is marked then. As all that takes memory away from a VM goes through
 * its own tables first, an entry with the mark tells that the shadows must
 * forget it too, in the same critical section.
 *
 * This program is free software; you can redistribute it and/or modify
 * it under the terms of the GNU General Public License version 2 as
 * published by the Free Software Foundation.
 */

#include <linux/kvm_host.h>
#include <linux/shrinker.h>

#include <asm/cpufeature.h>
#include <asm/kvm_arm.h>
#include <asm/kvm_emulate.h>
#include <asm/kvm_mmu.h>
#include <asm/kvm_nested.h>

#include "nested-mmu.h"

/* Mark in the VM's own tables, in a field that is left to software */
#define S2_SHADOWED		(UL(1) << 57)

/*
 * L1 may map a few pages at any number of IPAs. Shadow tables beyond this
 * minimum have to be in proportion to the memory of the VM: tables for all of
 * it, mapped by pages, take one page in 512.
 */
#define MIN_SHADOW_TABLES	512
#define PAGES_PER_SHADOW_TABLE	64

/* The field of VTTBR_EL2 which is the VMID, by VTCR_EL2.VS */
static u64 vmid_masks[2] __ro_after_init = {
	VTTBR_VMID_MASK(8),
	VTTBR_VMID_MASK(8),
};

static LIST_HEAD(nested_vms);
static DEFINE_SPINLOCK(nested_vms_lock);	/* outside of mmu_lock */

/* The regime by which virtual EL2 translates the addresses of its guest */
void kvm_nested_s2_regime(struct kvm_vcpu *vcpu, struct kvm_s2_regime *regime)
{
	regime->vttbr = vel2_read(vcpu, V_VTTBR_EL2);
	regime->vtcr = vel2_read(vcpu, V_VTCR_EL2);
	regime->big_endian = vel2_read(vcpu, V_SCTLR_EL2) & SCTLR_ELx_EE;
}

u64 kvm_nested_vmid_mask(u64 vtcr)
{
	return vmid_masks[!!(vtcr & VTCR_EL2_VS_16BIT)];
}

/* VMID and table address; without CnP and what is RES0 */
static u64 shadow_identity(const struct kvm_s2_regime *regime)
{
	return regime->vttbr &
	       (GENMASK_ULL(47, 1) | kvm_nested_vmid_mask(regime->vtcr));
}

static bool shadow_is(const struct kvm_shadow_s2 *shadow,
		      const struct kvm_s2_regime *regime)
{
	return shadow && shadow->vtcr == regime->vtcr &&
	       shadow->vttbr == shadow_identity(regime);
}

static struct kvm_shadow_s2 *find_shadow(struct kvm_nested_mmu *mmu,
					 const struct kvm_s2_regime *regime)
{
	struct kvm_shadow_s2 *shadow;

	list_for_each_entry(shadow, &mmu->shadows, lru)
		if (shadow_is(shadow, regime))
			return shadow;

	return NULL;
}

/*
 * The shadow which nobody has used for the longest time. There is one if there
 * are as many as vCPUs, and the one of the calling vCPU.
 */
static struct kvm_shadow_s2 *find_unused_shadow(struct kvm *kvm)
{
	struct kvm_nested_mmu *mmu = &kvm->arch.nested_mmu;
	struct kvm_shadow_s2 *shadow;

	if (mmu->nr_shadows < 2 * atomic_read(&kvm->online_vcpus))
		return NULL;

	list_for_each_entry_reverse(shadow, &mmu->shadows, lru)
		if (!shadow->users)
			return shadow;

	return NULL;
}

/*
 * Find the shadow for @regime or make one, of @new if it cannot be a used one.
 * Returns NULL if it takes a new one.
 */
static struct kvm_shadow_s2 *take_shadow(struct kvm_vcpu *vcpu,
					 const struct kvm_s2_regime *regime,
					 struct kvm_shadow_s2 *new)
{
	struct kvm *kvm = vcpu->kvm;
	struct kvm_nested_mmu *mmu = &kvm->arch.nested_mmu;
	struct kvm_shadow_s2 *shadow = find_shadow(mmu, regime);

	if (!shadow) {
		shadow = find_unused_shadow(kvm);
		if (!shadow) {
			if (!new)
				return NULL;
			shadow = new;
			list_add(&shadow->lru, &mmu->shadows);
			mmu->nr_shadows++;
		}

		/* Its VMID is as good for the new regime once it is empty */
		kvm_shadow_unmap(kvm, shadow);
		shadow->vttbr = shadow_identity(regime);
		shadow->vtcr = regime->vtcr;
	}

	if (vcpu->arch.shadow)
		vcpu->arch.shadow->users--;
	vcpu->arch.shadow = shadow;
	shadow->users++;
	list_move(&shadow->lru, &mmu->shadows);

	return shadow;
}

static void register_vm(struct kvm_nested_mmu *mmu)
{
	spin_lock(&nested_vms_lock);
	if (list_empty(&mmu->vms))
		list_add_tail(&mmu->vms, &nested_vms);
	spin_unlock(&nested_vms_lock);
}

/**
 * kvm_nested_get_shadow - the shadow tables for the current stage 2 of
 *			   virtual EL2
 * @vcpu:	The vCPU, which keeps its hold on them until it takes others
 *
 * Returns NULL if there is no memory for them. May sleep.
 */
struct kvm_shadow_s2 *kvm_nested_get_shadow(struct kvm_vcpu *vcpu)
{
	struct kvm_shadow_s2 *shadow = vcpu->arch.shadow, *new = NULL;
	struct kvm *kvm = vcpu->kvm;
	struct kvm_s2_regime regime;

	kvm_nested_s2_regime(vcpu, &regime);
	if (shadow_is(shadow, &regime))
		return shadow;

	register_vm(&kvm->arch.nested_mmu);

	for (;;) {
		spin_lock(&kvm->mmu_lock);
		shadow = take_shadow(vcpu, &regime, new);
		spin_unlock(&kvm->mmu_lock);
		if (shadow)
			break;

		new = kvm_shadow_alloc();
		if (!new)
			return NULL;
	}

	if (new != shadow)
		kvm_shadow_free(new);
	return shadow;
}

/**
 * kvm_nested_prepare_mmu - make ready the tables and VMIDs a vCPU may enter
 * @vcpu:	The vCPU
 *
 * Returns 1, or a negative error code for user space. May sleep.
 */
int kvm_nested_prepare_mmu(struct kvm_vcpu *vcpu)
{
	struct kvm *kvm = vcpu->kvm;
	struct kvm_shadow_s2 *shadow;

	kvm_update_vttbr(&kvm->arch.nested_mmu.vel2_vmid_gen,
			 &kvm->arch.nested_mmu.vel2_vttbr, kvm->arch.pgd);

	if (vcpu_in_l2(vcpu)) {
		shadow = kvm_nested_get_shadow(vcpu);
		if (!shadow)
			return -ENOMEM;

		kvm_update_vttbr(&shadow->vmid_gen, &shadow->hw_vttbr,
				 shadow->pgd);
	}

	return 1;
}

static bool latch_vttbr(struct kvm_vcpu *vcpu, const u64 *vmid_gen,
			const u64 *vttbr)
{
	if (kvm_need_new_vmid_gen(READ_ONCE(*vmid_gen)))
		return false;

	smp_rmb();	/* see kvm_update_vttbr() */
	vcpu->arch.hw_vttbr = READ_ONCE(*vttbr);
	return true;
}

/**
 * kvm_nested_load_mmu - choose tables and VMID for the current virtual level
 * @vcpu:	The vCPU
 *
 * Called with interrupts disabled, and the guest is entered without enabling
 * them: a new generation of VMIDs waits for this CPU before it begins. Returns
 * false if kvm_nested_prepare_mmu() has to be called again, because of such a
 * generation or because the virtual level has changed since.
 */
bool kvm_nested_load_mmu(struct kvm_vcpu *vcpu)
{
	struct kvm_arch *arch = &vcpu->kvm->arch;
	struct kvm_shadow_s2 *shadow = vcpu->arch.shadow;
	struct kvm_s2_regime regime;

	if (vcpu_in_vel2(vcpu))
		return latch_vttbr(vcpu, &arch->nested_mmu.vel2_vmid_gen,
				   &arch->nested_mmu.vel2_vttbr);

	if (!vcpu_in_l2(vcpu))
		return latch_vttbr(vcpu, &arch->vmid_gen, &arch->vttbr);

	kvm_nested_s2_regime(vcpu, &regime);
	return shadow_is(shadow, &regime) &&
	       latch_vttbr(vcpu, &shadow->vmid_gen, &shadow->hw_vttbr);
}

/* Empty the shadow which was taken the longest time ago; returns its size */
static unsigned long drop_oldest_shadow(struct kvm *kvm)
{
	struct kvm_shadow_s2 *shadow;

	list_for_each_entry_reverse(shadow, &kvm->arch.nested_mmu.shadows,
				    lru) {
		unsigned long nr = shadow->nr_tables;

		if (nr) {
			kvm_shadow_unmap(kvm, shadow);
			return nr;
		}
	}

	return 0;
}

static void limit_tables(struct kvm *kvm)
{
	unsigned long max = MIN_SHADOW_TABLES;
	struct kvm_memory_slot *memslot;

	if (READ_ONCE(kvm->arch.nested_mmu.nr_tables) < max)
		return;

	kvm_for_each_memslot(memslot, kvm_memslots(kvm))
		max += memslot->npages / PAGES_PER_SHADOW_TABLE;

	spin_lock(&kvm->mmu_lock);
	while (kvm->arch.nested_mmu.nr_tables >= max)
		drop_oldest_shadow(kvm);
	spin_unlock(&kvm->mmu_lock);
}

/* Make the shadow entry, if the VM's own tables have the page as needed */
static bool map_shadow(struct kvm_vcpu *vcpu, struct kvm_shadow_s2 *shadow,
		       phys_addr_t ipa, enum kvm_s2_access access,
		       const struct kvm_s2_trans *trans)
{
	struct kvm *kvm = vcpu->kvm;
	unsigned long size;
	pte_t *ptep, pte;

	ptep = kvm_stage2_find_leaf(kvm, trans->output, &size);
	if (!ptep)
		return false;

	pte = *ptep;
	if (access == S2_WRITE && kvm_s2pte_readonly(&pte))
		return false;
	if (access == S2_EXEC && (pte_val(pte) & S2_XN))
		return false;

	/* The mark, and what an access to an old page leads to */
	kvm_set_pte(ptep, __pte(pte_val(pte) | S2_SHADOWED | PTE_AF));

	kvm_shadow_map(kvm, shadow, &vcpu->arch.shadow_cache, ipa,
		       pte_val(pte), size, trans);
	return true;
}

/* Returns 0 if the page of L1 may be mapped now, SHADOW_MMIO, or an error */
int kvm_nested_host_fault(struct kvm_vcpu *vcpu, phys_addr_t gpa, bool write)
{
	struct kvm_memory_slot *memslot;
	gfn_t gfn = gpa >> PAGE_SHIFT;
	unsigned long hva;
	bool writable;

	memslot = gfn_to_memslot(vcpu->kvm, gfn);
	hva = gfn_to_hva_memslot_prot(memslot, gfn, &writable);
	if (kvm_is_error_hva(hva) || (write && !writable))
		return SHADOW_MMIO;

	return kvm_stage2_fault_in(vcpu, gpa & PAGE_MASK, memslot, hva, write);
}

/**
 * kvm_shadow_fault - translate an IPA of L2 and map it in the shadow tables
 * @vcpu:	The vCPU, with the regime in its virtual EL2 registers
 * @ipa:	The IPA
 * @access:	What L2 wants to do
 * @ptw:	It is a walk of L2's stage 1
 * @trans:	The translation, or the fault for virtual EL2
 *
 * Returns a kvm_shadow_result or a negative error code. SHADOW_MAPPED does not
 * promise that the entry is there, only that a repeated access makes progress.
 * The caller holds kvm->srcu; may sleep.
 */
int kvm_shadow_fault(struct kvm_vcpu *vcpu, phys_addr_t ipa,
		     enum kvm_s2_access access, bool ptw,
		     struct kvm_s2_trans *trans)
{
	struct kvm *kvm = vcpu->kvm;
	struct kvm_s2_regime regime;
	struct kvm_shadow_s2 *shadow;
	int ret, tries;

	kvm_nested_s2_regime(vcpu, &regime);
	shadow = kvm_nested_get_shadow(vcpu);
	if (!shadow)
		return -ENOMEM;

	for (tries = 0; tries < 2; tries++) {
		unsigned long seq = READ_ONCE(kvm->arch.nested_mmu.inval_seq);
		bool mapped;

		/*
		 * If L1 changes its tables after they are read here, then its
		 * invalidation comes after this point too: pairs with the
		 * barrier L1 needs in between and the lock that is taken.
		 */
		smp_rmb();

		if (!kvm_s2_walk(kvm, &regime, ipa, trans))
			return SHADOW_FAULT;

		/* HCR_EL2.PTW: no table walks in device memory */
		if (ptw && kvm_s2_attr_is_device(trans->memattr) &&
		    (vel2_read(vcpu, V_HCR_EL2) & HCR_PTW))
			trans->readable = trans->writable = false;

		if (!kvm_s2_access_allowed(trans, access))
			return SHADOW_FAULT;

		ret = kvm_shadow_topup(&vcpu->arch.shadow_cache);
		if (ret)
			return ret;
		limit_tables(kvm);

		spin_lock(&kvm->mmu_lock);
		mapped = seq != kvm->arch.nested_mmu.inval_seq ||
			 map_shadow(vcpu, shadow, ipa, access, trans);
		spin_unlock(&kvm->mmu_lock);
		if (mapped)
			break;

		ret = kvm_nested_host_fault(vcpu, trans->output,
					    access == S2_WRITE);
		if (ret)
			return ret;
	}

	return SHADOW_MAPPED;
}

/*
 * The access that has faulted. The syndrome says "write" for cache maintenance
 * and table walks too; these are only stopped by a lack of write permission if
 * they really invalidate or update the access flag.
 */
static enum kvm_s2_access fault_access(struct kvm_vcpu *vcpu)
{
	bool perm = kvm_vcpu_trap_get_fault_type(vcpu) == FSC_PERM;

	if (kvm_vcpu_dabt_iss1tw(vcpu)) {
		u64 mmfr1 = read_system_reg(SYS_ID_AA64MMFR1_EL1);

		return perm && cpuid_feature_extract_unsigned_field(mmfr1,
					ID_AA64MMFR1_HADBS_SHIFT) ?
		       S2_WRITE : S2_READ;
	}

	if (kvm_vcpu_trap_is_iabt(vcpu))
		return S2_EXEC;

	if (!kvm_vcpu_dabt_iswrite(vcpu))
		return S2_READ;

	return !perm && kvm_vcpu_dabt_is_cm(vcpu) ? S2_READ : S2_WRITE;
}

/* The abort of L2 becomes one of virtual EL2, by its own tables' fault */
static void forward_abort(struct kvm_vcpu *vcpu, u32 fsc)
{
	u64 esr = kvm_vcpu_get_hsr(vcpu) & ~(u64)ESR_ELx_FSC;

	/* External aborts carry no instruction syndrome */
	if ((fsc & ESR_ELx_FSC_TYPE) == FSC_WALK_EXTABT)
		esr &= ~GENMASK_ULL(24, 14);

	vel2_write(vcpu, V_FAR_EL2, kvm_vcpu_get_hfar(vcpu));
	vel2_write(vcpu, V_HPFAR_EL2, vcpu->arch.fault.hpfar_el2);
	kvm_vel2_enter_sync(vcpu, esr | fsc);
}

/*
 * L1 has mapped what is no memory of the VM. Unless L0 can emulate the access,
 * L2 gets the external abort that a bus would return: the VM goes on, as it
 * is not the VM's fault.
 */
static int handle_mmio(struct kvm_vcpu *vcpu, const struct kvm_s2_trans *trans,
		       phys_addr_t *fault_ipa)
{
	if (kvm_vcpu_trap_is_iabt(vcpu)) {
		kvm_inject_pabt(vcpu, kvm_vcpu_get_hfar(vcpu));
		return 1;
	}

	if (!kvm_vcpu_dabt_isvalid(vcpu) && !kvm_vcpu_dabt_is_cm(vcpu)) {
		kvm_inject_dabt(vcpu, kvm_vcpu_get_hfar(vcpu));
		return 1;
	}

	*fault_ipa = trans->output & PAGE_MASK;
	return 0;
}

/**
 * kvm_nested_handle_abort - handle a stage-2 abort of L2
 * @vcpu:	The vCPU
 * @fault_ipa:	IPA of L2; replaced by the IPA of L1
 *
 * Returns 1 if L2 or virtual EL2 can go on, 0 if the access is one to a device
 * of L1 at *@fault_ipa, or a negative error code.
 */
int kvm_nested_handle_abort(struct kvm_vcpu *vcpu, phys_addr_t *fault_ipa)
{
	struct kvm_s2_trans trans = { };
	int idx, ret;

	switch (kvm_vcpu_trap_get_fault_type(vcpu)) {
	case FSC_FAULT:
	case FSC_PERM:
	case FSC_ACCESS:
		break;
	default:
		/* For instance the alignment, as L1 says it is a device */
		forward_abort(vcpu, kvm_vcpu_trap_get_fault(vcpu));
		return 1;
	}

	idx = srcu_read_lock(&vcpu->kvm->srcu);
	ret = kvm_shadow_fault(vcpu, *fault_ipa, fault_access(vcpu),
			       kvm_vcpu_dabt_iss1tw(vcpu), &trans);
	srcu_read_unlock(&vcpu->kvm->srcu, idx);

	switch (ret) {
	case SHADOW_FAULT:
		forward_abort(vcpu, trans.fsc);
		return 1;
	case SHADOW_MMIO:
		return handle_mmio(vcpu, &trans, fault_ipa);
	default:
		return ret;
	}
}

/* Drop all that was made of the VM's own tables */
void kvm_nested_s2_unmap(struct kvm *kvm)
{
	struct kvm_shadow_s2 *shadow;

	list_for_each_entry(shadow, &kvm->arch.nested_mmu.shadows, lru)
		kvm_shadow_unmap(kvm, shadow);
}

/* The leaf entry @leaf is not any more in the VM's own tables */
void kvm_nested_s2_forget(struct kvm *kvm, u64 leaf)
{
	if (leaf & S2_SHADOWED)
		kvm_nested_s2_unmap(kvm);
}

/*
 * The leaf entry @new replaces @old in the VM's own tables. Returns the mark
 * for it if what was made of the old one is good for the new one.
 */
u64 kvm_nested_s2_replace(struct kvm *kvm, u64 old, u64 new)
{
	u64 lost = (old & ~new) | ((old ^ new) & ~PTE_S2_RDWR);

	if (!(old & S2_SHADOWED))
		return 0;

	if (!(lost & ~(S2_SHADOWED | PTE_AF)))
		return S2_SHADOWED;

	kvm_nested_s2_unmap(kvm);
	return 0;
}

/* Pages of the VM's own tables are write-protected to find who writes */
void kvm_nested_s2_wp(struct kvm *kvm)
{
	struct kvm_shadow_s2 *shadow;

	list_for_each_entry(shadow, &kvm->arch.nested_mmu.shadows, lru)
		kvm_shadow_wp(shadow);
}

void kvm_nested_free_cache(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu_memory_cache *cache = &vcpu->arch.shadow_cache;

	while (cache->nobjs)
		free_page((unsigned long)cache->objects[--cache->nobjs]);
}

void kvm_nested_vm_init(struct kvm *kvm)
{
	INIT_LIST_HEAD(&kvm->arch.nested_mmu.shadows);
	INIT_LIST_HEAD(&kvm->arch.nested_mmu.vms);
}

/* Free the shadows, before the VM's own tables go. No vCPU will run again. */
void kvm_nested_vm_destroy(struct kvm *kvm)
{
	struct kvm_nested_mmu *mmu = &kvm->arch.nested_mmu;
	struct kvm_shadow_s2 *shadow, *next;
	struct kvm_vcpu *vcpu;
	LIST_HEAD(shadows);
	int i;

	spin_lock(&nested_vms_lock);
	list_del_init(&mmu->vms);
	spin_unlock(&nested_vms_lock);

	spin_lock(&kvm->mmu_lock);
	kvm_nested_s2_unmap(kvm);
	list_splice_init(&mmu->shadows, &shadows);
	mmu->nr_shadows = 0;
	kvm_for_each_vcpu(i, vcpu, kvm)
		vcpu->arch.shadow = NULL;
	spin_unlock(&kvm->mmu_lock);

	list_for_each_entry_safe(shadow, next, &shadows, lru)
		kvm_shadow_free(shadow);
}

static unsigned long shrink_count(struct shrinker *shrinker,
				  struct shrink_control *sc)
{
	struct kvm_nested_mmu *mmu;
	unsigned long nr = 0;

	spin_lock(&nested_vms_lock);
	list_for_each_entry(mmu, &nested_vms, vms)
		nr += READ_ONCE(mmu->nr_tables);
	spin_unlock(&nested_vms_lock);

	return nr;
}

static unsigned long shrink_scan(struct shrinker *shrinker,
				 struct shrink_control *sc)
{
	struct kvm_nested_mmu *mmu, *next;
	unsigned long freed = 0;
	LIST_HEAD(done);

	spin_lock(&nested_vms_lock);
	list_for_each_entry_safe(mmu, next, &nested_vms, vms) {
		struct kvm *kvm = container_of(mmu, struct kvm,
					       arch.nested_mmu);

		spin_lock(&kvm->mmu_lock);
		freed += drop_oldest_shadow(kvm);
		spin_unlock(&kvm->mmu_lock);

		/* Next time, others come first */
		list_move_tail(&mmu->vms, &done);
		if (freed >= sc->nr_to_scan)
			break;
	}
	list_splice_tail(&done, &nested_vms);
	spin_unlock(&nested_vms_lock);

	return freed;
}

static struct shrinker nested_shrinker = {
	.count_objects	= shrink_count,
	.scan_objects	= shrink_scan,
	.seeks		= DEFAULT_SEEKS * 10,
};

static int __init kvm_nested_mmu_init(void)
{
	/* Not at each use: it is a search among the ID registers */
	vmid_masks[1] = VTTBR_VMID_MASK(kvm_get_vmid_bits());

	return register_shrinker(&nested_shrinker);
}
subsys_initcall(kvm_nested_mmu_init);
