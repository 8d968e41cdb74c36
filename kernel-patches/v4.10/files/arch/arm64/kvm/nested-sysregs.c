/*
 * The registers that virtual EL2 accesses: what they hold, and what a write
 * changes at once.
 *
 * This program is free software; you can redistribute it and/or modify
 * it under the terms of the GNU General Public License version 2 as
 * published by the Free Software Foundation.
 */

#include <linux/kvm_host.h>
#include <linux/uaccess.h>

#include <asm/kvm_coproc.h>
#include <asm/kvm_emulate.h>
#include <asm/kvm_mmu.h>
#include <asm/kvm_nested.h>
#include <asm/kvm_pv_el2_ops.h>
#include <asm/ptrace.h>
#include <asm/sysreg.h>

struct vel2_sysreg {
	bool		exists;
	bool		read_only;
	bool		no_user;	/* computed, or in another list */
	enum vel2_reg	reg;
	u64		res0;
	u64		res1;
	u64		(*read)(struct kvm_vcpu *vcpu, enum vel2_reg reg);
	void		(*write)(struct kvm_vcpu *vcpu, enum vel2_reg reg,
				 u64 val);
};

static void write_sctlr(struct kvm_vcpu *vcpu, enum vel2_reg reg, u64 val)
{
	bool was_enabled = vcpu_has_cache_enabled(vcpu);
	unsigned long hcr = vcpu_get_hcr(vcpu);

	vel2_write(vcpu, reg, val);
	if (vcpu_has_cache_enabled(vcpu) == was_enabled)
		return;

	/* Virtual EL1's MMU is another matter: keep watching that */
	kvm_toggle_cache(vcpu, was_enabled);
	vcpu_set_hcr(vcpu, hcr);
}

static u64 read_currentel(struct kvm_vcpu *vcpu, enum vel2_reg reg)
{
	return CurrentEL_EL2;
}

#define HCR_RES0	(~GENMASK_ULL(33, 0) | HCR_TGE)
#define CPTR_RES1	0x33ff
#define CPTR_RES0	(~(u64)(CPTR_EL2_TCPAC | CPTR_EL2_TTA | \
				CPTR_EL2_TFP | CPTR_RES1))
#define SCTLR_RES0	(~(u64)(SCTLR_ELx_FLAGS | SCTLR_ELx_EE | BIT(19) | \
				SCTLR_EL2_RES1))
#define TCR_RES0	(~(u64)(TCR_EL2_MASK | TCR_EL2_PS_MASK | \
				TCR_EL2_TBI | (u32)TCR_EL2_RES1))
#define UPPER_32	GENMASK_ULL(63, 32)
/* No ASID in the regime of EL2 */
#define TTBR_RES0	GENMASK_ULL(63, 48)
#define VBAR_RES0	GENMASK_ULL(10, 0)
#define HPFAR_RES0	(~GENMASK_ULL(39, 4))

#define REG(name, ...)							\
	[PV_EL2_OP_##name] = { .exists = true, .reg = V_##name, __VA_ARGS__ }
#define VGIC(name, ...)							\
	REG(name, .read = kvm_nested_ich_read, .write = kvm_nested_ich_write, \
	    ##__VA_ARGS__)
#define TIMER(name, ...)						\
	REG(name, .read = kvm_nested_timer_read,			\
	    .write = kvm_nested_timer_write, ##__VA_ARGS__)

static const struct vel2_sysreg vel2_sysregs[PV_EL2_NR_OPS] = {
	REG(VPIDR_EL2, .res0 = UPPER_32),
	REG(VMPIDR_EL2, .res0 = ~0xff40ffffffULL & ~BIT(31), .res1 = BIT(31)),
	REG(HCR_EL2, .res0 = HCR_RES0),
	REG(HSTR_EL2, .res0 = UPPER_32),
	REG(VTTBR_EL2),
	REG(VTCR_EL2, .res0 = UPPER_32, .res1 = VTCR_EL2_RES1 & ~UPPER_32),
	REG(TPIDR_EL2),
	REG(CPTR_EL2, .res0 = CPTR_RES0, .res1 = CPTR_RES1),
	REG(MDCR_EL2, .res0 = ~0xfffULL),
	REG(HACR_EL2, .res0 = ~0ULL),
	REG(ACTLR_EL2, .res0 = ~0ULL),
	REG(HPFAR_EL2, .res0 = HPFAR_RES0),
	REG(SPSR_EL2, .res0 = UPPER_32),
	REG(ELR_EL2),
	REG(ESR_EL2, .res0 = UPPER_32),
	REG(FAR_EL2),
	REG(AFSR0_EL2, .res0 = UPPER_32),
	REG(AFSR1_EL2, .res0 = UPPER_32),
	REG(VBAR_EL2, .res0 = VBAR_RES0),
	REG(SCTLR_EL2, .res0 = SCTLR_RES0, .res1 = SCTLR_EL2_RES1,
	    .write = write_sctlr),
	REG(MAIR_EL2),
	REG(AMAIR_EL2),
	REG(TTBR0_EL2, .res0 = TTBR_RES0),
	REG(TCR_EL2, .res0 = TCR_RES0, .res1 = (u32)TCR_EL2_RES1),
	REG(RVBAR_EL2, .read_only = true),
	REG(SP_EL1),

	/* For an AArch32 EL1, which we do not support: only state */
	REG(SPSR_IRQ, .res0 = UPPER_32),
	REG(SPSR_ABT, .res0 = UPPER_32),
	REG(SPSR_UND, .res0 = UPPER_32),
	REG(SPSR_FIQ, .res0 = UPPER_32),
	REG(DACR32_EL2, .res0 = UPPER_32),
	REG(IFSR32_EL2, .res0 = UPPER_32),
	REG(FPEXC32_EL2, .res0 = UPPER_32),
	REG(DBGVCR32_EL2, .res0 = UPPER_32),

	/* QEMU would take a value of CNTVOFF_EL2 for that of its own timers */
	TIMER(CNTVOFF_EL2, .no_user = true),
	TIMER(CNTHCTL_EL2, .res0 = ~0xffULL),
	TIMER(CNTHP_TVAL_EL2, .no_user = true),
	TIMER(CNTHP_CTL_EL2),
	TIMER(CNTHP_CVAL_EL2),

	VGIC(ICH_HCR_EL2),
	VGIC(ICH_VMCR_EL2),
	VGIC(ICH_VTR_EL2, .read_only = true, .no_user = true),
	VGIC(ICH_MISR_EL2, .read_only = true, .no_user = true),
	VGIC(ICH_EISR_EL2, .read_only = true, .no_user = true),
	VGIC(ICH_ELRSR_EL2, .read_only = true, .no_user = true),
	VGIC(ICC_SRE_EL2),
	VGIC(ICH_AP0R0_EL2),
	VGIC(ICH_AP0R1_EL2),
	VGIC(ICH_AP0R2_EL2),
	VGIC(ICH_AP0R3_EL2),
	VGIC(ICH_AP1R0_EL2),
	VGIC(ICH_AP1R1_EL2),
	VGIC(ICH_AP1R2_EL2),
	VGIC(ICH_AP1R3_EL2),
	VGIC(ICH_LR0_EL2),
	VGIC(ICH_LR1_EL2),
	VGIC(ICH_LR2_EL2),
	VGIC(ICH_LR3_EL2),
	VGIC(ICH_LR4_EL2),
	VGIC(ICH_LR5_EL2),
	VGIC(ICH_LR6_EL2),
	VGIC(ICH_LR7_EL2),
	VGIC(ICH_LR8_EL2),
	VGIC(ICH_LR9_EL2),
	VGIC(ICH_LR10_EL2),
	VGIC(ICH_LR11_EL2),
	VGIC(ICH_LR12_EL2),
	VGIC(ICH_LR13_EL2),
	VGIC(ICH_LR14_EL2),
	VGIC(ICH_LR15_EL2),

	/*
	 * Virtual EL1's. ACTLR_EL1 and MDSCR_EL1 are not here: they are not
	 * switched between the levels, and their traps are not ours.
	 */
	REG(SPSR_EL1, .no_user = true),
	REG(ELR_EL1, .no_user = true),
	REG(VBAR_EL1, .no_user = true),
	REG(SCTLR_EL1, .no_user = true),
	REG(TTBR0_EL1, .no_user = true),
	REG(TTBR1_EL1, .no_user = true),
	REG(TCR_EL1, .no_user = true),
	REG(ESR_EL1, .no_user = true),
	REG(FAR_EL1, .no_user = true),
	REG(AFSR0_EL1, .no_user = true),
	REG(AFSR1_EL1, .no_user = true),
	REG(MAIR_EL1, .no_user = true),
	REG(AMAIR_EL1, .no_user = true),
	REG(CONTEXTIDR_EL1, .no_user = true),
	REG(CPACR_EL1, .no_user = true),

	[PV_EL2_OP_CURRENTEL] = {
		.exists = true, .read_only = true, .no_user = true,
		.read = read_currentel,
	},
};

static void write_reg(struct kvm_vcpu *vcpu, const struct vel2_sysreg *r,
		      u64 val)
{
	val = (val & ~r->res0) | r->res1;

	if (r->write)
		r->write(vcpu, r->reg, val);
	else
		vel2_write(vcpu, r->reg, val);
}

static u64 read_reg(struct kvm_vcpu *vcpu, const struct vel2_sysreg *r)
{
	return r->read ? r->read(vcpu, r->reg) : vel2_read(vcpu, r->reg);
}

/**
 * kvm_nested_access - emulate an access of virtual EL2 to a register
 * @vcpu:	the vcpu pointer
 * @op:		PV_EL2_OP_<register>
 * @is_write:	MSR, not MRS
 * @val:	what is written, or where to put what is read
 *
 * Return: false if there is no such register.
 */
bool kvm_nested_access(struct kvm_vcpu *vcpu, u32 op, bool is_write, u64 *val)
{
	const struct vel2_sysreg *r;

	if (op >= PV_EL2_NR_OPS)
		return false;

	r = &vel2_sysregs[op];
	if (!r->exists || (is_write && r->read_only))
		return false;

	if (is_write)
		write_reg(vcpu, r, *val);
	else
		*val = read_reg(vcpu, r);

	return true;
}

/*
 * Userspace API: EL2's registers by their encodings. SP_EL2 has one, too, by
 * which EL3 would reach it.
 */

#define SP_EL2_ID	ARM64_SYS_REG(3, 6, 4, 1, 0)

static u32 user_id_to_op(u64 id)
{
	switch (id) {
#define OP(name, op0, op1, crn, crm, op2, kind)				\
	case ARM64_SYS_REG(op0, op1, crn, crm, op2):			\
		return PV_EL2_OP_##name;
	PV_EL2_OPS(OP)
#undef OP
	default:
		return 0;
	}
}

bool kvm_nested_is_reg(struct kvm_vcpu *vcpu, u64 id)
{
	const struct vel2_sysreg *r = &vel2_sysregs[user_id_to_op(id)];

	if (!vcpu_has_el2(vcpu))
		return false;

	return (r->exists && !r->no_user) || id == SP_EL2_ID;
}

int kvm_nested_get_reg(struct kvm_vcpu *vcpu, const struct kvm_one_reg *reg)
{
	const struct vel2_sysreg *r = &vel2_sysregs[user_id_to_op(reg->id)];
	enum vel2_reg v = r->exists ? r->reg : V_SP_EL2;
	u64 val = vel2_read(vcpu, v);

	return put_user(val, (u64 __user *)(unsigned long)reg->addr);
}

int kvm_nested_set_reg(struct kvm_vcpu *vcpu, const struct kvm_one_reg *reg)
{
	const struct vel2_sysreg *r = &vel2_sysregs[user_id_to_op(reg->id)];
	u64 val;

	if (get_user(val, (u64 __user *)(unsigned long)reg->addr))
		return -EFAULT;

	if (!r->exists)
		vel2_write(vcpu, V_SP_EL2, val);
	else if (!r->read_only)
		write_reg(vcpu, r, val);
	else if (val != vel2_read(vcpu, r->reg))
		return -EINVAL;

	return 0;
}

/* Number of the registers that a virtual EL2 adds; put them if @uindices */
int kvm_nested_copy_reg_indices(struct kvm_vcpu *vcpu, u64 __user *uindices)
{
	static const u64 ids[PV_EL2_NR_OPS] = {
#define OP(name, op0, op1, crn, crm, op2, kind)				\
		[PV_EL2_OP_##name] = ARM64_SYS_REG(op0, op1, crn, crm, op2),
		PV_EL2_OPS(OP)
#undef OP
	};
	int op, n = 0;

	if (!vcpu_has_el2(vcpu))
		return 0;

	for (op = 1; op < PV_EL2_NR_OPS; op++) {
		if (!vel2_sysregs[op].exists || vel2_sysregs[op].no_user)
			continue;
		if (uindices && put_user(ids[op], uindices + n))
			return -EFAULT;
		n++;
	}

	if (uindices && put_user(SP_EL2_ID, uindices + n))
		return -EFAULT;

	return n + 1;
}
