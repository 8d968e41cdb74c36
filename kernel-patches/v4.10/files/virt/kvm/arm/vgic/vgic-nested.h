/*
 * The virtual CPU interface of a virtual EL2, GICv3: what its files share.
 *
 * This program is free software; you can redistribute it and/or modify
 * it under the terms of the GNU General Public License version 2 as
 * published by the Free Software Foundation.
 */

#ifndef __KVM_ARM_VGIC_NESTED_H__
#define __KVM_ARM_VGIC_NESTED_H__

#include <linux/irqchip/arm-gic-v3.h>
#include <linux/kvm_host.h>

#include <kvm/arm_vgic.h>

#define ICH_HCR_MAINT_IE	(ICH_HCR_UIE | ICH_HCR_LRENPIE |	\
				 ICH_HCR_NPIE | ICH_HCR_VGRP0EIE |	\
				 ICH_HCR_VGRP0DIE | ICH_HCR_VGRP1EIE |	\
				 ICH_HCR_VGRP1DIE)

/* pINTID has 13 bits, but INTIDs that we can deactivate have 10 */
#define ICH_LR_PHYS_ID_VALID	(0x1fffULL << ICH_LR_PHYS_ID_SHIFT)

/* The ICH_*_EL2 of virtual EL2, to be indexed by enum vel2_reg */
static inline u64 *vgic_nested_ich(struct kvm_vcpu *vcpu)
{
	return vcpu->arch.nested->page;
}

/* A shadow has as many list registers as the hardware */
static inline int vgic_nested_nr_lr(void)
{
	return kvm_vgic_global_state.nr_lr;
}

/* log2 of the number of preemption levels */
static inline unsigned int vgic_nested_prebits(void)
{
	return ((kvm_vgic_global_state.ich_vtr_el2 & ICH_VTR_PREBITS_MASK) >>
		ICH_VTR_PREBITS_SHIFT) + 1;
}

/* What a CPU interface lets through to the vCPU; priorities have 8 bits */
struct vgic_nested_filter {
	bool enabled;
	unsigned int pmr;
	unsigned int running;		/* beyond any priority if idle */
	u8 group_mask;			/* bits that count for preemption */
};

void vgic_nested_deactivate(struct kvm_vcpu *vcpu, u32 pintid);
bool vgic_nested_get_hwintid(struct kvm_vcpu *vcpu, u32 pintid, u32 *hwintid);

u32 vgic_nested_misr(struct kvm_vcpu *vcpu);

#endif /* __KVM_ARM_VGIC_NESTED_H__ */
