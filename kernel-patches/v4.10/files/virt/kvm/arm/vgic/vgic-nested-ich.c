/*
 * The virtual CPU interface control registers (ICH_*_EL2) of a virtual EL2 and
 * its traps of CPU interface registers, GICv3.
 *
 * Writes only store: what they lead to is found out at the next entry, see
 * vgic-nested.c. Registers that tell the state are computed.
 *
 * This program is free software; you can redistribute it and/or modify
 * it under the terms of the GNU General Public License version 2 as
 * published by the Free Software Foundation.
 */

#include <linux/bitops.h>
#include <linux/irqchip/arm-gic-v3.h>
#include <linux/kvm.h>
#include <linux/kvm_host.h>

#include <asm/kvm_arm.h>
#include <asm/sysreg.h>

#include "vgic-nested.h"

#define ICH_HCR_VALID		(ICH_HCR_EN | ICH_HCR_MAINT_IE |	\
				 ICH_HCR_TC | ICH_HCR_TALL0 |		\
				 ICH_HCR_TALL1 | ICH_HCR_EOICOUNT_MASK)

#define ICH_VMCR_VALID		(ICH_VMCR_CTLR_MASK | ICH_VMCR_BPR1_MASK | \
				 ICH_VMCR_BPR0_MASK | ICH_VMCR_PMR_MASK)

#define ICH_LR_VALID		(ICH_LR_STATE | ICH_LR_HW | ICH_LR_GROUP | \
				 ICH_LR_PRIORITY_MASK |			\
				 ICH_LR_PHYS_ID_VALID | ICH_LR_VIRTUAL_ID_MASK)

#define ICC_IAR0_EL1		sys_reg(3, 0, 12, 8, 0)
#define ICC_AP0R3_EL1		sys_reg(3, 0, 12, 8, 7)
#define ICC_AP1R0_EL1		sys_reg(3, 0, 12, 9, 0)
#define ICC_AP1R3_EL1		sys_reg(3, 0, 12, 9, 3)
#define ICC_RPR_EL1		sys_reg(3, 0, 12, 11, 3)
#define ICC_ASGI1R_EL1		sys_reg(3, 0, 12, 11, 6)
#define ICC_SGI0R_EL1		sys_reg(3, 0, 12, 11, 7)
#define ICC_IGRPEN0_EL1		sys_reg(3, 0, 12, 12, 6)

static u32 vgic_nested_vtr(void)
{
	u32 vtr = kvm_vgic_global_state.ich_vtr_el2;

	/* Neither GICv4's direct injection nor locally generated SErrors */
	vtr &= ICH_VTR_PRIBITS_MASK | ICH_VTR_PREBITS_MASK |
	       ICH_VTR_IDBITS_MASK | ICH_VTR_A3V | ICH_VTR_TDS;

	return vtr | ICH_VTR_NV4 | (vgic_nested_nr_lr() - 1);
}

/* An emptied list register whose guest hypervisor wants to hear about it */
static bool ich_lr_is_eoi(u64 lr)
{
	return !(lr & (ICH_LR_STATE | ICH_LR_HW)) && (lr & ICH_LR_EOI);
}

static u32 vgic_nested_eisr(struct kvm_vcpu *vcpu)
{
	u64 *ich = vgic_nested_ich(vcpu);
	u32 eisr = 0;
	int i;

	for (i = 0; i < vgic_nested_nr_lr(); i++) {
		if (ich_lr_is_eoi(ich[V_ICH_LR0_EL2 + i]))
			eisr |= BIT(i);
	}

	return eisr;
}

static u32 vgic_nested_elrsr(struct kvm_vcpu *vcpu)
{
	u64 *ich = vgic_nested_ich(vcpu);
	u32 elrsr = 0;
	int i;

	for (i = 0; i < vgic_nested_nr_lr(); i++) {
		u64 lr = ich[V_ICH_LR0_EL2 + i];

		if (!(lr & ICH_LR_STATE) && !ich_lr_is_eoi(lr))
			elrsr |= BIT(i);
	}

	return elrsr;
}

/* Also tells whether the maintenance interrupt is asserted */
u32 vgic_nested_misr(struct kvm_vcpu *vcpu)
{
	u64 *ich = vgic_nested_ich(vcpu);
	u64 hcr = ich[V_ICH_HCR_EL2], vmcr = ich[V_ICH_VMCR_EL2];
	int i, valid = 0, pending = 0;
	u32 misr = 0;

	for (i = 0; i < vgic_nested_nr_lr(); i++) {
		u64 state = ich[V_ICH_LR0_EL2 + i] & ICH_LR_STATE;

		valid += !!state;
		pending += state == ICH_LR_PENDING_BIT;
	}

	if (vgic_nested_eisr(vcpu))
		misr |= ICH_MISR_EOI;
	if ((hcr & ICH_HCR_UIE) && valid <= 1)
		misr |= ICH_MISR_U;
	if ((hcr & ICH_HCR_LRENPIE) && (hcr & ICH_HCR_EOICOUNT_MASK))
		misr |= ICH_MISR_LRENP;
	if ((hcr & ICH_HCR_NPIE) && !pending)
		misr |= ICH_MISR_NP;
	if ((hcr & ICH_HCR_VGRP0EIE) && (vmcr & ICH_VMCR_ENG0))
		misr |= ICH_MISR_VGRP0E;
	if ((hcr & ICH_HCR_VGRP0DIE) && !(vmcr & ICH_VMCR_ENG0))
		misr |= ICH_MISR_VGRP0D;
	if ((hcr & ICH_HCR_VGRP1EIE) && (vmcr & ICH_VMCR_ENG1))
		misr |= ICH_MISR_VGRP1E;
	if ((hcr & ICH_HCR_VGRP1DIE) && !(vmcr & ICH_VMCR_ENG1))
		misr |= ICH_MISR_VGRP1D;

	return misr;
}

/**
 * kvm_nested_ich_read - read of ICH_*_EL2 or ICC_SRE_EL2 in virtual EL2
 * @vcpu:	The vCPU, which is in virtual EL2
 * @reg:	The register
 *
 * What the GIC doesn't implement reads as zero.
 */
u64 kvm_nested_ich_read(struct kvm_vcpu *vcpu, enum vel2_reg reg)
{
	switch (reg) {
	case V_ICH_VTR_EL2:
		return vgic_nested_vtr();
	case V_ICH_MISR_EL2:
		return vgic_nested_misr(vcpu);
	case V_ICH_EISR_EL2:
		return vgic_nested_eisr(vcpu);
	case V_ICH_ELRSR_EL2:
		return vgic_nested_elrsr(vcpu);
	case V_ICC_SRE_EL2:
		/* No legacy operation: all but ENABLE are RAO/WI */
		return vel2_read(vcpu, reg) | ICC_SRE_EL2_SRE |
		       ICC_SRE_EL2_DFB | ICC_SRE_EL2_DIB;
	default:
		return vel2_read(vcpu, reg);
	}
}

/**
 * kvm_nested_ich_write - write of ICH_*_EL2 or ICC_SRE_EL2 in virtual EL2
 * @vcpu:	The vCPU, which is in virtual EL2
 * @reg:	The register
 * @val:	The value
 *
 * Only stores the value: see the top.
 */
void kvm_nested_ich_write(struct kvm_vcpu *vcpu, enum vel2_reg reg, u64 val)
{
	int nr_apr = 1;

	switch (reg) {
	case V_ICH_HCR_EL2:
		val &= ICH_HCR_VALID | (vgic_nested_vtr() & ICH_VTR_TDS ?
					ICH_HCR_TDIR : 0);
		break;
	case V_ICH_VMCR_EL2:
		val &= ICH_VMCR_VALID;
		break;
	case V_ICC_SRE_EL2:
		val &= ICC_SRE_EL2_ENABLE;
		break;
	case V_ICH_LR0_EL2 ... V_ICH_LR15_EL2:
		if (reg - V_ICH_LR0_EL2 >= vgic_nested_nr_lr())
			return;
		val &= ICH_LR_VALID;
		break;
	case V_ICH_AP0R0_EL2 ... V_ICH_AP0R3_EL2:
	case V_ICH_AP1R0_EL2 ... V_ICH_AP1R3_EL2:
		/* One register for each 32 preemption levels */
		nr_apr <<= vgic_nested_prebits() - 5;
		if ((reg - V_ICH_AP0R0_EL2) % 4 >= nr_apr)
			return;
		val = lower_32_bits(val);
		break;
	default:
		/* ICH_VTR_EL2 and what tells the state are read-only */
		return;
	}

	vel2_write(vcpu, reg, val);
}

/**
 * kvm_nested_icc_traps - does virtual EL2 trap a CPU interface register?
 * @vcpu:	The vCPU, which is not in virtual EL2
 * @sysreg:	The register, as sys_reg() encodes it
 *
 * For accesses that the hardware has trapped to us.
 */
bool kvm_nested_icc_traps(struct kvm_vcpu *vcpu, u32 sysreg)
{
	u64 hcr = vel2_read(vcpu, V_HCR_EL2);
	u64 ich_hcr = vel2_read(vcpu, V_ICH_HCR_EL2);

	switch (sysreg) {
	case ICC_SRE_EL1:
		return !(vel2_read(vcpu, V_ICC_SRE_EL2) & ICC_SRE_EL2_ENABLE);
	case ICC_SGI1R_EL1:
	case ICC_ASGI1R_EL1:
	case ICC_SGI0R_EL1:
		return (hcr & (HCR_IMO | HCR_FMO)) || (ich_hcr & ICH_HCR_TC);
	case ICC_CTLR_EL1:
	case ICC_PMR_EL1:
	case ICC_RPR_EL1:
		return ich_hcr & ICH_HCR_TC;
	case ICC_DIR_EL1:
		return ich_hcr & (ICH_HCR_TC | ICH_HCR_TDIR);
	case ICC_IAR0_EL1 ... ICC_AP0R3_EL1:
	case ICC_IGRPEN0_EL1:
		return ich_hcr & ICH_HCR_TALL0;
	case ICC_IAR1_EL1 ... ICC_BPR1_EL1:
	case ICC_AP1R0_EL1 ... ICC_AP1R3_EL1:
	case ICC_GRPEN1_EL1:
		return ich_hcr & ICH_HCR_TALL1;
	}

	return false;
}
