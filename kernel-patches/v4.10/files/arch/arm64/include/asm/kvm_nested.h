/*
 * Nested virtualization: virtual EL2 of a vCPU.
 *
 * A vCPU with the feature KVM_ARM_VCPU_HAS_EL2 has a virtual EL2, which runs
 * in hardware EL1. What the hardware needs is always in vcpu->arch.ctxt; the
 * registers of the virtual exception level that does not run are kept here.
 *
 * This program is free software; you can redistribute it and/or modify
 * it under the terms of the GNU General Public License version 2 as
 * published by the Free Software Foundation.
 */

#ifndef __ARM64_KVM_NESTED_H__
#define __ARM64_KVM_NESTED_H__

#include <linux/jump_label.h>
#include <linux/list.h>
#include <linux/types.h>

#include <asm/vncr_mapping.h>

struct kvm;
struct kvm_one_reg;
struct kvm_run;
struct kvm_vcpu;

/* Size of the deferred-access page, as FEAT_NV2 has it at VNCR_EL2.BADDR */
#define VEL2_PAGE_SIZE		4096
#define VEL2_PAGE_REGS		(VEL2_PAGE_SIZE / 8)

/*
 * Registers of the virtual CPU which may be somewhere else than in the
 * hardware context. Those with an offset in the deferred-access page are
 * numbered by it, so that the page can be handed to hardware or copied to the
 * guest as it is.
 */
enum vel2_reg {
#define VEL2_PAGE_REG(name, offset)	V_##name = (offset) / 8,
	VNCR_REGS(VEL2_PAGE_REG)
#undef VEL2_PAGE_REG

	/* Not in the page: kvm_nested_vcpu.el2[], or the hardware context */
	V_SCTLR_EL2 = VEL2_PAGE_REGS,
	V_ACTLR_EL2,
	V_HACR_EL2,
	V_TTBR0_EL2,
	V_TCR_EL2,
	V_AFSR0_EL2,
	V_AFSR1_EL2,
	V_ESR_EL2,
	V_FAR_EL2,
	V_MAIR_EL2,
	V_AMAIR_EL2,
	V_VBAR_EL2,
	V_SPSR_EL2,
	V_ELR_EL2,
	V_SP_EL2,
	V_CNTHP_CTL_EL2,
	V_CNTHP_CVAL_EL2,
	V_CNTHP_TVAL_EL2,	/* computed */
	V_CNTP_TVAL_EL0,	/* computed */
	V_RVBAR_EL2,
	V_DACR32_EL2,
	V_IFSR32_EL2,
	V_FPEXC32_EL2,
	V_DBGVCR32_EL2,
	V_SPSR_ABT,
	V_SPSR_UND,
	V_SPSR_IRQ,
	V_SPSR_FIQ,

	VEL2_REGS_END
};

#define NR_VEL2_REGS	(VEL2_REGS_END - VEL2_PAGE_REGS)

#define SCTLR_EL2_RES1	0x30c50830

#ifdef CONFIG_KVM_ARM_NESTED_HOST

struct kvm_nested_vcpu {
	u64 *page;			/* the deferred-access page */
	u64 el2[NR_VEL2_REGS];		/* registers that are not in it */
	bool in_vel2;			/* the vCPU is in virtual EL2 */
};

/* nested.c, nested-emulate.c, nested-idregs.c, nested-sysregs.c, -traps.c */

/* True as long as there is a vCPU with a virtual EL2: others do not pay */
DECLARE_STATIC_KEY_FALSE(kvm_nested_key);

#define vcpu_has_el2(vcpu)	\
	(static_branch_unlikely(&kvm_nested_key) && (vcpu)->arch.nested)
#define vcpu_in_vel2(vcpu)	\
	(vcpu_has_el2(vcpu) && (vcpu)->arch.nested->in_vel2)
#define vcpu_in_l2(vcpu)	\
	(vcpu_has_el2(vcpu) && !(vcpu)->arch.nested->in_vel2 && \
	 ((vcpu)->arch.nested->page[V_HCR_EL2] & (HCR_VM | HCR_DC)))

/* Raw storage, wherever the register lies now */
u64 vel2_read(const struct kvm_vcpu *vcpu, enum vel2_reg reg);
void vel2_write(struct kvm_vcpu *vcpu, enum vel2_reg reg, u64 val);

/*
 * Take an exception to virtual EL2 from the current virtual level. The PC is
 * the preferred return address; FAR_EL2 and HPFAR_EL2 are the caller's.
 */
void kvm_vel2_enter_sync(struct kvm_vcpu *vcpu, u64 esr);
void kvm_vel2_enter_irq(struct kvm_vcpu *vcpu);
void kvm_vel2_enter_fiq(struct kvm_vcpu *vcpu);
void kvm_vel2_enter_serror(struct kvm_vcpu *vcpu);
int kvm_vel2_eret(struct kvm_vcpu *vcpu);

/* Life cycle; reset follows that of the core and system registers */
int kvm_nested_vcpu_reset(struct kvm_vcpu *vcpu);
void kvm_nested_vcpu_destroy(struct kvm_vcpu *vcpu);

/* Prepare the hardware for the current virtual level; false = begin again */
bool __kvm_nested_load(struct kvm_vcpu *vcpu);
/* State that hardware may have changed while it ran ... */
void __kvm_nested_sync_traps(struct kvm_vcpu *vcpu);
/* ... and the first look at its exit: false = continue as without nesting */
bool __kvm_nested_handle_exit(struct kvm_vcpu *vcpu, int *ret);

#define kvm_nested_load(vcpu)						\
	(!vcpu_has_el2(vcpu) || __kvm_nested_load(vcpu))

#define kvm_nested_sync_traps(vcpu)					\
do {									\
	if (vcpu_has_el2(vcpu))						\
		__kvm_nested_sync_traps(vcpu);				\
} while (0)

#define kvm_nested_handle_exit(vcpu, ret)				\
	(vcpu_has_el2(vcpu) && __kvm_nested_handle_exit(vcpu, ret))

/* Virtual EL2 takes this exit of a lower level, according to its settings */
bool kvm_nested_forward_exit(struct kvm_vcpu *vcpu);

/* Emulate an access by virtual EL2; false: the register does not exist */
bool kvm_nested_access(struct kvm_vcpu *vcpu, u32 op, bool is_write,
		       u64 *val);
/* Emulate the exit if it is a read of an identification register */
bool kvm_nested_read_id_reg(struct kvm_vcpu *vcpu);

/* User space */
bool kvm_nested_supported(void);
void *kvm_nested_user_slot(struct kvm_vcpu *vcpu, void *slot);
u64 kvm_nested_user_pstate(const struct kvm_vcpu *vcpu);
int kvm_nested_set_user_pstate(struct kvm_vcpu *vcpu, u64 pstate);
int kvm_nested_copy_reg_indices(struct kvm_vcpu *vcpu,
				u64 __user *uindices);
bool kvm_nested_is_reg(struct kvm_vcpu *vcpu, u64 id);
int kvm_nested_get_reg(struct kvm_vcpu *vcpu, const struct kvm_one_reg *reg);
int kvm_nested_set_reg(struct kvm_vcpu *vcpu, const struct kvm_one_reg *reg);

/* nested-mmu.c, nested-shadow.c, nested-walk.c, nested-tlbi.c, nested-at.c */

struct kvm_shadow_s2;

/* Stage-2 translation of a VM beyond the VM's own tables; under mmu_lock */
struct kvm_nested_mmu {
	/* Virtual EL2: a second VMID over the VM's own tables */
	u64 vel2_vmid_gen;
	u64 vel2_vttbr;

	/* Shadow tables for L2, most recently used first */
	struct list_head shadows;
	unsigned int nr_shadows;
	unsigned long nr_tables;	/* of all shadows, below the PGDs */

	/* Incremented when L1 invalidates translations of its stage 2 */
	unsigned long inval_seq;

	struct list_head vms;		/* VMs the shrinker knows */
};

/* The EL1&0 regime in which the hyp code executes an AT instruction */
struct kvm_at_regime {
	u64 vttbr;
	u64 hcr;
	u64 sctlr;
	u64 tcr;
	u64 ttbr0;
	u64 ttbr1;
	u64 mair;
	u64 amair;
};

void kvm_nested_vm_init(struct kvm *kvm);
void kvm_nested_vm_destroy(struct kvm *kvm);
void kvm_nested_free_cache(struct kvm_vcpu *vcpu);

/* Before guest entry: what may sleep, then the choice with interrupts off */
int kvm_nested_prepare_mmu(struct kvm_vcpu *vcpu);
bool kvm_nested_load_mmu(struct kvm_vcpu *vcpu);

int kvm_nested_handle_abort(struct kvm_vcpu *vcpu, phys_addr_t *fault_ipa);
void kvm_nested_tlbi(struct kvm_vcpu *vcpu, u32 op, u64 val);
void kvm_nested_at(struct kvm_vcpu *vcpu, u32 op, u64 va);

/*
 * The VM's own stage-2 tables lose a leaf entry, replace one, or are
 * write-protected: under mmu_lock, and before the page is given back.
 */
void kvm_nested_s2_forget(struct kvm *kvm, u64 leaf);
u64 kvm_nested_s2_replace(struct kvm *kvm, u64 old, u64 new);
void kvm_nested_s2_unmap(struct kvm *kvm);
void kvm_nested_s2_wp(struct kvm *kvm);

/* For the hyp code; the arguments are hyp addresses */
#define kvm_vel2_vttbr(kvm)	((kvm)->arch.nested_mmu.vel2_vttbr)
#define vcpu_hw_vttbr(vcpu, kvm) \
	(vcpu_has_el2(vcpu) ? (vcpu)->arch.hw_vttbr : (kvm)->arch.vttbr)

/* virt/kvm/arm: vgic/vgic-nested*.c, arch_timer-nested.c */

u64 kvm_nested_ich_read(struct kvm_vcpu *vcpu, enum vel2_reg reg);
void kvm_nested_ich_write(struct kvm_vcpu *vcpu, enum vel2_reg reg, u64 val);
bool kvm_nested_icc_traps(struct kvm_vcpu *vcpu, u32 sysreg);
bool kvm_vgic_nested_pending_vel2(struct kvm_vcpu *vcpu);

u64 kvm_nested_cntpct(struct kvm_vcpu *vcpu);
u64 kvm_nested_timer_read(struct kvm_vcpu *vcpu, enum vel2_reg reg);
void kvm_nested_timer_write(struct kvm_vcpu *vcpu, enum vel2_reg reg, u64 val);

#else /* !CONFIG_KVM_ARM_NESTED_HOST */

#define vcpu_has_el2(vcpu)	(false)
#define vcpu_in_vel2(vcpu)	(false)
#define vcpu_in_l2(vcpu)	(false)

static inline u64 vel2_read(const struct kvm_vcpu *vcpu, enum vel2_reg reg)
{
	return 0;
}

static inline void vel2_write(struct kvm_vcpu *vcpu, enum vel2_reg reg,
			      u64 val) {}
static inline void kvm_vel2_enter_sync(struct kvm_vcpu *vcpu, u64 esr) {}
static inline void kvm_vel2_enter_irq(struct kvm_vcpu *vcpu) {}
static inline void kvm_vel2_enter_fiq(struct kvm_vcpu *vcpu) {}
static inline void kvm_vel2_enter_serror(struct kvm_vcpu *vcpu) {}

static inline int kvm_nested_vcpu_reset(struct kvm_vcpu *vcpu)
{
	return 0;
}

static inline void kvm_nested_vcpu_destroy(struct kvm_vcpu *vcpu) {}

static inline bool kvm_nested_load(struct kvm_vcpu *vcpu)
{
	return true;
}

static inline void kvm_nested_sync_traps(struct kvm_vcpu *vcpu) {}

static inline bool kvm_nested_handle_exit(struct kvm_vcpu *vcpu, int *ret)
{
	return false;
}

static inline bool kvm_nested_supported(void)
{
	return false;
}

static inline void *kvm_nested_user_slot(struct kvm_vcpu *vcpu, void *slot)
{
	return slot;
}

static inline u64 kvm_nested_user_pstate(const struct kvm_vcpu *vcpu)
{
	return 0;
}

static inline int kvm_nested_set_user_pstate(struct kvm_vcpu *vcpu, u64 pstate)
{
	return 0;
}

static inline int kvm_nested_copy_reg_indices(struct kvm_vcpu *vcpu,
					      u64 __user *uindices)
{
	return 0;
}

static inline bool kvm_nested_is_reg(struct kvm_vcpu *vcpu, u64 id)
{
	return false;
}

static inline int kvm_nested_get_reg(struct kvm_vcpu *vcpu,
				     const struct kvm_one_reg *reg)
{
	return -ENOENT;
}

static inline int kvm_nested_set_reg(struct kvm_vcpu *vcpu,
				     const struct kvm_one_reg *reg)
{
	return -ENOENT;
}

static inline void kvm_nested_vm_init(struct kvm *kvm) {}
static inline void kvm_nested_vm_destroy(struct kvm *kvm) {}
static inline void kvm_nested_free_cache(struct kvm_vcpu *vcpu) {}

static inline int kvm_nested_prepare_mmu(struct kvm_vcpu *vcpu)
{
	return 1;
}

static inline int kvm_nested_handle_abort(struct kvm_vcpu *vcpu,
					  phys_addr_t *fault_ipa)
{
	return 0;
}

static inline void kvm_nested_s2_forget(struct kvm *kvm, u64 leaf) {}

static inline u64 kvm_nested_s2_replace(struct kvm *kvm, u64 old, u64 new)
{
	return 0;
}

static inline void kvm_nested_s2_unmap(struct kvm *kvm) {}
static inline void kvm_nested_s2_wp(struct kvm *kvm) {}

#define kvm_vel2_vttbr(kvm)		(0)
#define vcpu_hw_vttbr(vcpu, kvm)	((kvm)->arch.vttbr)

#endif /* CONFIG_KVM_ARM_NESTED_HOST */
#endif /* __ARM64_KVM_NESTED_H__ */
