/*
 * Virtual CPU interfaces below a virtual EL2, GICv2: what differs from GICv3.
 *
 * There are no ICH_*_EL2: virtual EL2 has a frame of memory-mapped registers
 * (GICH, see vgic-nested-gich.c), and its guests access their CPU interface in
 * another one (GICV). The latter is the hardware's. As there is only one, it
 * serves whoever runs: it presents the guest's interrupts while the shadow of
 * virtual EL2's list registers is loaded, and the vCPU's own otherwise.
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

#include <asm/kvm_arm.h>
#include <asm/kvm_mmu.h>

#include <kvm/arm_vgic.h>

#include "vgic.h"
#include "vgic-nested.h"

/* Where the frames are if user space doesn't say it: as in QEMU's "virt" */
#define GICH_DEFAULT_OFFSET	0x20000		/* from GICC */
#define GICV_DEFAULT_OFFSET	0x30000

#define GICH_LR_HWID		(GICH_LR_HW | GICH_LR_PHYSID_CPUID)

/* Priorities have the upper five of eight bits */
static unsigned int vgic_v2_priority(u32 five_bits)
{
	return five_bits << 3;
}

static unsigned int vgic_v2_pmr(u32 vmcr)
{
	return vgic_v2_priority((vmcr & GICH_VMCR_PRIMASK_MASK) >>
				GICH_VMCR_PRIMASK_SHIFT);
}

/* What the CPU interface of the vCPU itself lets through: Group 0 */
void vgic_nested_v2_get_filter(struct kvm_vcpu *vcpu,
			       struct vgic_nested_filter *filter)
{
	struct vgic_v2_cpu_if *cpu_if = &vcpu->arch.vgic_cpu.vgic_v2;
	u32 vmcr = cpu_if->vgic_vmcr;
	u32 bpr = (vmcr & GICH_VMCR_BINPOINT_MASK) >> GICH_VMCR_BINPOINT_SHIFT;

	filter->enabled = vmcr & GICH_VMCR_ENG0;
	filter->pmr = vgic_v2_pmr(vmcr);
	filter->running = cpu_if->vgic_apr ?
			  vgic_v2_priority(__ffs(cpu_if->vgic_apr)) : 0x100;
	filter->group_mask = 0xff << (bpr + 1);
}

bool vgic_nested_v2_pending(struct kvm_vcpu *vcpu)
{
	struct vgic_nested_gich *gich = &vcpu->arch.vgic_cpu.gich;
	u32 vmcr = READ_ONCE(gich->vmcr);
	int i;

	if (!(READ_ONCE(gich->hcr) & GICH_HCR_EN))
		return false;

	for (i = 0; i < vgic_nested_nr_lr(); i++) {
		u32 lr = READ_ONCE(gich->lr[i]);
		u32 enabled = vmcr & (lr & GICH_LR_GROUP1 ? GICH_VMCR_ENG1 :
							    GICH_VMCR_ENG0);
		u32 priority = (lr & GICH_LR_PRIORITY) >>
			       GICH_LR_PRIORITY_SHIFT;

		if ((lr & GICH_LR_STATE) == GICH_LR_PENDING_BIT && enabled &&
		    vgic_v2_priority(priority) < vgic_v2_pmr(vmcr))
			return true;
	}

	return false;
}

static u32 vgic_nested_v2_pintid(u32 lr)
{
	return (lr & GICH_LR_PHYSID_CPUID) >> GICH_LR_PHYSID_CPUID_SHIFT;
}

/* What is in place of the physical INTID: see vgic_nested_shadow_pirq() */
static u32 vgic_nested_v2_shadow_pirq(struct kvm_vcpu *vcpu, u32 lr)
{
	u32 hwintid;

	if (!(lr & GICH_LR_HW)) {
		if (vgic_irq_is_sgi(lr & GICH_LR_VIRTUALID))
			return lr & (GICH_LR_EOI | GICH_LR_CPUID);
		return lr & GICH_LR_EOI;
	}

	if (!vgic_nested_get_hwintid(vcpu, vgic_nested_v2_pintid(lr),
				     &hwintid))
		return GICH_LR_EOI;

	return GICH_LR_HW | hwintid << GICH_LR_PHYSID_CPUID_SHIFT;
}

/* As vgic_nested_shadow_lr(): 0 if the hardware mustn't see the contents */
static u32 vgic_nested_v2_shadow_lr(struct kvm_vcpu *vcpu, int n)
{
	struct vgic_v2_cpu_if *cpu_if = &vcpu->arch.vgic_cpu.nested_v2;
	struct vgic_nested_gich *gich = &vcpu->arch.vgic_cpu.gich;
	u32 lr = gich->lr[n];
	u32 vintid = lr & GICH_LR_VIRTUALID;
	u32 val;
	int i;

	if (!(lr & GICH_LR_STATE) || vintid > VGIC_MAX_SPI)
		return 0;

	/* Group 0 is signalled as virtual FIQ, and virtual FIQs are off */
	if (!(lr & GICH_LR_GROUP1) && (gich->vmcr & GICH_VMCR_FIQEN) &&
	    !(vel2_read(vcpu, V_HCR_EL2) & HCR_FMO))
		return 0;

	val = lr & (GICH_LR_STATE | GICH_LR_GROUP1 | GICH_LR_PRIORITY);
	val |= vintid | vgic_nested_v2_shadow_pirq(vcpu, lr);

	/* "Active and pending" is for software interrupts only */
	if ((lr & GICH_LR_HW) && (lr & GICH_LR_STATE) == GICH_LR_STATE)
		val &= ~GICH_LR_PENDING_BIT;

	/*
	 * Neither may two list registers hold the same interrupt; one that is
	 * sent by software is another one from each CPU.
	 */
	for (i = 0; i < n; i++) {
		u32 other = cpu_if->vgic_lr[i], same = GICH_LR_VIRTUALID;

		if (!other)
			continue;
		if (vgic_irq_is_sgi(vintid) && !((other | val) & GICH_LR_HW))
			same |= GICH_LR_CPUID;
		if (!((other ^ val) & same))
			return 0;
		if ((val & GICH_LR_HW) &&
		    (other & GICH_LR_HWID) == (val & GICH_LR_HWID))
			return 0;
	}

	return val;
}

/* The maintenance interrupt and TGE: see vgic_nested_load() */
void vgic_nested_v2_load(struct kvm_vcpu *vcpu)
{
	struct vgic_cpu *vgic_cpu = &vcpu->arch.vgic_cpu;
	struct vgic_v2_cpu_if *cpu_if = &vgic_cpu->nested_v2;
	struct vgic_nested_gich *gich = &vgic_cpu->gich;
	int i;

	cpu_if->vgic_hcr = gich->hcr;
	if (vgic_cpu->nested_maint_level)
		cpu_if->vgic_hcr &= ~GICH_HCR_MAINT_IE;
	if (vel2_read(vcpu, V_HCR_EL2) & HCR_TGE)
		cpu_if->vgic_hcr &= ~GICH_HCR_EN;

	cpu_if->vgic_vmcr = gich->vmcr;
	cpu_if->vgic_apr = gich->apr;

	vgic_cpu->nested_lrs = 0;
	for (i = 0; i < vgic_nested_nr_lr(); i++) {
		cpu_if->vgic_lr[i] = vgic_nested_v2_shadow_lr(vcpu, i);
		if (cpu_if->vgic_lr[i])
			vgic_cpu->nested_lrs |= BIT(i);
		else if (gich->lr[i] & GICH_LR_STATE)
			cpu_if->vgic_hcr &= ~(GICH_HCR_UIE | GICH_HCR_NPIE);
	}

	vgic_cpu->nested_loaded = true;
}

void vgic_nested_v2_unload(struct kvm_vcpu *vcpu)
{
	struct vgic_cpu *vgic_cpu = &vcpu->arch.vgic_cpu;
	struct vgic_v2_cpu_if *cpu_if = &vgic_cpu->nested_v2;
	struct vgic_nested_gich *gich = &vgic_cpu->gich;
	int i;

	vgic_cpu->nested_loaded = false;

	gich->hcr &= ~GICH_HCR_EOICOUNT;
	gich->hcr |= cpu_if->vgic_hcr & GICH_HCR_EOICOUNT;
	gich->vmcr = cpu_if->vgic_vmcr;
	gich->apr = cpu_if->vgic_apr;

	for_each_set_bit(i, &vgic_cpu->nested_lrs, VGIC_V2_MAX_LRS) {
		u32 state = cpu_if->vgic_lr[i] & GICH_LR_STATE;
		u32 lr = gich->lr[i] & ~GICH_LR_STATE;

		gich->lr[i] = lr | state;
		if ((lr & GICH_LR_HW) && !state)
			vgic_nested_deactivate(vcpu, vgic_nested_v2_pintid(lr));
	}
}

/* The frames of the VM's GIC, without and with virtual EL2's */
struct vgic_v2_frame {
	gpa_t base;
	gpa_t size;
};

static bool vgic_nested_v2_has_el2(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	int i;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		if (vcpu_has_el2(vcpu))
			return true;
	}

	return false;
}

/**
 * vgic_nested_v2_check_base - find a place for GICH and GICV
 * @kvm:	The VM, whose other frames have their addresses
 *
 * Returns 0, or an error code if the frames overlap or don't fit.
 */
int vgic_nested_v2_check_base(struct kvm *kvm)
{
	struct vgic_dist *dist = &kvm->arch.vgic;
	struct vgic_v2_frame frames[] = {
		{ dist->vgic_dist_base, KVM_VGIC_V2_DIST_SIZE },
		{ dist->vgic_cpu_base, KVM_VGIC_V2_CPU_SIZE },
		{ dist->gich_base, SZ_4K },
		{ dist->gicv_base, KVM_VGIC_V2_CPU_SIZE },
	};
	int i, j;

	if (!vgic_nested_v2_has_el2(kvm))
		return 0;

	if (IS_VGIC_ADDR_UNDEF(frames[2].base))
		frames[2].base = dist->vgic_cpu_base + GICH_DEFAULT_OFFSET;
	if (IS_VGIC_ADDR_UNDEF(frames[3].base))
		frames[3].base = dist->vgic_cpu_base + GICV_DEFAULT_OFFSET;

	for (i = 2; i < ARRAY_SIZE(frames); i++) {
		if (frames[i].base + frames[i].size > KVM_PHYS_SIZE)
			return -E2BIG;

		for (j = 0; j < i; j++) {
			if (frames[i].base < frames[j].base + frames[j].size &&
			    frames[j].base < frames[i].base + frames[i].size)
				return -EINVAL;
		}
	}

	dist->gich_base = frames[2].base;
	dist->gicv_base = frames[3].base;

	return 0;
}

/**
 * vgic_nested_v2_map_resources - let the VM have GICH and GICV
 * @kvm:	The VM, as vgic_nested_v2_check_base() has left it
 */
int vgic_nested_v2_map_resources(struct kvm *kvm)
{
	int ret;

	if (!vgic_nested_v2_has_el2(kvm))
		return 0;

	ret = vgic_nested_register_gich(kvm);
	if (ret)
		return ret;

	return kvm_phys_addr_ioremap(kvm, kvm->arch.vgic.gicv_base,
				     kvm_vgic_global_state.vcpu_base,
				     KVM_VGIC_V2_CPU_SIZE, true);
}
