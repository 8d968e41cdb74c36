/*
 * Which traps are set while a vCPU with a virtual EL2 runs, and which exits of
 * the levels below virtual EL2 it has asked for.
 *
 * This program is free software; you can redistribute it and/or modify
 * it under the terms of the GNU General Public License version 2 as
 * published by the Free Software Foundation.
 */

#include <linux/kvm_host.h>

#include <clocksource/arm_arch_timer.h>

#include <asm/cputype.h>
#include <asm/kvm_emulate.h>
#include <asm/kvm_nested.h>
#include <asm/sysreg.h>

/*
 * Bits of virtual HCR_EL2 that act on the levels below: traps, which we hand
 * on when they are taken, and properties of the translation regime.
 */
#define HCR_LOWER_LEVELS						\
	(HCR_TRVM | HCR_TDZ | HCR_TVM | HCR_TTLB | HCR_TPU | HCR_TPC |	\
	 HCR_TSW | HCR_TAC | HCR_TIDCP | HCR_TSC | HCR_TID3 | HCR_TID2 | \
	 HCR_TID1 | HCR_TID0 | HCR_TWE | HCR_TWI | HCR_DC | HCR_PTW |	\
	 HCR_CD | HCR_ID)

#define MDCR_LOWER_LEVELS						\
	(MDCR_EL2_TDRA | MDCR_EL2_TDOSA | MDCR_EL2_TDA | MDCR_EL2_TDE |	\
	 MDCR_EL2_TPM | MDCR_EL2_TPMCR)

/*
 * The PMU that kvm.cycle_counter gives away is the innermost guest's: what of
 * it virtual EL2 and its host kernel access traps, as it does in any VM.
 */
#define MDCR_OF_HYPERVISOR	(MDCR_EL2_TPM | MDCR_EL2_TPMCR)

/* T4 and T14 are RES0 */
#define HSTR_LOWER_LEVELS	0xbfef

static u64 lower_level_hcr(struct kvm_vcpu *vcpu)
{
	u64 vhcr = vel2_read(vcpu, V_HCR_EL2);
	u64 hcr = vhcr & HCR_LOWER_LEVELS;

	/* There are virtual interrupts where EL2 takes the physical ones */
	if (vhcr & HCR_AMO)
		hcr |= vhcr & HCR_VSE;
	if (vhcr & HCR_IMO)
		hcr |= vhcr & HCR_VI;
	if (vhcr & HCR_FMO)
		hcr |= vhcr & HCR_VF;

	return hcr;
}

static u32 lower_level_mdcr(struct kvm_vcpu *vcpu)
{
	u32 mdcr = vel2_read(vcpu, V_MDCR_EL2) & MDCR_LOWER_LEVELS;

	/* Without a stage 2 of its own, EL1 is virtual EL2's host kernel */
	if (!(vel2_read(vcpu, V_HCR_EL2) & HCR_VM))
		mdcr |= MDCR_OF_HYPERVISOR;

	return mdcr;
}

/* What the hardware traps while the virtual level that is about to run does */
static void setup_traps(struct kvm_vcpu *vcpu)
{
	if (vcpu_in_vel2(vcpu)) {
		/*
		 * What ARMv8.0 can trap of the accesses of virtual EL2 to the
		 * registers and the TLB of virtual EL1.
		 */
		vcpu->arch.nested_hcr = HCR_TVM | HCR_TRVM | HCR_TTLB |
					HCR_TID3;
		vcpu->arch.nested_cptr = CPTR_EL2_TCPAC;
		vcpu->arch.nested_hstr = 0;
		vcpu->arch.nested_mdcr = MDCR_OF_HYPERVISOR;
		vcpu->arch.nested_vmpidr = vcpu_sys_reg(vcpu, MPIDR_EL1);
		vcpu->arch.nested_vpidr = read_cpuid_id();
		return;
	}

	vcpu->arch.nested_hcr = lower_level_hcr(vcpu) | HCR_TID3;
	vcpu->arch.nested_cptr = vel2_read(vcpu, V_CPTR_EL2) &
				 (CPTR_EL2_TCPAC | CPTR_EL2_TTA | CPTR_EL2_TFP);
	vcpu->arch.nested_hstr = vel2_read(vcpu, V_HSTR_EL2) &
				 HSTR_LOWER_LEVELS;
	vcpu->arch.nested_vmpidr = vel2_read(vcpu, V_VMPIDR_EL2);
	vcpu->arch.nested_vpidr = vel2_read(vcpu, V_VPIDR_EL2);
	vcpu->arch.nested_mdcr = lower_level_mdcr(vcpu);
}

/**
 * __kvm_nested_load - prepare the entry into the current virtual level
 * @vcpu:	the vcpu pointer
 *
 * Called with interrupts disabled, after anything that may change the virtual
 * exception level.
 *
 * Return: false if the run loop has to begin again: a timer has expired, or the
 * vCPU is to change the level, or has done so and has no stage 2 for it yet.
 */
bool __kvm_nested_load(struct kvm_vcpu *vcpu)
{
	setup_traps(vcpu);
	return true;
}

/* The guest may have taken a virtual SError of virtual EL2's making */
void __kvm_nested_sync_traps(struct kvm_vcpu *vcpu)
{
	u64 vhcr;

	if (vcpu_in_vel2(vcpu))
		return;

	vhcr = vel2_read(vcpu, V_HCR_EL2);
	if ((vhcr & HCR_AMO) && !(vcpu->arch.nested_hcr & HCR_VSE))
		vel2_write(vcpu, V_HCR_EL2, vhcr & ~HCR_VSE);
}

/*
 * An access to a system register whose encoding matches goes to virtual EL2
 * if one of the bits of its control register is set, or, where @clear says
 * so, is clear; and if none of the bits is one that we set ourselves. The rest
 * of KVM does not know the exits that only such bits have.
 */
struct trap_rule {
	u32		encoding;
	u32		mask;
	enum vel2_reg	control;
	u64		read;		/* bits that trap a read ... */
	u64		write;		/* ... and a write */
	bool		clear;
};

#define ONE_REG		sys_reg(3, 7, 15, 15, 7)
#define ANY_OP2		sys_reg(3, 7, 15, 15, 0)
#define ANY_CRM_OP2	sys_reg(3, 7, 15, 0, 0)
#define ANY_OP1_CRM_OP2	sys_reg(3, 0, 15, 0, 0)

#define TRAP(enc, msk, ctl, b)						\
	{ .encoding = (enc), .mask = (msk), .control = (ctl),		\
	  .read = (b), .write = (b) }
#define VM_REG(enc)							\
	{ .encoding = (enc), .mask = ONE_REG, .control = V_HCR_EL2,	\
	  .read = HCR_TRVM, .write = HCR_TVM }
#define ENABLE(enc, msk, ctl, b)					\
	{ .encoding = (enc), .mask = (msk), .control = (ctl),		\
	  .read = (b), .write = (b), .clear = true }

static const struct trap_rule trap_rules[] = {
	VM_REG(sys_reg(3, 0, 1, 0, 0)),		/* SCTLR_EL1 */
	VM_REG(sys_reg(3, 0, 2, 0, 0)),		/* TTBR0_EL1 */
	VM_REG(sys_reg(3, 0, 2, 0, 1)),		/* TTBR1_EL1 */
	VM_REG(sys_reg(3, 0, 2, 0, 2)),		/* TCR_EL1 */
	VM_REG(sys_reg(3, 0, 5, 1, 0)),		/* AFSR0_EL1 */
	VM_REG(sys_reg(3, 0, 5, 1, 1)),		/* AFSR1_EL1 */
	VM_REG(sys_reg(3, 0, 5, 2, 0)),		/* ESR_EL1 */
	VM_REG(sys_reg(3, 0, 6, 0, 0)),		/* FAR_EL1 */
	VM_REG(sys_reg(3, 0, 10, 2, 0)),	/* MAIR_EL1 */
	VM_REG(sys_reg(3, 0, 10, 3, 0)),	/* AMAIR_EL1 */
	VM_REG(sys_reg(3, 0, 13, 0, 1)),	/* CONTEXTIDR_EL1 */

	/* TLB and cache maintenance */
	TRAP(sys_reg(1, 0, 8, 0, 0), ANY_CRM_OP2, V_HCR_EL2, HCR_TTLB),
	TRAP(sys_reg(1, 0, 7, 6, 2), ONE_REG, V_HCR_EL2, HCR_TSW),
	TRAP(sys_reg(1, 0, 7, 10, 2), ONE_REG, V_HCR_EL2, HCR_TSW),
	TRAP(sys_reg(1, 0, 7, 14, 2), ONE_REG, V_HCR_EL2, HCR_TSW),
	TRAP(sys_reg(1, 0, 7, 6, 1), ONE_REG, V_HCR_EL2, HCR_TPC),
	TRAP(sys_reg(1, 3, 7, 10, 1), ONE_REG, V_HCR_EL2, HCR_TPC),
	TRAP(sys_reg(1, 3, 7, 12, 1), ONE_REG, V_HCR_EL2, HCR_TPC),
	TRAP(sys_reg(1, 3, 7, 14, 1), ONE_REG, V_HCR_EL2, HCR_TPC),
	TRAP(sys_reg(1, 0, 7, 1, 0), ONE_REG, V_HCR_EL2, HCR_TPU),
	TRAP(sys_reg(1, 0, 7, 5, 0), ONE_REG, V_HCR_EL2, HCR_TPU),
	TRAP(sys_reg(1, 3, 7, 5, 1), ONE_REG, V_HCR_EL2, HCR_TPU),
	TRAP(sys_reg(1, 3, 7, 11, 1), ONE_REG, V_HCR_EL2, HCR_TPU),
	TRAP(sys_reg(1, 3, 7, 4, 1), ONE_REG, V_HCR_EL2, HCR_TDZ),

	/* Identification; JIDR is AArch32's */
	TRAP(sys_reg(2, 7, 0, 0, 0), ONE_REG, V_HCR_EL2, HCR_TID0),
	TRAP(sys_reg(3, 0, 0, 0, 6), ONE_REG, V_HCR_EL2, HCR_TID1),
	TRAP(sys_reg(3, 1, 0, 0, 7), ONE_REG, V_HCR_EL2, HCR_TID1),
	TRAP(sys_reg(3, 3, 0, 0, 1), ONE_REG, V_HCR_EL2, HCR_TID2),
	TRAP(sys_reg(3, 1, 0, 0, 0), ONE_REG, V_HCR_EL2, HCR_TID2),
	TRAP(sys_reg(3, 1, 0, 0, 1), ONE_REG, V_HCR_EL2, HCR_TID2),
	TRAP(sys_reg(3, 1, 0, 0, 2), ONE_REG, V_HCR_EL2, HCR_TID2),
	TRAP(sys_reg(3, 2, 0, 0, 0), ONE_REG, V_HCR_EL2, HCR_TID2),
	TRAP(sys_reg(3, 0, 0, 0, 0), ANY_CRM_OP2, V_HCR_EL2, HCR_TID3),

	/* Control and IMPLEMENTATION DEFINED registers */
	TRAP(sys_reg(3, 0, 1, 0, 1), ONE_REG, V_HCR_EL2, HCR_TAC),
	TRAP(sys_reg(1, 0, 11, 0, 0), ANY_OP1_CRM_OP2, V_HCR_EL2, HCR_TIDCP),
	TRAP(sys_reg(1, 0, 15, 0, 0), ANY_OP1_CRM_OP2, V_HCR_EL2, HCR_TIDCP),
	TRAP(sys_reg(3, 0, 11, 0, 0), ANY_OP1_CRM_OP2, V_HCR_EL2, HCR_TIDCP),
	TRAP(sys_reg(3, 0, 15, 0, 0), ANY_OP1_CRM_OP2, V_HCR_EL2, HCR_TIDCP),
	TRAP(sys_reg(3, 0, 1, 0, 2), ONE_REG, V_CPTR_EL2, CPTR_EL2_TCPAC),
	TRAP(sys_reg(2, 1, 0, 0, 0), sys_reg(3, 7, 0, 0, 0), V_CPTR_EL2,
	     CPTR_EL2_TTA),

	/* Debug: what TDA traps is the rest of Op0 = 2; DBGDSAR is AArch32's */
	TRAP(sys_reg(2, 0, 1, 0, 0), ONE_REG, V_MDCR_EL2,
	     MDCR_EL2_TDRA | MDCR_EL2_TDE),
	TRAP(sys_reg(2, 0, 2, 0, 0), ONE_REG, V_MDCR_EL2,
	     MDCR_EL2_TDRA | MDCR_EL2_TDE),
	TRAP(sys_reg(2, 0, 1, 0, 4), ONE_REG, V_MDCR_EL2,
	     MDCR_EL2_TDOSA | MDCR_EL2_TDE),
	TRAP(sys_reg(2, 0, 1, 1, 4), ONE_REG, V_MDCR_EL2,
	     MDCR_EL2_TDOSA | MDCR_EL2_TDE),
	TRAP(sys_reg(2, 0, 1, 3, 4), ONE_REG, V_MDCR_EL2,
	     MDCR_EL2_TDOSA | MDCR_EL2_TDE),
	TRAP(sys_reg(2, 0, 1, 4, 4), ONE_REG, V_MDCR_EL2,
	     MDCR_EL2_TDOSA | MDCR_EL2_TDE),
	TRAP(sys_reg(2, 0, 0, 0, 0), ANY_CRM_OP2, V_MDCR_EL2,
	     MDCR_EL2_TDA | MDCR_EL2_TDE),
	TRAP(sys_reg(2, 0, 7, 0, 0), ANY_CRM_OP2, V_MDCR_EL2,
	     MDCR_EL2_TDA | MDCR_EL2_TDE),
	TRAP(sys_reg(2, 3, 0, 0, 0), ANY_CRM_OP2, V_MDCR_EL2,
	     MDCR_EL2_TDA | MDCR_EL2_TDE),

	/* Performance monitors */
	TRAP(sys_reg(3, 3, 9, 12, 0), ONE_REG, V_MDCR_EL2,
	     MDCR_EL2_TPM | MDCR_EL2_TPMCR),
	TRAP(sys_reg(3, 0, 9, 14, 0), ANY_OP2, V_MDCR_EL2, MDCR_EL2_TPM),
	TRAP(sys_reg(3, 3, 9, 12, 0), ANY_OP2, V_MDCR_EL2, MDCR_EL2_TPM),
	TRAP(sys_reg(3, 3, 9, 13, 0), ANY_OP2, V_MDCR_EL2, MDCR_EL2_TPM),
	TRAP(sys_reg(3, 3, 9, 14, 0), ANY_OP2, V_MDCR_EL2, MDCR_EL2_TPM),
	TRAP(sys_reg(3, 3, 14, 8, 0), sys_reg(3, 7, 15, 8, 0), V_MDCR_EL2,
	     MDCR_EL2_TPM),

	/* Physical counter and timer */
	ENABLE(sys_reg(3, 3, 14, 0, 1), ONE_REG, V_CNTHCTL_EL2,
	       CNTHCTL_EL1PCTEN),
	ENABLE(sys_reg(3, 3, 14, 2, 0), ANY_OP2, V_CNTHCTL_EL2,
	       CNTHCTL_EL1PCEN),
};

/* The traps that are set whatever virtual EL2 asks for */
static u64 own_traps(enum vel2_reg control)
{
	switch (control) {
	case V_HCR_EL2:
		return HCR_GUEST_FLAGS | HCR_TID3;
	case V_CPTR_EL2:
		return CPTR_EL2_TTA | CPTR_EL2_TFP;
	default:
		return ~0ULL;
	}
}

static bool vel2_traps_sysreg(struct kvm_vcpu *vcpu, u32 encoding, bool is_read)
{
	const struct trap_rule *rule;
	u64 bits, traps;
	int i;

	for (i = 0; i < ARRAY_SIZE(trap_rules); i++) {
		rule = &trap_rules[i];

		if ((encoding & rule->mask) != rule->encoding)
			continue;

		bits = vel2_read(vcpu, rule->control);
		if (rule->clear)
			bits = ~bits;
		traps = is_read ? rule->read : rule->write;
		if ((bits & traps) || !(own_traps(rule->control) & traps))
			return true;
	}

	return kvm_nested_icc_traps(vcpu, encoding);
}

/*
 * Coprocessor accesses are those of AArch32 EL0: EL1 is never AArch32. What
 * EL0 can access at all has an AArch64 register with the same traps, which
 * 32-bit accesses name by the same numbers.
 */
static u32 coproc_encoding(u32 esr)
{
	u32 op1 = (esr >> 14) & 7, crn = (esr >> 10) & 0xf;
	u32 crm = (esr >> 1) & 0xf, op2 = (esr >> 17) & 7;
	u32 op1_64 = (esr >> 16) & 0xf;

	switch (ESR_ELx_EC(esr)) {
	case ESR_ELx_EC_CP14_MR:
		return sys_reg(2, op1, crn, crm, op2);
	case ESR_ELx_EC_CP14_LS:
		return sys_reg(2, 0, 0, 5, 0);		/* DBGDTR[RT]Xint */
	case ESR_ELx_EC_CP14_64:
		return sys_reg(2, op1_64 & 7, crm, 0, 0); /* DBGDRAR, DBGDSAR */
	case ESR_ELx_EC_CP15_32:
		return sys_reg(3, 3, crn, crm, op2);
	default:
		if (crm == 9)
			return sys_reg(3, 3, 9, 13, 0);	/* PMCCNTR */
		if (op1_64 == 2)
			return sys_reg(3, 3, 14, 2, 2);	/* CNTP_CVAL */
		return sys_reg(3, 3, 14, 0, 1);		/* CNTPCT */
	}
}

/* CP15 registers that HCR_EL2.TIDCP traps: which CRm of this CRn */
static u32 impdef_crms(int crn)
{
	switch (crn) {
	case 9:
		return 0x01e7;
	case 10:
		return 0x0113;
	case 11:
		return 0x81ff;
	default:
		return 0;
	}
}

static bool vel2_traps_cp15(struct kvm_vcpu *vcpu, u32 esr)
{
	bool is_64bit = ESR_ELx_EC(esr) == ESR_ELx_EC_CP15_64;
	int crm = (esr >> 1) & 0xf;
	int crn = is_64bit ? crm : (esr >> 10) & 0xf;

	if (vel2_read(vcpu, V_HSTR_EL2) & HSTR_LOWER_LEVELS & BIT(crn))
		return true;

	if (!is_64bit && (impdef_crms(crn) & BIT(crm)))
		return vel2_read(vcpu, V_HCR_EL2) & HCR_TIDCP;

	switch (crn) {
	case 9:
	case 14:
		return vel2_traps_sysreg(vcpu, coproc_encoding(esr),
					 esr & ESR_ELx_SYS64_ISS_DIR_READ);
	case 15:
		return false;
	default:
		/* We trap no other */
		return true;
	}
}

static bool vel2_takes_exit(struct kvm_vcpu *vcpu)
{
	u32 esr = kvm_vcpu_get_hsr(vcpu);
	u64 hcr = vel2_read(vcpu, V_HCR_EL2);
	bool is_read = esr & ESR_ELx_SYS64_ISS_DIR_READ;

	switch (ESR_ELx_EC(esr)) {
	case ESR_ELx_EC_WFx:
		return hcr & ((esr & ESR_ELx_WFx_ISS_WFE) ? HCR_TWE : HCR_TWI);
	case ESR_ELx_EC_CP15_32:
	case ESR_ELx_EC_CP15_64:
		return vel2_traps_cp15(vcpu, esr);
	case ESR_ELx_EC_CP14_MR:
	case ESR_ELx_EC_CP14_LS:
	case ESR_ELx_EC_CP14_64:
		return vel2_traps_sysreg(vcpu, coproc_encoding(esr), is_read);
	case ESR_ELx_EC_FP_ASIMD:
		return vel2_read(vcpu, V_CPTR_EL2) & CPTR_EL2_TFP;
	case ESR_ELx_EC_SMC64:
		return hcr & HCR_TSC;
	case ESR_ELx_EC_SYS64:
		return vel2_traps_sysreg(vcpu,
					 kvm_vcpu_sys64_get_encoding(vcpu),
					 is_read);
	case ESR_ELx_EC_IABT_LOW:
	case ESR_ELx_EC_DABT_LOW:
		return false;
	case ESR_ELx_EC_SOFTSTP_LOW:
	case ESR_ELx_EC_WATCHPT_LOW:
	case ESR_ELx_EC_BREAKPT_LOW:
	case ESR_ELx_EC_BKPT32:
	case ESR_ELx_EC_BRK64:
		/* The host's debugger comes first */
		return !vcpu->guest_debug;
	case ESR_ELx_EC_HVC64:
		return true;
	default:
		/* Of a feature that the vCPU does not have: undefined */
		return false;
	}
}

/**
 * kvm_nested_forward_exit - hand an exit of a lower level to virtual EL2
 * @vcpu:	the vcpu pointer, which is not in virtual EL2
 *
 * Return: true if virtual EL2 has asked for the exit and takes it now.
 */
bool kvm_nested_forward_exit(struct kvm_vcpu *vcpu)
{
	u32 esr = kvm_vcpu_get_hsr(vcpu);

	if (!vel2_takes_exit(vcpu))
		return false;

	if (ESR_ELx_EC(esr) == ESR_ELx_EC_WATCHPT_LOW)
		vel2_write(vcpu, V_FAR_EL2, vcpu->arch.fault.far_el2);

	kvm_vel2_enter_sync(vcpu, esr);
	return true;
}
