/*
 * Virtual EL2: where its registers are, and how the virtual exception level
 * changes.
 *
 * Virtual EL2 runs in hardware EL1, as virtual EL1 does. The hardware context
 * of the vCPU therefore holds the EL1 registers of the level that runs, and
 * the two sets change places with each exception to virtual EL2 and each
 * exception return from it.
 *
 * This program is free software; you can redistribute it and/or modify
 * it under the terms of the GNU General Public License version 2 as
 * published by the Free Software Foundation.
 */

#include <linux/kvm_host.h>
#include <linux/slab.h>

#include <asm/cpufeature.h>
#include <asm/debug-monitors.h>
#include <asm/kvm_emulate.h>
#include <asm/kvm_nested.h>
#include <asm/pgtable-hwdef.h>
#include <asm/virt.h>

#include "trace.h"

#define SCTLR_EL1_RES1	(BIT(29) | BIT(28) | SCTLR_EL1_SPAN | BIT(22) | \
			 BIT(20) | BIT(11))
#define SCTLR_WXN	BIT(19)
#define TCR_EPD1	BIT(23)
#define TCR_IPS_SHIFT	32
#define PSR_IL		BIT(20)

/*
 * The registers of virtual EL1 that lie in the context unless virtual EL2 runs,
 * and those of virtual EL2 which mean the same in hardware EL1: they take their
 * place. The last ones have none such, or one in another format.
 */
struct vel2_twin {
	enum vel2_reg	el1;
	enum vel2_reg	el2;
	size_t		slot;
};

#define NO_TWIN		VEL2_REGS_END	/* see load_vel2_controls() */
#define SLOT(member)	offsetof(struct kvm_cpu_context, member)

static const struct vel2_twin vel2_twins[] = {
	{ V_AFSR0_EL1, V_AFSR0_EL2, SLOT(sys_regs[AFSR0_EL1]) },
	{ V_AFSR1_EL1, V_AFSR1_EL2, SLOT(sys_regs[AFSR1_EL1]) },
	{ V_ESR_EL1, V_ESR_EL2, SLOT(sys_regs[ESR_EL1]) },
	{ V_FAR_EL1, V_FAR_EL2, SLOT(sys_regs[FAR_EL1]) },
	{ V_MAIR_EL1, V_MAIR_EL2, SLOT(sys_regs[MAIR_EL1]) },
	{ V_AMAIR_EL1, V_AMAIR_EL2, SLOT(sys_regs[AMAIR_EL1]) },
	{ V_VBAR_EL1, V_VBAR_EL2, SLOT(sys_regs[VBAR_EL1]) },
	{ V_TTBR0_EL1, V_TTBR0_EL2, SLOT(sys_regs[TTBR0_EL1]) },
	{ V_ELR_EL1, V_ELR_EL2, SLOT(gp_regs.elr_el1) },
	{ V_SPSR_EL1, V_SPSR_EL2, SLOT(gp_regs.spsr[KVM_SPSR_EL1]) },
	{ V_SP_EL1, V_SP_EL2, SLOT(gp_regs.sp_el1) },
	{ V_SCTLR_EL1, NO_TWIN, SLOT(sys_regs[SCTLR_EL1]) },
	{ V_TCR_EL1, NO_TWIN, SLOT(sys_regs[TCR_EL1]) },
	{ V_CPACR_EL1, NO_TWIN, SLOT(sys_regs[CPACR_EL1]) },
	{ V_TTBR1_EL1, NO_TWIN, SLOT(sys_regs[TTBR1_EL1]) },
	{ V_CONTEXTIDR_EL1, NO_TWIN, SLOT(sys_regs[CONTEXTIDR_EL1]) },
};

#define for_each_twin(twin)						\
	for ((twin) = vel2_twins;					\
	     (twin) < vel2_twins + ARRAY_SIZE(vel2_twins); (twin)++)

/* By either of their registers, as they are looked up with each access */
static const struct vel2_twin *twin_of[VEL2_REGS_END] __ro_after_init;

static int __init vel2_twins_init(void)
{
	const struct vel2_twin *twin;

	for_each_twin(twin) {
		twin_of[twin->el1] = twin;
		if (twin->el2 != NO_TWIN)
			twin_of[twin->el2] = twin;
	}

	return 0;
}
core_initcall(vel2_twins_init);

DEFINE_STATIC_KEY_FALSE(kvm_nested_key);

static u64 *stored_reg(const struct kvm_vcpu *vcpu, enum vel2_reg reg)
{
	struct kvm_nested_vcpu *nested = vcpu->arch.nested;

	if (reg < VEL2_PAGE_REGS)
		return &nested->page[reg];

	return &nested->el2[reg - VEL2_PAGE_REGS];
}

static u64 *context_slot(const struct kvm_vcpu *vcpu,
			 const struct vel2_twin *twin)
{
	return (void *)&vcpu->arch.ctxt + twin->slot;
}

/* Where the register is now */
static u64 *reg_slot(const struct kvm_vcpu *vcpu, enum vel2_reg reg)
{
	const struct vel2_twin *twin = twin_of[reg];

	if (twin && vcpu->arch.nested->in_vel2 == (reg == twin->el2))
		return context_slot(vcpu, twin);

	return stored_reg(vcpu, reg);
}

/*
 * Hardware can not tell in SPSR_EL1 whether an exception that virtual EL2
 * takes comes from itself or from virtual EL1: both are EL1 to it. An
 * exception that hardware delivers comes from virtual EL2 and reads as from
 * EL1; those that we deliver from virtual EL1 are marked as from EL2. A look
 * at the register through this function puts that right.
 */
static u64 swap_spsr_level(u64 spsr)
{
	if (spsr & PSR_MODE32_BIT)
		return spsr;

	switch (spsr & PSR_MODE_MASK) {
	case PSR_MODE_EL1t:
	case PSR_MODE_EL1h:
	case PSR_MODE_EL2t:
	case PSR_MODE_EL2h:
		return spsr ^ (PSR_MODE_EL1t ^ PSR_MODE_EL2t);
	}

	return spsr;
}

u64 vel2_read(const struct kvm_vcpu *vcpu, enum vel2_reg reg)
{
	u64 val = *reg_slot(vcpu, reg);

	return reg == V_SPSR_EL2 ? swap_spsr_level(val) : val;
}

/*
 * SCTLR_EL2, TCR_EL2 and CPTR_EL2 in the format of their EL1 counterparts;
 * the upper half of the address space does not exist.
 */
static void load_vel2_controls(struct kvm_vcpu *vcpu)
{
	u64 sctlr = *stored_reg(vcpu, V_SCTLR_EL2);
	u64 tcr = *stored_reg(vcpu, V_TCR_EL2);
	u64 cptr = *stored_reg(vcpu, V_CPTR_EL2);
	u64 val;

	val = sctlr & (SCTLR_ELx_FLAGS | SCTLR_ELx_EE | SCTLR_WXN);
	vcpu_sys_reg(vcpu, SCTLR_EL1) = val | SCTLR_EL1_RES1;

	val = tcr & TCR_EL2_MASK;
	val |= ((tcr & TCR_EL2_PS_MASK) >> TCR_EL2_PS_SHIFT) << TCR_IPS_SHIFT;
	if (tcr & TCR_EL2_TBI)
		val |= TCR_TBI0;
	val |= TCR_T1SZ(48) | TCR_TG1_4K | TCR_EPD1;
	vcpu_sys_reg(vcpu, TCR_EL1) = val;

	val = 0;
	if (!(cptr & CPTR_EL2_TFP))
		val |= CPACR_EL1_FPEN;
	if (cptr & CPTR_EL2_TTA)
		val |= CPACR_EL1_TTA;
	vcpu_sys_reg(vcpu, CPACR_EL1) = val;

	vcpu_sys_reg(vcpu, TTBR1_EL1) = 0;
	vcpu_sys_reg(vcpu, CONTEXTIDR_EL1) = 0;
}

void vel2_write(struct kvm_vcpu *vcpu, enum vel2_reg reg, u64 val)
{
	if (reg == V_SPSR_EL2)
		val = swap_spsr_level(val);

	*reg_slot(vcpu, reg) = val;

	if (vcpu_in_vel2(vcpu) &&
	    (reg == V_SCTLR_EL2 || reg == V_TCR_EL2 || reg == V_CPTR_EL2))
		load_vel2_controls(vcpu);
}

/* Virtual EL2's registers take the place of virtual EL1's */
static void load_vel2(struct kvm_vcpu *vcpu)
{
	const struct vel2_twin *twin;

	for_each_twin(twin) {
		u64 *slot = context_slot(vcpu, twin);

		*stored_reg(vcpu, twin->el1) = *slot;
		if (twin->el2 != NO_TWIN)
			*slot = *stored_reg(vcpu, twin->el2);
	}

	load_vel2_controls(vcpu);
	vcpu->arch.nested->in_vel2 = true;
}

static void load_vel1(struct kvm_vcpu *vcpu)
{
	const struct vel2_twin *twin;

	for_each_twin(twin) {
		u64 *slot = context_slot(vcpu, twin);

		if (twin->el2 != NO_TWIN)
			*stored_reg(vcpu, twin->el2) = *slot;
		*slot = *stored_reg(vcpu, twin->el1);
	}

	vcpu->arch.nested->in_vel2 = false;
}

/* The architecture's numbers for the four groups and types of vectors */
enum {
	VECTOR_CUR_SP0		= 0x000,
	VECTOR_CUR_SPX		= 0x200,
	VECTOR_LOWER_64		= 0x400,
	VECTOR_LOWER_32		= 0x600,

	VECTOR_SYNC		= 0x000,
	VECTOR_IRQ		= 0x080,
	VECTOR_FIQ		= 0x100,
	VECTOR_SERROR		= 0x180,
};

static void enter_vel2(struct kvm_vcpu *vcpu, u64 vector)
{
	u64 pstate = *vcpu_cpsr(vcpu);

	if (vcpu_in_vel2(vcpu)) {
		if ((pstate & PSR_MODE_MASK) == PSR_MODE_EL1t)
			vector += VECTOR_CUR_SP0;
		else
			vector += VECTOR_CUR_SPX;
	} else {
		if (pstate & PSR_MODE32_BIT)
			vector += VECTOR_LOWER_32;
		else
			vector += VECTOR_LOWER_64;
		/* Marked as from a lower level */
		pstate = swap_spsr_level(pstate);
		load_vel2(vcpu);
	}

	*vcpu_elr_el1(vcpu) = *vcpu_pc(vcpu);
	vcpu_gp_regs(vcpu)->spsr[KVM_SPSR_EL1] = pstate;
	*vcpu_pc(vcpu) = vcpu_sys_reg(vcpu, VBAR_EL1) + vector;
	*vcpu_cpsr(vcpu) = PSR_MODE_EL1h | PSR_A_BIT | PSR_F_BIT | PSR_I_BIT |
			   PSR_D_BIT;
}

void kvm_vel2_enter_sync(struct kvm_vcpu *vcpu, u64 esr)
{
	trace_kvm_nested_enter(*vcpu_pc(vcpu), esr, VECTOR_SYNC);
	enter_vel2(vcpu, VECTOR_SYNC);
	vcpu_sys_reg(vcpu, ESR_EL1) = esr;
}

void kvm_vel2_enter_irq(struct kvm_vcpu *vcpu)
{
	trace_kvm_nested_enter(*vcpu_pc(vcpu), 0, VECTOR_IRQ);
	enter_vel2(vcpu, VECTOR_IRQ);
}

void kvm_vel2_enter_fiq(struct kvm_vcpu *vcpu)
{
	trace_kvm_nested_enter(*vcpu_pc(vcpu), 0, VECTOR_FIQ);
	enter_vel2(vcpu, VECTOR_FIQ);
}

void kvm_vel2_enter_serror(struct kvm_vcpu *vcpu)
{
	u64 esr = ((u64)ESR_ELx_EC_SERROR << ESR_ELx_EC_SHIFT) | ESR_ELx_IL;

	trace_kvm_nested_enter(*vcpu_pc(vcpu), esr, VECTOR_SERROR);
	enter_vel2(vcpu, VECTOR_SERROR);
	vcpu_sys_reg(vcpu, ESR_EL1) = esr;
}

/*
 * May virtual EL2 return to this mode? AArch32 is for EL0 below an AArch64
 * EL1 only: a virtual EL1 which uses AArch32 is not supported.
 */
static bool eret_is_legal(struct kvm_vcpu *vcpu, u64 spsr)
{
	bool el1_is_64bit = vel2_read(vcpu, V_HCR_EL2) & HCR_RW;

	switch (spsr & (PSR_MODE32_BIT | PSR_MODE_MASK)) {
	case PSR_MODE_EL2t:
	case PSR_MODE_EL2h:
		return true;
	case PSR_MODE_EL1t:
	case PSR_MODE_EL1h:
	case PSR_MODE_EL0t:
		return el1_is_64bit;
	case COMPAT_PSR_MODE_USR:
		return el1_is_64bit && system_supports_32bit_el0();
	default:
		return false;
	}
}

/* What a return to AArch64 or AArch32 state takes from SPSR_EL2 */
#define SPSR_64_MASK	(PSR_N_BIT | PSR_Z_BIT | PSR_C_BIT | PSR_V_BIT |  \
			 PSR_UAO_BIT | PSR_PAN_BIT | DBG_SPSR_SS |	   \
			 PSR_IL | PSR_D_BIT | PSR_A_BIT | PSR_I_BIT |	   \
			 PSR_F_BIT | PSR_MODE32_BIT | PSR_MODE_MASK)
#define SPSR_32_MASK	(~(u32)(COMPAT_PSR_J_BIT | BIT(23) | BIT(22)))
#define SPSR_ILLEGAL_MASK (PSR_N_BIT | PSR_Z_BIT | PSR_C_BIT | PSR_V_BIT | \
			   PSR_D_BIT | PSR_A_BIT | PSR_I_BIT | PSR_F_BIT)

int kvm_vel2_eret(struct kvm_vcpu *vcpu)
{
	u64 spsr = vel2_read(vcpu, V_SPSR_EL2);
	u64 elr = vel2_read(vcpu, V_ELR_EL2);
	u64 mode = spsr & PSR_MODE_MASK;

	trace_kvm_nested_eret(*vcpu_pc(vcpu), elr, spsr);

	*vcpu_pc(vcpu) = elr;

	if (!eret_is_legal(vcpu, spsr)) {
		/* The next instruction will find the state to be illegal */
		*vcpu_cpsr(vcpu) &= PSR_MODE_MASK;
		*vcpu_cpsr(vcpu) |= (spsr & SPSR_ILLEGAL_MASK) | PSR_IL;
		return 1;
	}

	if (spsr & PSR_MODE32_BIT) {
		load_vel1(vcpu);
		*vcpu_cpsr(vcpu) = spsr & SPSR_32_MASK;
		return 1;
	}

	if (mode == PSR_MODE_EL2t || mode == PSR_MODE_EL2h)
		spsr = swap_spsr_level(spsr);
	else
		load_vel1(vcpu);

	*vcpu_cpsr(vcpu) = spsr & SPSR_64_MASK;
	return 1;
}

bool kvm_nested_supported(void)
{
	/* A VHE host has its own EL2 registers where the guest's should be */
	if (!is_hyp_mode_available() || is_kernel_in_hyp_mode())
		return false;

	/* The virtual CPU interface of virtual EL2 is a GICv3's */
	return kvm_vgic_global_state.type == VGIC_V3;
}

static int alloc_nested(struct kvm_vcpu *vcpu)
{
	struct kvm_nested_vcpu *nested;

	BUILD_BUG_ON(PAGE_SIZE < VEL2_PAGE_SIZE);

	nested = kzalloc(sizeof(*nested), GFP_KERNEL);
	if (!nested)
		return -ENOMEM;

	nested->page = (u64 *)get_zeroed_page(GFP_KERNEL);
	if (!nested->page) {
		kfree(nested);
		return -ENOMEM;
	}

	vcpu->arch.nested = nested;
	static_branch_inc(&kvm_nested_key);
	return 0;
}

/* Numbers between those of the features that there are */
static bool has_unknown_features(struct kvm_vcpu *vcpu)
{
	return find_next_bit(vcpu->arch.features, KVM_ARM_VCPU_HAS_EL2,
			     KVM_ARM_VCPU_PMU_V3 + 1) < KVM_ARM_VCPU_HAS_EL2;
}

/*
 * Reset takes the vCPU to virtual EL2. The system registers have just been
 * given their values after a reset into EL1.
 */
int kvm_nested_vcpu_reset(struct kvm_vcpu *vcpu)
{
	struct kvm_nested_vcpu *nested;
	int ret;

	if (has_unknown_features(vcpu))
		return -EINVAL;

	if (!test_bit(KVM_ARM_VCPU_HAS_EL2, vcpu->arch.features)) {
		if (test_bit(KVM_ARM_VCPU_HAS_EL2_E2H0, vcpu->arch.features))
			return -EINVAL;
		return 0;
	}

	if (!kvm_nested_supported() ||
	    test_bit(KVM_ARM_VCPU_EL1_32BIT, vcpu->arch.features))
		return -EINVAL;

	if (!vcpu->arch.nested) {
		ret = alloc_nested(vcpu);
		if (ret)
			return ret;
	}

	nested = vcpu->arch.nested;
	memset(nested->page, 0, VEL2_PAGE_SIZE);
	memset(nested->el2, 0, sizeof(nested->el2));
	nested->in_vel2 = false;

	vel2_write(vcpu, V_SCTLR_EL2, SCTLR_EL2_RES1);
	vel2_write(vcpu, V_TCR_EL2, TCR_EL2_RES1);
	vel2_write(vcpu, V_CPTR_EL2, CPTR_EL2_DEFAULT);
	vel2_write(vcpu, V_VTCR_EL2, VTCR_EL2_RES1);
	vel2_write(vcpu, V_VPIDR_EL2, read_cpuid_id());
	vel2_write(vcpu, V_VMPIDR_EL2, vcpu_sys_reg(vcpu, MPIDR_EL1));
	load_vel2(vcpu);

	return 0;
}

void kvm_nested_vcpu_destroy(struct kvm_vcpu *vcpu)
{
	struct kvm_nested_vcpu *nested = vcpu->arch.nested;

	if (!nested)
		return;

	vcpu->arch.nested = NULL;
	static_branch_dec(&kvm_nested_key);
	free_page((unsigned long)nested->page);
	kfree(nested);
}

/*
 * User space sees the registers by their names: those of EL1 are virtual
 * EL1's, even while virtual EL2 has taken their place in the context.
 */
void *kvm_nested_user_slot(struct kvm_vcpu *vcpu, void *slot)
{
	const struct vel2_twin *twin;

	if (!vcpu_in_vel2(vcpu))
		return slot;

	for_each_twin(twin) {
		if (slot == context_slot(vcpu, twin))
			return stored_reg(vcpu, twin->el1);
	}

	return slot;
}

u64 kvm_nested_user_pstate(const struct kvm_vcpu *vcpu)
{
	u64 pstate = *vcpu_cpsr(vcpu);

	return vcpu_in_vel2(vcpu) ? swap_spsr_level(pstate) : pstate;
}

int kvm_nested_set_user_pstate(struct kvm_vcpu *vcpu, u64 pstate)
{
	bool to_vel2 = false;

	/* Hardware EL2 must not find the exception return to be illegal */
	switch (pstate & (PSR_MODE32_BIT | PSR_MODE_MASK)) {
	case PSR_MODE_EL2t:
	case PSR_MODE_EL2h:
		to_vel2 = true;
		break;
	case PSR_MODE_EL1t:
	case PSR_MODE_EL1h:
	case PSR_MODE_EL0t:
		break;
	case COMPAT_PSR_MODE_USR:
		if (system_supports_32bit_el0())
			break;
		/* fall through */
	default:
		return -EINVAL;
	}

	if (to_vel2 && !vcpu_in_vel2(vcpu))
		load_vel2(vcpu);
	else if (!to_vel2 && vcpu_in_vel2(vcpu))
		load_vel1(vcpu);

	*vcpu_cpsr(vcpu) = to_vel2 ? swap_spsr_level(pstate) : pstate;
	return 0;
}
