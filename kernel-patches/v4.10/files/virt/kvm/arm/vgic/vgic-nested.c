/*
 * Virtual CPU interfaces below a virtual EL2, GICv3.
 *
 * The hardware has one virtual CPU interface. While the vCPU is in virtual
 * EL2, or in a virtual EL1 whose interrupts virtual EL2 has left alone, it
 * presents the vCPU's own interrupts, as for any other vCPU. When virtual EL2
 * has claimed the physical interrupts (HCR_EL2.IMO), the level below works on
 * the virtual CPU interface that virtual EL2 has set up in its ICH_*_EL2: then
 * the hardware gets a shadow of that one, and an interrupt for the vCPU itself
 * becomes an exception to virtual EL2.
 *
 * ICH_*_EL2 are kept in the deferred-access page and are looked at before each
 * entry only. What follows from them at once on hardware - ICH_MISR_EL2 and
 * its like, the maintenance interrupt - is computed and not stored, so that it
 * doesn't matter whether the guest hypervisor's accesses trap.
 *
 * This program is free software; you can redistribute it and/or modify
 * it under the terms of the GNU General Public License version 2 as
 * published by the Free Software Foundation.
 */

#include <linux/bitops.h>
#include <linux/irqchip/arm-gic-v3.h>
#include <linux/kvm.h>
#include <linux/kvm_host.h>
#include <linux/uaccess.h>

#include <asm/kvm_arm.h>

#include <kvm/arm_vgic.h>

#include "vgic.h"
#include "vgic-nested.h"

static bool vgic_nested_supported(struct kvm_vcpu *vcpu)
{
	return vcpu_has_el2(vcpu) &&
	       kvm_vgic_global_state.type == VGIC_V3 &&
	       vcpu->kvm->arch.vgic.vgic_model == KVM_DEV_TYPE_ARM_VGIC_V3;
}

/*
 * Do the vCPU's own interrupts go to virtual EL2 from the current virtual
 * level? We have no Group 0 interrupts, so HCR_EL2.FMO doesn't count.
 */
static bool vgic_nested_routed(struct kvm_vcpu *vcpu)
{
	/* Asked several times per exit, most of which are virtual EL2's */
	return vcpu_has_el2(vcpu) && !vcpu->arch.nested->in_vel2 &&
	       vgic_nested_supported(vcpu) &&
	       vel2_read(vcpu, V_HCR_EL2) & (HCR_IMO | HCR_TGE);
}

/*
 * Interrupts of the vCPU itself, for virtual EL2
 */

/* The running priority of the vCPU's CPU interface: idle is beyond any */
static unsigned int vgic_nested_running_priority(struct vgic_v3_cpu_if *cpu_if)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(cpu_if->vgic_ap1r); i++) {
		if (cpu_if->vgic_ap1r[i])
			return (32 * i + __ffs(cpu_if->vgic_ap1r[i])) <<
			       (8 - vgic_nested_prebits());
	}

	return 0x100;
}

/* Bits of a Group 1 priority which count for preemption */
static u8 vgic_nested_group_mask(u32 vmcr)
{
	unsigned int bpr = (vmcr & ICH_VMCR_BPR1_MASK) >> ICH_VMCR_BPR1_SHIFT;

	if (vmcr & ICH_VMCR_CBPR)
		bpr = ((vmcr & ICH_VMCR_BPR0_MASK) >> ICH_VMCR_BPR0_SHIFT) + 1;

	return 0xff << bpr;
}

/* What the vCPU's CPU interface lets through */
static void vgic_nested_get_filter(struct kvm_vcpu *vcpu,
				   struct vgic_nested_filter *filter)
{
	struct vgic_v3_cpu_if *cpu_if = &vcpu->arch.vgic_cpu.vgic_v3;
	u32 vmcr = cpu_if->vgic_vmcr;

	filter->enabled = vmcr & ICH_VMCR_ENG1;
	filter->pmr = (vmcr & ICH_VMCR_PMR_MASK) >> ICH_VMCR_PMR_SHIFT;
	filter->running = vgic_nested_running_priority(cpu_if);
	filter->group_mask = vgic_nested_group_mask(vmcr);
}

/*
 * Would the vCPU's CPU interface signal an interrupt now? In contrast to
 * kvm_vgic_vcpu_pending_irq(), this must not say so for one that virtual EL2
 * couldn't acknowledge: virtual EL2 would be entered again and again.
 */
static bool vgic_nested_irq_signalled(struct kvm_vcpu *vcpu)
{
	struct vgic_cpu *vgic_cpu = &vcpu->arch.vgic_cpu;
	struct vgic_nested_filter filter;
	struct vgic_irq *irq;
	bool signalled = false;

	vgic_nested_get_filter(vcpu, &filter);
	if (!vcpu->kvm->arch.vgic.enabled || !filter.enabled)
		return false;

	spin_lock(&vgic_cpu->ap_list_lock);

	list_for_each_entry(irq, &vgic_cpu->ap_list_head, ap_list) {
		spin_lock(&irq->irq_lock);
		signalled = irq->pending && irq->enabled && !irq->active &&
			    irq->target_vcpu == vcpu &&
			    irq->priority < filter.pmr &&
			    (irq->priority & filter.group_mask) <
			    filter.running;
		spin_unlock(&irq->irq_lock);

		if (signalled)
			break;
	}

	spin_unlock(&vgic_cpu->ap_list_lock);

	return signalled;
}

/**
 * kvm_vgic_nested_pending_vel2 - must the vCPU go to virtual EL2 for an
 *				  interrupt instead of where it is now?
 * @vcpu:	The vCPU
 */
bool kvm_vgic_nested_pending_vel2(struct kvm_vcpu *vcpu)
{
	return vgic_nested_routed(vcpu) && vgic_nested_irq_signalled(vcpu);
}

/**
 * __vgic_nested_pending - does virtual EL2's guest have an interrupt?
 * @vcpu:	The vCPU
 *
 * For a guest of virtual EL2 which waits for one in our WFI emulation.
 */
bool __vgic_nested_pending(struct kvm_vcpu *vcpu)
{
	u64 *ich, vmcr;
	int i;

	if (!vgic_nested_routed(vcpu))
		return false;

	ich = vgic_nested_ich(vcpu);
	vmcr = ich[V_ICH_VMCR_EL2];
	if (!(ich[V_ICH_HCR_EL2] & ICH_HCR_EN))
		return false;

	for (i = 0; i < vgic_nested_nr_lr(); i++) {
		u64 lr = ich[V_ICH_LR0_EL2 + i];
		u64 enabled = vmcr & (lr & ICH_LR_GROUP ? ICH_VMCR_ENG1 :
							  ICH_VMCR_ENG0);

		if ((lr & ICH_LR_STATE) == ICH_LR_PENDING_BIT && enabled &&
		    (lr & ICH_LR_PRIORITY_MASK) >> ICH_LR_PRIORITY_SHIFT <
		    (vmcr & ICH_VMCR_PMR_MASK) >> ICH_VMCR_PMR_SHIFT)
			return true;
	}

	return false;
}

/* The maintenance interrupt is a PPI of the vCPU; its level follows ICH_* */
static void vgic_nested_update_maint(struct kvm_vcpu *vcpu)
{
	struct vgic_cpu *vgic_cpu = &vcpu->arch.vgic_cpu;
	bool level = false;

	if (vgic_nested_ich(vcpu)[V_ICH_HCR_EL2] & ICH_HCR_EN)
		level = vgic_nested_misr(vcpu);

	if (level == vgic_cpu->nested_maint_level)
		return;

	vgic_cpu->nested_maint_level = level;
	kvm_vgic_inject_irq(vcpu->kvm, vcpu->vcpu_id,
			    vcpu->kvm->arch.vgic.maint_intid, level);
}

/*
 * Shadow of the virtual CPU interface
 */

/* The interrupt of the vCPU which a list register with HW=1 deactivates */
static struct vgic_irq *vgic_nested_get_pirq(struct kvm_vcpu *vcpu, u32 pintid)
{
	/* SGIs can't be deactivated this way */
	if (pintid < VGIC_NR_SGIS)
		return NULL;
	if (pintid > VGIC_MAX_PRIVATE && !vgic_valid_spi(vcpu->kvm, pintid))
		return NULL;

	return vgic_get_irq(vcpu->kvm, vcpu, pintid);
}

/*
 * L2 has deactivated an interrupt in a list register with HW=1, so the vCPU's
 * interrupt behind it is no longer active. If that one has an interrupt of the
 * hardware behind it, the hardware has done the same to it.
 */
void vgic_nested_deactivate(struct kvm_vcpu *vcpu, u32 pintid)
{
	struct vgic_irq *irq = vgic_nested_get_pirq(vcpu, pintid);

	if (!irq)
		return;

	spin_lock(&irq->irq_lock);
	irq->active = false;
	vgic_queue_irq_unlock(vcpu->kvm, irq);

	if (vgic_valid_spi(vcpu->kvm, irq->intid))
		kvm_notify_acked_irq(vcpu->kvm, 0,
				     irq->intid - VGIC_NR_PRIVATE_IRQS);

	vgic_put_irq(vcpu->kvm, irq);
}

/* Is this interrupt of the vCPU one of the hardware, and if so, which? */
bool vgic_nested_get_hwintid(struct kvm_vcpu *vcpu, u32 pintid, u32 *hwintid)
{
	struct vgic_irq *irq = vgic_nested_get_pirq(vcpu, pintid);
	bool hw;

	if (!irq)
		return false;

	spin_lock(&irq->irq_lock);
	hw = irq->hw;
	*hwintid = irq->hwintid;
	spin_unlock(&irq->irq_lock);

	vgic_put_irq(vcpu->kvm, irq);

	return hw;
}

static u32 vgic_nested_lr_pintid(u64 lr)
{
	return (lr & ICH_LR_PHYS_ID_VALID) >> ICH_LR_PHYS_ID_SHIFT;
}

/*
 * The HW, pINTID and EOI fields of a shadow list register. Only interrupts of
 * the hardware which we have given to this very vCPU get through. For others
 * that the guest hypervisor names we are the GIC, and must see the EOI.
 */
static u64 vgic_nested_shadow_pirq(struct kvm_vcpu *vcpu, u64 lr)
{
	u32 hwintid;

	if (!(lr & ICH_LR_HW))
		return lr & ICH_LR_EOI;

	if (!vgic_nested_get_hwintid(vcpu, vgic_nested_lr_pintid(lr),
				     &hwintid))
		return ICH_LR_EOI;

	return ICH_LR_HW | (u64)hwintid << ICH_LR_PHYS_ID_SHIFT;
}

/* Is a virtual INTID one that a list register may hold? */
static bool vgic_nested_valid_vintid(u32 intid)
{
	return intid <= VGIC_MAX_SPI || intid >= VGIC_MIN_LPI;
}

/*
 * Make a shadow of list register @n. Returns 0 for one that is empty, or whose
 * contents the architecture calls UNPREDICTABLE: the hardware shan't see it.
 */
static u64 vgic_nested_shadow_lr(struct kvm_vcpu *vcpu, int n)
{
	struct vgic_v3_cpu_if *cpu_if = &vcpu->arch.vgic_cpu.nested_v3;
	u64 lr = READ_ONCE(vgic_nested_ich(vcpu)[V_ICH_LR0_EL2 + n]);
	u32 vtr = kvm_vgic_global_state.ich_vtr_el2;
	u32 vintid = lr & (vtr & ICH_VTR_IDBITS_MASK ? GENMASK(23, 0) :
						       GENMASK(15, 0));
	u64 val, hw;
	int i;

	if (!(lr & ICH_LR_STATE) || !vgic_nested_valid_vintid(vintid))
		return 0;

	/* Virtual FIQs are off */
	if (!(lr & ICH_LR_GROUP) && !(vel2_read(vcpu, V_HCR_EL2) & HCR_FMO))
		return 0;

	val = lr & (ICH_LR_STATE | ICH_LR_GROUP | ICH_LR_PRIORITY_MASK);
	val |= vintid | vgic_nested_shadow_pirq(vcpu, lr);

	/* "Active and pending" is for software interrupts only */
	if ((lr & ICH_LR_HW) && (lr & ICH_LR_STATE) == ICH_LR_STATE)
		val &= ~ICH_LR_PENDING_BIT;

	/* Neither may two list registers hold the same interrupt */
	hw = ICH_LR_HW | ICH_LR_PHYS_ID_MASK;
	for (i = 0; i < n; i++) {
		u64 other = cpu_if->vgic_lr[i];

		if (!other)
			continue;
		if ((u32)other == vintid)
			return 0;
		if ((val & ICH_LR_HW) && (other & hw) == (val & hw))
			return 0;
	}

	return val;
}

static void vgic_nested_load(struct kvm_vcpu *vcpu)
{
	struct vgic_cpu *vgic_cpu = &vcpu->arch.vgic_cpu;
	struct vgic_v3_cpu_if *cpu_if = &vgic_cpu->nested_v3;
	u64 *ich = vgic_nested_ich(vcpu);
	int i;

	cpu_if->vgic_hcr = ich[V_ICH_HCR_EL2];
	/*
	 * Once the vCPU's maintenance interrupt is asserted there is nothing
	 * more to wait for; if virtual EL2 doesn't take it, L2 must be able
	 * to run nevertheless.
	 */
	if (vgic_cpu->nested_maint_level)
		cpu_if->vgic_hcr &= ~ICH_HCR_MAINT_IE;
	/* No virtual interrupts for a host application (virtual EL0) */
	if (vel2_read(vcpu, V_HCR_EL2) & HCR_TGE)
		cpu_if->vgic_hcr &= ~ICH_HCR_EN;

	cpu_if->vgic_vmcr = ich[V_ICH_VMCR_EL2];
	cpu_if->vgic_sre = ICC_SRE_EL1_SRE;

	for (i = 0; i < ARRAY_SIZE(cpu_if->vgic_ap0r); i++) {
		cpu_if->vgic_ap0r[i] = ich[V_ICH_AP0R0_EL2 + i];
		cpu_if->vgic_ap1r[i] = ich[V_ICH_AP1R0_EL2 + i];
	}

	vgic_cpu->nested_lrs = 0;
	for (i = 0; i < vgic_nested_nr_lr(); i++) {
		cpu_if->vgic_lr[i] = vgic_nested_shadow_lr(vcpu, i);
		if (cpu_if->vgic_lr[i])
			vgic_cpu->nested_lrs |= BIT(i);
		/* Hardware has fewer of them than virtual EL2 */
		else if (ich[V_ICH_LR0_EL2 + i] & ICH_LR_STATE)
			cpu_if->vgic_hcr &= ~(ICH_HCR_UIE | ICH_HCR_NPIE);
	}

	vgic_cpu->nested_loaded = true;
}

static void vgic_nested_unload(struct kvm_vcpu *vcpu)
{
	struct vgic_cpu *vgic_cpu = &vcpu->arch.vgic_cpu;
	struct vgic_v3_cpu_if *cpu_if = &vgic_cpu->nested_v3;
	u64 *ich = vgic_nested_ich(vcpu);
	int i;

	vgic_cpu->nested_loaded = false;

	ich[V_ICH_HCR_EL2] &= ~(u64)ICH_HCR_EOICOUNT_MASK;
	ich[V_ICH_HCR_EL2] |= cpu_if->vgic_hcr & ICH_HCR_EOICOUNT_MASK;
	ich[V_ICH_VMCR_EL2] = cpu_if->vgic_vmcr;

	for (i = 0; i < ARRAY_SIZE(cpu_if->vgic_ap0r); i++) {
		ich[V_ICH_AP0R0_EL2 + i] = cpu_if->vgic_ap0r[i];
		ich[V_ICH_AP1R0_EL2 + i] = cpu_if->vgic_ap1r[i];
	}

	for_each_set_bit(i, &vgic_cpu->nested_lrs, VGIC_V3_MAX_LRS) {
		u64 state = cpu_if->vgic_lr[i] & ICH_LR_STATE;
		u64 lr = READ_ONCE(ich[V_ICH_LR0_EL2 + i]) & ~ICH_LR_STATE;

		ich[V_ICH_LR0_EL2 + i] = lr | state;
		if ((lr & ICH_LR_HW) && !state)
			vgic_nested_deactivate(vcpu, vgic_nested_lr_pintid(lr));
	}
}

/**
 * __vgic_nested_flush - choose the virtual CPU interface for the next entry
 * @vcpu:	The vCPU
 *
 * May take an interrupt to virtual EL2. Returns true if the hardware gets the
 * interface that virtual EL2 has set up, false if it gets the vCPU's own.
 */
bool __vgic_nested_flush(struct kvm_vcpu *vcpu)
{
	struct vgic_v3_cpu_if *cpu_if = &vcpu->arch.vgic_cpu.vgic_v3;

	if (likely(!vgic_nested_supported(vcpu)))
		return false;

	vgic_nested_update_maint(vcpu);

	if (kvm_vgic_nested_pending_vel2(vcpu))
		kvm_vel2_enter_irq(vcpu);

	if (vgic_nested_routed(vcpu)) {
		vgic_nested_load(vcpu);
		return true;
	}

	/*
	 * Interrupts that are routed to EL1 aren't taken at EL2, whatever
	 * PSTATE.I says. Hardware EL1 would take them.
	 */
	if (vcpu_in_vel2(vcpu) && !(vel2_read(vcpu, V_HCR_EL2) & HCR_IMO))
		cpu_if->vgic_hcr &= ~ICH_HCR_EN;
	else
		cpu_if->vgic_hcr |= ICH_HCR_EN;

	return false;
}

/**
 * __vgic_nested_sync - take virtual EL2's CPU interface back from the hardware
 * @vcpu:	The vCPU
 *
 * Returns false if the hardware had the vCPU's own instead.
 */
bool __vgic_nested_sync(struct kvm_vcpu *vcpu)
{
	if (likely(!vcpu->arch.vgic_cpu.nested_loaded))
		return false;

	vgic_nested_unload(vcpu);
	vgic_nested_update_maint(vcpu);

	return true;
}

/*
 * User space names the maintenance interrupt's PPI, as it describes it to the
 * guest: the same one for all vCPUs.
 */

int vgic_nested_set_maint_irq(struct kvm *kvm, struct kvm_device_attr *attr)
{
	u32 __user *uaddr = (u32 __user *)(long)attr->addr;
	int ret = 0;
	u32 intid;

	if (get_user(intid, uaddr))
		return -EFAULT;

	if (intid < VGIC_NR_SGIS || intid > VGIC_MAX_PRIVATE)
		return -EINVAL;

	mutex_lock(&kvm->lock);

	if (kvm->arch.vgic.vgic_model != KVM_DEV_TYPE_ARM_VGIC_V3)
		ret = -ENXIO;
	else if (vgic_initialized(kvm))
		ret = -EBUSY;
	else
		kvm->arch.vgic.maint_intid = intid;

	mutex_unlock(&kvm->lock);

	return ret;
}

int vgic_nested_get_maint_irq(struct kvm *kvm, struct kvm_device_attr *attr)
{
	u32 __user *uaddr = (u32 __user *)(long)attr->addr;

	if (kvm->arch.vgic.vgic_model != KVM_DEV_TYPE_ARM_VGIC_V3)
		return -ENXIO;

	return put_user(kvm->arch.vgic.maint_intid, uaddr);
}
