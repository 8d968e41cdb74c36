/*
 * The virtual interface control registers (GICH) of a virtual EL2, GICv2.
 *
 * They are memory-mapped, so that it takes nothing of the guest hypervisor to
 * have its accesses trapped: there is no memory at the address of the frame,
 * which is banked by vCPU. As with the GICv3's ICH_*_EL2, writes only store;
 * what they lead to is found out at the next entry, see vgic-nested.c.
 * Registers that tell the state are computed.
 *
 * This program is free software; you can redistribute it and/or modify
 * it under the terms of the GNU General Public License version 2 as
 * published by the Free Software Foundation.
 */

#include <linux/bitops.h>
#include <linux/irqchip/arm-gic.h>
#include <linux/kvm.h>
#include <linux/kvm_host.h>
#include <linux/sizes.h>

#include <kvm/arm_vgic.h>
#include <kvm/iodev.h>

#include <asm/kvm_emulate.h>

#include "vgic.h"
#include "vgic-mmio.h"
#include "vgic-nested.h"

#define GICH_HCR_VALID		(GICH_HCR_EN | GICH_HCR_MAINT_IE |	\
				 GICH_HCR_EOICOUNT)

#define GICH_VMCR_VALID		(GICH_VMCR_CTRL_MASK |			\
				 GICH_VMCR_PRIMASK_MASK |		\
				 GICH_VMCR_BINPOINT_MASK |		\
				 GICH_VMCR_ALIAS_BINPOINT_MASK)

#define GICH_LR_VALID		(GICH_LR_HW | GICH_LR_GROUP1 |		\
				 GICH_LR_STATE | GICH_LR_PRIORITY |	\
				 GICH_LR_PHYSID_CPUID | GICH_LR_VIRTUALID)

/* The architecture has five bits of priority, all of them for preemption */
#define GICH_VTR_5BITS		((5 - 1) << 29 | (5 - 1) << 26)

static u32 vgic_nested_gich_vtr(void)
{
	return GICH_VTR_5BITS | (vgic_nested_nr_lr() - 1);
}

/* An emptied list register whose guest hypervisor wants to hear about it */
static bool gich_lr_is_eoi(u32 lr)
{
	return !(lr & (GICH_LR_STATE | GICH_LR_HW)) && (lr & GICH_LR_EOI);
}

static u64 vgic_nested_gich_eisr(struct vgic_nested_gich *gich)
{
	u64 eisr = 0;
	int i;

	for (i = 0; i < vgic_nested_nr_lr(); i++) {
		if (gich_lr_is_eoi(gich->lr[i]))
			eisr |= BIT_ULL(i);
	}

	return eisr;
}

static u64 vgic_nested_gich_elrsr(struct vgic_nested_gich *gich)
{
	u64 elrsr = 0;
	int i;

	for (i = 0; i < vgic_nested_nr_lr(); i++) {
		u32 lr = gich->lr[i];

		if (!(lr & GICH_LR_STATE) && !gich_lr_is_eoi(lr))
			elrsr |= BIT_ULL(i);
	}

	return elrsr;
}

/* Also tells whether the maintenance interrupt is asserted */
u32 vgic_nested_gich_misr(struct kvm_vcpu *vcpu)
{
	struct vgic_nested_gich *gich = &vcpu->arch.vgic_cpu.gich;
	u32 hcr = gich->hcr, vmcr = gich->vmcr;
	int i, valid = 0, pending = 0;
	u32 misr = 0;

	for (i = 0; i < vgic_nested_nr_lr(); i++) {
		u32 state = gich->lr[i] & GICH_LR_STATE;

		valid += !!state;
		pending += state == GICH_LR_PENDING_BIT;
	}

	if (vgic_nested_gich_eisr(gich))
		misr |= GICH_MISR_EOI;
	if ((hcr & GICH_HCR_UIE) && valid <= 1)
		misr |= GICH_MISR_U;
	if ((hcr & GICH_HCR_LRENPIE) && (hcr & GICH_HCR_EOICOUNT))
		misr |= GICH_MISR_LRENP;
	if ((hcr & GICH_HCR_NPIE) && !pending)
		misr |= GICH_MISR_NP;
	if ((hcr & GICH_HCR_VGRP0EIE) && (vmcr & GICH_VMCR_ENG0))
		misr |= GICH_MISR_VGRP0E;
	if ((hcr & GICH_HCR_VGRP0DIE) && !(vmcr & GICH_VMCR_ENG0))
		misr |= GICH_MISR_VGRP0D;
	if ((hcr & GICH_HCR_VGRP1EIE) && (vmcr & GICH_VMCR_ENG1))
		misr |= GICH_MISR_VGRP1E;
	if ((hcr & GICH_HCR_VGRP1DIE) && !(vmcr & GICH_VMCR_ENG1))
		misr |= GICH_MISR_VGRP1D;

	return misr;
}

/* The list register at an offset into the frame, NULL if there is none */
static u32 *vgic_nested_gich_lr(struct vgic_nested_gich *gich, u32 offset)
{
	u32 n = (offset - GICH_LR0) / sizeof(u32);

	if (offset < GICH_LR0 || n >= vgic_nested_nr_lr())
		return NULL;

	return &gich->lr[n];
}

static unsigned long vgic_nested_gich_read(struct kvm_vcpu *vcpu, gpa_t addr,
					   unsigned int len)
{
	struct vgic_nested_gich *gich = &vcpu->arch.vgic_cpu.gich;
	u32 offset = addr & (SZ_4K - 1);
	u32 *lr;

	switch (offset) {
	case GICH_HCR:
		return gich->hcr;
	case GICH_VTR:
		return vgic_nested_gich_vtr();
	case GICH_VMCR:
		return gich->vmcr;
	case GICH_MISR:
		return vgic_nested_gich_misr(vcpu);
	case GICH_EISR0:
		return lower_32_bits(vgic_nested_gich_eisr(gich));
	case GICH_EISR1:
		return upper_32_bits(vgic_nested_gich_eisr(gich));
	case GICH_ELRSR0:
		return lower_32_bits(vgic_nested_gich_elrsr(gich));
	case GICH_ELRSR1:
		return upper_32_bits(vgic_nested_gich_elrsr(gich));
	case GICH_APR:
		return gich->apr;
	default:
		lr = vgic_nested_gich_lr(gich, offset);
		return lr ? *lr : 0;
	}
}

static void vgic_nested_gich_write(struct kvm_vcpu *vcpu, gpa_t addr,
				   unsigned int len, unsigned long val)
{
	struct vgic_nested_gich *gich = &vcpu->arch.vgic_cpu.gich;
	u32 offset = addr & (SZ_4K - 1);
	u32 *lr;

	switch (offset) {
	case GICH_HCR:
		gich->hcr = val & GICH_HCR_VALID;
		break;
	case GICH_VMCR:
		gich->vmcr = val & GICH_VMCR_VALID;
		break;
	case GICH_APR:
		gich->apr = val;
		break;
	default:
		lr = vgic_nested_gich_lr(gich, offset);
		if (lr)
			*lr = val & GICH_LR_VALID;
	}
}

static const struct vgic_register_region vgic_nested_gich_regions[] = {
	REGISTER_DESC_WITH_LENGTH(0, vgic_nested_gich_read,
				  vgic_nested_gich_write, SZ_4K,
				  VGIC_ACCESS_32bit),
};

int vgic_nested_register_gich(struct kvm *kvm)
{
	struct vgic_io_device *iodev = &kvm->arch.vgic.gich_iodev;
	int ret;

	iodev->regions = vgic_nested_gich_regions;
	iodev->nr_regions = ARRAY_SIZE(vgic_nested_gich_regions);
	iodev->base_addr = kvm->arch.vgic.gich_base;
	iodev->iodev_type = IODEV_CPUIF;
	kvm_iodevice_init(&iodev->dev, &kvm_io_gic_ops);

	mutex_lock(&kvm->slots_lock);
	ret = kvm_io_bus_register_dev(kvm, KVM_MMIO_BUS, iodev->base_addr,
				      SZ_4K, &iodev->dev);
	mutex_unlock(&kvm->slots_lock);

	return ret;
}

/**
 * kvm_vgic_nested_gich_offset - which register of GICH has been accessed?
 * @vcpu:	The vCPU, which has exited for a data abort
 * @offset:	Set to the offset of the register
 *
 * Returns false if the abort is not an access of virtual EL2 to GICH.
 */
bool kvm_vgic_nested_gich_offset(struct kvm_vcpu *vcpu, u32 *offset)
{
	phys_addr_t ipa = kvm_vcpu_get_fault_ipa(vcpu);

	if (!vcpu_in_vel2(vcpu) ||
	    vcpu->kvm->arch.vgic.vgic_model != KVM_DEV_TYPE_ARM_VGIC_V2 ||
	    ipa != vcpu->kvm->arch.vgic.gich_base)
		return false;

	*offset = kvm_vcpu_get_hfar(vcpu) & (SZ_4K - 1);
	return true;
}

/* Reset of the vCPU */
void kvm_vgic_nested_reset(struct kvm_vcpu *vcpu)
{
	memset(&vcpu->arch.vgic_cpu.gich, 0,
	       sizeof(vcpu->arch.vgic_cpu.gich));
}
