/*
 * NEVE: virtual EL2 accesses registers without a trap.
 *
 * The accesses that don't trap are of two kinds. Some are made to the register
 * of hardware EL1 which is in use as that of virtual EL2 anyway: all it takes
 * is not to trap them. The others are made to registers that don't matter as
 * long as the CPU is in virtual EL2, and they are loads and stores in a page
 * of the guest's memory, laid out as that of FEAT_NV2.
 *
 * The guest hypervisor may write to its page whenever it wants, from any CPU,
 * while what we use must have been checked. So we have a page of our own, as
 * without NEVE. When virtual EL2 hands over to the levels below, and for what
 * else we need to know them, the registers are latched: each is read once from
 * the guest's page and goes the way of a write that has trapped. When virtual
 * EL2 is entered they are published.
 *
 * This program is free software; you can redistribute it and/or modify
 * it under the terms of the GNU General Public License version 2 as
 * published by the Free Software Foundation.
 */

#include <linux/kvm_host.h>
#include <linux/mm.h>

#include <asm/kvm_emulate.h>
#include <asm/kvm_nested.h>
#include <asm/kvm_pv_el2_ops.h>

#define VNCR_VALID	(VNCR_EL2_BADDR | VNCR_EL2_TWINS | VNCR_EL2_MEMORY)

/* What virtual EL2 has made of its registers takes effect */
void __kvm_neve_latch(struct kvm_vcpu *vcpu)
{
	struct arch_timer_cpu *timer = &vcpu->arch.timer_cpu;
	const u64 *shared = vcpu->arch.nested->shared;

	kvm_nested_latch_regs(vcpu);

	/* One for all levels in hardware; nothing in them needs a check */
	vcpu_sys_reg(vcpu, MDSCR_EL1) = READ_ONCE(shared[V_MDSCR_EL1]);
	timer->cntv_ctl = READ_ONCE(shared[V_CNTV_CTL_EL0]);
	timer->cntv_cval = READ_ONCE(shared[V_CNTV_CVAL_EL0]);
}

static void publish_range(struct kvm_nested_vcpu *nested, enum vel2_reg first,
			  enum vel2_reg last)
{
	memcpy(&nested->shared[first], &nested->page[first],
	       (last - first + 1) * sizeof(u64));
}

/* Virtual EL2 is to find what the levels below it have made of its registers */
void __kvm_neve_publish(struct kvm_vcpu *vcpu)
{
	struct kvm_nested_vcpu *nested = vcpu->arch.nested;
	struct arch_timer_cpu *timer = &vcpu->arch.timer_cpu;
	u64 *page = nested->page, *shared = nested->shared;

	page[V_ACTLR_EL1] = vcpu_sys_reg(vcpu, ACTLR_EL1);
	page[V_MDSCR_EL1] = vcpu_sys_reg(vcpu, MDSCR_EL1);
	page[V_CNTV_CTL_EL0] = timer->cntv_ctl;
	page[V_CNTV_CVAL_EL0] = timer->cntv_cval;

	if (nested->publish_all) {
		publish_range(nested, 0, VEL2_PAGE_REGS - 1);
		kvm_nested_publish_cached_regs(vcpu);
		nested->publish_all = false;
		return;
	}

	publish_range(nested, V_CPACR_EL1, V_VBAR_EL1);
	publish_range(nested, V_ICH_LR0_EL2, V_ICH_VMCR_EL2);
	shared[V_HCR_EL2] = page[V_HCR_EL2];
	shared[V_HPFAR_EL2] = page[V_HPFAR_EL2];
	shared[V_ICH_MISR_EL2] = kvm_nested_ich_read(vcpu, V_ICH_MISR_EL2);
	shared[V_ICH_EISR_EL2] = kvm_nested_ich_read(vcpu, V_ICH_EISR_EL2);
	shared[V_ICH_ELRSR_EL2] = kvm_nested_ich_read(vcpu, V_ICH_ELRSR_EL2);
}

static void set_vncr(struct kvm_vcpu *vcpu, u64 vncr)
{
	vel2_write(vcpu, V_VNCR_EL2, vncr);
	vcpu->arch.nested->neve = vncr & (VNCR_EL2_TWINS | VNCR_EL2_MEMORY);
}

static void map_page(struct kvm_vcpu *vcpu)
{
	struct kvm_nested_vcpu *nested = vcpu->arch.nested;
	u64 vncr = vel2_read(vcpu, V_VNCR_EL2);
	phys_addr_t gpa = vncr & VNCR_EL2_BADDR;
	unsigned long hva;
	struct page *page;
	int idx;

	idx = srcu_read_lock(&vcpu->kvm->srcu);
	hva = gfn_to_hva(vcpu->kvm, gpa >> PAGE_SHIFT);
	srcu_read_unlock(&vcpu->kvm->srcu, idx);

	if (kvm_is_error_hva(hva) ||
	    get_user_pages_fast(hva, 1, 1, &page) != 1) {
		/* Not writable memory: virtual EL2 can see that we have not */
		set_vncr(vcpu, vncr & VNCR_EL2_TWINS);
		return;
	}

	nested->shared = page_address(page) + offset_in_page(gpa);
}

void kvm_neve_unmap_page(struct kvm_vcpu *vcpu)
{
	struct kvm_nested_vcpu *nested = vcpu->arch.nested;
	struct page *page;

	if (!nested->shared)
		return;

	page = virt_to_page(nested->shared);
	nested->shared = NULL;
	set_page_dirty_lock(page);
	put_page(page);
}

/*
 * Let the guest's page be that of VNCR_EL2. Only the thread that runs the vCPU
 * does so: others may reset the vCPU, while an interrupt takes it to virtual
 * EL2 and registers are published.
 *
 * The page can stay where it is until VNCR_EL2 changes, whatever user space
 * does to its mapping: then it is no longer the page that the guest sees, but
 * it is still one that we may write to. What we write is not in the dirty log.
 * A VM that is restored elsewhere gets a page that is filled anew.
 */
void __kvm_neve_prepare(struct kvm_vcpu *vcpu)
{
	struct kvm_nested_vcpu *nested = vcpu->arch.nested;

	if (!vcpu_uses_neve_memory(vcpu))
		kvm_neve_unmap_page(vcpu);
	else if (!nested->shared)
		map_page(vcpu);

	if (!vcpu_neve_page(vcpu))
		nested->publish_all = false;
	else if (nested->in_vel2)
		__kvm_neve_publish(vcpu);
}

/**
 * kvm_neve_write_vncr - write of VNCR_EL2 by virtual EL2
 * @vcpu:	The vCPU
 * @reg:	V_VNCR_EL2
 * @val:	The value
 *
 * The page is mapped, and filled, before virtual EL2 continues.
 */
void kvm_neve_write_vncr(struct kvm_vcpu *vcpu, enum vel2_reg reg, u64 val)
{
	/* How it is stored depends on VNCR_EL2.TWINS */
	u64 spsr = vel2_read(vcpu, V_SPSR_EL2);

	kvm_neve_latch(vcpu);
	kvm_neve_unmap_page(vcpu);
	vcpu->arch.nested->publish_all = true;
	set_vncr(vcpu, val & VNCR_VALID);
	vel2_write(vcpu, V_SPSR_EL2, spsr);
}
