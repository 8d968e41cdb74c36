/*
 * Emulation of what virtual EL2 executes, and of the calls between the virtual
 * exception levels.
 *
 * An instruction of virtual EL2 that ARMv8.3 traps (FEAT_NV) comes here in one
 * of two ways: as an HVC whose immediate says what it stands for, or, where
 * ARMv8.0 can trap it, as itself.
 *
 * This program is free software; you can redistribute it and/or modify
 * it under the terms of the GNU General Public License version 2 as
 * published by the Free Software Foundation.
 */

#include <linux/kvm_host.h>

#include <asm/kvm_emulate.h>
#include <asm/kvm_nested.h>
#include <asm/kvm_psci.h>
#include <asm/kvm_pv_el2_ops.h>
#include <asm/sysreg.h>

#include "trace.h"

enum pv_op_kind { none, reg, insn };

static const struct {
	const char	*name;
	u32		encoding;
	enum pv_op_kind	kind;
} pv_ops[PV_EL2_NR_OPS] = {
	[0] = { "?", 0, none },
#define OP(name, op0, op1, crn, crm, op2, kind)	\
	[PV_EL2_OP_##name] = { #name, sys_reg(op0, op1, crn, crm, op2), kind },
	PV_EL2_OPS(OP)
#undef OP
};

/* The operation that a trapped system instruction is; 0 if it is none */
static u32 encoding_to_op(u32 encoding)
{
	switch (encoding) {
#define OP(name, op0, op1, crn, crm, op2, kind)	\
	case sys_reg(op0, op1, crn, crm, op2): return PV_EL2_OP_##name;
	PV_EL2_OPS(OP)
#undef OP
	default:
		return 0;
	}
}

#define SYS_GROUP_MASK	sys_reg(3, 0, 15, 0, 0)
#define SYS_AT		sys_reg(1, 0, 7, 0, 0)
#define SYS_TLBI	sys_reg(1, 0, 8, 0, 0)

static bool emulate_insn(struct kvm_vcpu *vcpu, u32 op, u64 val)
{
	if (op == PV_EL2_OP_ERET) {
		vcpu->stat.nested_eret++;
		kvm_vel2_eret(vcpu);
		return true;
	}

	switch (pv_ops[op].encoding & SYS_GROUP_MASK) {
	case SYS_TLBI:
		vcpu->stat.nested_tlbi++;
		kvm_nested_tlbi(vcpu, op, val);
		return true;
	case SYS_AT:
		vcpu->stat.nested_at++;
		kvm_nested_at(vcpu, op, val);
		return true;
	default:
		return false;
	}
}

/* Virtual EL2 accesses a register or executes an instruction */
static bool emulate_op(struct kvm_vcpu *vcpu, u32 op, bool is_read, int rt)
{
	unsigned long pc = *vcpu_pc(vcpu);
	u64 val = is_read ? 0 : vcpu_get_reg(vcpu, rt);
	bool ok;

	if (op >= PV_EL2_NR_OPS)
		return false;

	if (pv_ops[op].kind == reg) {
		ok = kvm_nested_access(vcpu, op, !is_read, &val);
		if (ok && is_read)
			vcpu_set_reg(vcpu, rt, val);
		vcpu->stat.nested_sysreg++;
	} else {
		ok = !is_read && emulate_insn(vcpu, op, val);
	}

	trace_kvm_nested_access(pc, pv_ops[op].name, is_read, val);
	return ok;
}

static int vel2_hvc(struct kvm_vcpu *vcpu)
{
	u32 imm = kvm_vcpu_hvc_get_imm(vcpu);
	u32 op = imm >> PV_EL2_HVC_OP_SHIFT;

	if (!op) {
		/* An HVC of EL2 goes to EL2 */
		kvm_vel2_enter_sync(vcpu, kvm_vcpu_get_hsr(vcpu));
		return 1;
	}

	if (!emulate_op(vcpu, op, imm & PV_EL2_HVC_READ,
			imm & PV_EL2_HVC_RT_MASK)) {
		/* As the instruction that it stands for would be */
		*vcpu_pc(vcpu) -= 4;
		kvm_inject_undefined(vcpu);
	}

	return 1;
}

/* SMC is the conduit of PSCI for a guest that has an EL2 */
static int handle_smc(struct kvm_vcpu *vcpu)
{
	int ret;

	/* Unlike that of an HVC, the return address is the SMC itself */
	kvm_skip_instr(vcpu, kvm_vcpu_trap_il_is32bit(vcpu));

	ret = kvm_psci_call(vcpu);
	if (ret < 0) {
		*vcpu_pc(vcpu) -= 4;
		kvm_inject_undefined(vcpu);
		return 1;
	}

	return ret;
}

static bool vel2_sysreg(struct kvm_vcpu *vcpu)
{
	u32 esr = kvm_vcpu_get_hsr(vcpu);
	bool is_read = esr & ESR_ELx_SYS64_ISS_DIR_READ;
	u32 op;

	op = encoding_to_op(kvm_vcpu_sys64_get_encoding(vcpu));
	if (!op || !emulate_op(vcpu, op, is_read,
			       (esr & ESR_ELx_SYS64_ISS_RT_MASK) >>
			       ESR_ELx_SYS64_ISS_RT_SHIFT))
		return false;

	kvm_skip_instr(vcpu, true);
	return true;
}

static bool handle_vel2_exit(struct kvm_vcpu *vcpu, int *ret)
{
	switch (kvm_vcpu_trap_get_class(vcpu)) {
	case ESR_ELx_EC_HVC64:
		*ret = vel2_hvc(vcpu);
		return true;
	case ESR_ELx_EC_SMC64:
		*ret = handle_smc(vcpu);
		return true;
	case ESR_ELx_EC_SYS64:
		*ret = 1;
		return vel2_sysreg(vcpu) || kvm_nested_read_id_reg(vcpu);
	default:
		return false;
	}
}

/**
 * __kvm_nested_handle_exit - first look at an exit of a vCPU with virtual EL2
 * @vcpu:	the vcpu pointer
 * @ret:	what the exit handler returns, if this function does
 *
 * Return: false if the exit is to be handled as for any other vCPU.
 */
bool __kvm_nested_handle_exit(struct kvm_vcpu *vcpu, int *ret)
{
	if (vcpu_in_vel2(vcpu))
		return handle_vel2_exit(vcpu, ret);

	if (kvm_vcpu_trap_get_class(vcpu) == ESR_ELx_EC_HVC64 &&
	    (vel2_read(vcpu, V_HCR_EL2) & HCR_HCD)) {
		*vcpu_pc(vcpu) -= 4;
		kvm_inject_undefined(vcpu);
		*ret = 1;
		return true;
	}

	if (kvm_nested_forward_exit(vcpu)) {
		vcpu->stat.nested_forward++;
		*ret = 1;
		return true;
	}

	switch (kvm_vcpu_trap_get_class(vcpu)) {
	case ESR_ELx_EC_SMC64:
		*ret = handle_smc(vcpu);
		return true;
	case ESR_ELx_EC_SYS64:
		*ret = 1;
		return kvm_nested_read_id_reg(vcpu);
	default:
		return false;
	}
}
