/*
 * Timers of a vCPU with EL2: the EL1 physical timer, which a kernel booted at
 * EL2 uses for itself, and the EL2 timer. Neither has hardware behind it: the
 * host needs the former, and the latter is out of reach from hardware EL1. An
 * hrtimer tells when they fire, so unlike the virtual timer's it also runs
 * while the vCPU does.
 *
 * The VM's physical counter has the offset that the VM's virtual counter has
 * without EL2: the difference of the two is CNTVOFF_EL2 of virtual EL2, as on
 * hardware. ARMv8.0 can't offset the physical counter, so it has to trap.
 *
 * This program is free software; you can redistribute it and/or modify
 * it under the terms of the GNU General Public License version 2 as
 * published by the Free Software Foundation.
 */

#include <linux/hrtimer.h>
#include <linux/kvm_host.h>

#include <clocksource/arm_arch_timer.h>
#include <asm/arch_timer.h>

#include <kvm/arm_arch_timer.h>
#include <kvm/arm_vgic.h>

#define CNTHCTL_EL2_VALID	0xff	/* without E2H */

static const struct {
	enum vel2_reg ctl, cval;
	u32 irq;
} emul_timers[ARCH_TIMER_NR_EMUL] = {
	[ARCH_TIMER_EMUL_PHYS] = { V_CNTP_CTL_EL0, V_CNTP_CVAL_EL0, 30 },
	[ARCH_TIMER_EMUL_HYP] = { V_CNTHP_CTL_EL2, V_CNTHP_CVAL_EL2, 26 },
};

/**
 * kvm_nested_cntpct - the physical counter of a vCPU with EL2
 * @vcpu:	The vCPU
 */
u64 kvm_nested_cntpct(struct kvm_vcpu *vcpu)
{
	return kvm_phys_timer_read() - vcpu->kvm->arch.timer.cntvoff;
}

/* Counter cycles until the timer's condition is met */
static u64 emul_timer_remaining(struct arch_timer_emul *emul)
{
	u64 cval = vel2_read(emul->vcpu, emul->cval);
	u64 now = kvm_nested_cntpct(emul->vcpu);

	return now < cval ? cval - now : 0;
}

static bool emul_timer_should_fire(struct arch_timer_emul *emul)
{
	return emul->can_fire && !emul_timer_remaining(emul);
}

/*
 * How long to sleep; 0 if the time has come. Stop at 32 bits of cycles: the
 * guest may ask for more than the conversion can do, and we look again then.
 */
static u64 emul_timer_delta(struct arch_timer_emul *emul)
{
	u64 cycles = emul_timer_remaining(emul);

	return cycles ? kvm_timer_cyc2ns(min_t(u64, cycles, U32_MAX)) + 1 : 0;
}

static enum hrtimer_restart emul_timer_expire(struct hrtimer *hrt)
{
	struct arch_timer_emul *emul;
	u64 ns;

	emul = container_of(hrt, struct arch_timer_emul, timer);

	ns = emul_timer_delta(emul);
	if (ns) {
		hrtimer_forward_now(hrt, ns_to_ktime(ns));
		return HRTIMER_RESTART;
	}

	/* The level of the interrupt changes on the way back to the guest */
	WRITE_ONCE(emul->vcpu->arch.timer_cpu.nested_expired, true);
	kvm_vcpu_kick(emul->vcpu);
	return HRTIMER_NORESTART;
}

/* To be called after each change of the timer's registers */
static void emul_timer_program(struct arch_timer_emul *emul)
{
	u32 ctl = vel2_read(emul->vcpu, emul->ctl);
	u64 ns;

	hrtimer_cancel(&emul->timer);

	emul->can_fire = (ctl & ARCH_TIMER_CTRL_ENABLE) &&
			 !(ctl & ARCH_TIMER_CTRL_IT_MASK);
	if (!emul->can_fire)
		return;

	ns = emul_timer_delta(emul);
	if (ns)
		hrtimer_start(&emul->timer, ns_to_ktime(ns), HRTIMER_MODE_REL);
}

static void emul_timer_update_irq(struct arch_timer_emul *emul)
{
	struct kvm_vcpu *vcpu = emul->vcpu;
	bool level = emul_timer_should_fire(emul);

	if (level == emul->irq.level)
		return;

	emul->irq.level = level;
	kvm_vgic_inject_irq(vcpu->kvm, vcpu->vcpu_id, emul->irq.irq, level);
}

static void kvm_timer_nested_update_irqs(struct kvm_vcpu *vcpu)
{
	struct arch_timer_cpu *timer = &vcpu->arch.timer_cpu;
	int i;

	if (!vgic_initialized(vcpu->kvm) || !timer->enabled)
		return;

	for (i = 0; i < ARCH_TIMER_NR_EMUL; i++)
		emul_timer_update_irq(&timer->emul[i]);
}

static struct arch_timer_emul *kvm_timer_nested_emul(struct kvm_vcpu *vcpu,
						     enum vel2_reg reg)
{
	struct arch_timer_emul *emul = vcpu->arch.timer_cpu.emul;

	switch (reg) {
	case V_CNTP_CTL_EL0:
	case V_CNTP_CVAL_EL0:
	case V_CNTP_TVAL_EL0:
		return &emul[ARCH_TIMER_EMUL_PHYS];
	default:
		return &emul[ARCH_TIMER_EMUL_HYP];
	}
}

/**
 * kvm_nested_timer_read - read of a timer register of a vCPU with EL2
 * @vcpu:	The vCPU
 * @reg:	One of CNTP_*_EL0, CNTHP_*_EL2, CNTHCTL_EL2, CNTVOFF_EL2
 */
u64 kvm_nested_timer_read(struct kvm_vcpu *vcpu, enum vel2_reg reg)
{
	struct arch_timer_emul *emul = kvm_timer_nested_emul(vcpu, reg);
	u64 val;

	switch (reg) {
	case V_CNTP_CTL_EL0:
	case V_CNTHP_CTL_EL2:
		val = vel2_read(vcpu, reg);
		if ((val & ARCH_TIMER_CTRL_ENABLE) &&
		    !emul_timer_remaining(emul))
			val |= ARCH_TIMER_CTRL_IT_STAT;
		return val;
	case V_CNTP_TVAL_EL0:
	case V_CNTHP_TVAL_EL2:
		val = vel2_read(vcpu, emul->cval) - kvm_nested_cntpct(vcpu);
		return lower_32_bits(val);
	default:
		return vel2_read(vcpu, reg);
	}
}

/**
 * kvm_nested_timer_write - write of a timer register of a vCPU with EL2
 * @vcpu:	The vCPU
 * @reg:	One of CNTP_*_EL0, CNTHP_*_EL2, CNTHCTL_EL2, CNTVOFF_EL2
 * @val:	The value
 *
 * Takes effect on interrupts and on the hardware at the next entry.
 */
void kvm_nested_timer_write(struct kvm_vcpu *vcpu, enum vel2_reg reg, u64 val)
{
	struct arch_timer_emul *emul = kvm_timer_nested_emul(vcpu, reg);

	switch (reg) {
	case V_CNTP_CTL_EL0:
	case V_CNTHP_CTL_EL2:
		val &= ARCH_TIMER_CTRL_ENABLE | ARCH_TIMER_CTRL_IT_MASK;
		vel2_write(vcpu, reg, val);
		break;
	case V_CNTP_TVAL_EL0:
	case V_CNTHP_TVAL_EL2:
		val = kvm_nested_cntpct(vcpu) + (s32)lower_32_bits(val);
		/* fall through */
	case V_CNTP_CVAL_EL0:
	case V_CNTHP_CVAL_EL2:
		vel2_write(vcpu, emul->cval, val);
		break;
	case V_CNTHCTL_EL2:
		val &= CNTHCTL_EL2_VALID;
		/* fall through */
	default:
		vel2_write(vcpu, reg, val);
		return;
	}

	emul_timer_program(emul);
}

/**
 * kvm_timer_nested_flush - prepare the timers for the next entry
 * @vcpu:	The vCPU
 *
 * CNTVOFF_EL2 counts at each virtual exception level, EL2 included, as long as
 * virtual EL2 has no E2H.
 */
void kvm_timer_nested_flush(struct kvm_vcpu *vcpu)
{
	struct arch_timer_cpu *timer = &vcpu->arch.timer_cpu;

	timer->nested_cntvoff = vel2_read(vcpu, V_CNTVOFF_EL2);
	timer->nested_trap_cntpct =
		vcpu->kvm->arch.timer.cntvoff ||
		(!vcpu_in_vel2(vcpu) &&
		 !(vel2_read(vcpu, V_CNTHCTL_EL2) & CNTHCTL_EL1PCTEN));

	WRITE_ONCE(timer->nested_expired, false);
	kvm_timer_nested_update_irqs(vcpu);
}

/* Has a timer fired since the last entry? */
bool kvm_timer_nested_pending(struct kvm_vcpu *vcpu)
{
	struct arch_timer_cpu *timer = &vcpu->arch.timer_cpu;
	int i;

	if (likely(!vcpu_has_el2(vcpu)))
		return false;

	for (i = 0; i < ARCH_TIMER_NR_EMUL; i++) {
		if (!timer->emul[i].irq.level &&
		    emul_timer_should_fire(&timer->emul[i]))
			return true;
	}

	return false;
}

void kvm_timer_nested_init(struct kvm_vcpu *vcpu)
{
	int i;

	for (i = 0; i < ARCH_TIMER_NR_EMUL; i++) {
		struct arch_timer_emul *emul = &vcpu->arch.timer_cpu.emul[i];

		emul->vcpu = vcpu;
		emul->ctl = emul_timers[i].ctl;
		emul->cval = emul_timers[i].cval;
		emul->irq.irq = emul_timers[i].irq;
		hrtimer_init(&emul->timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
		emul->timer.function = emul_timer_expire;
	}
}

void kvm_timer_nested_terminate(struct kvm_vcpu *vcpu)
{
	int i;

	for (i = 0; i < ARCH_TIMER_NR_EMUL; i++)
		hrtimer_cancel(&vcpu->arch.timer_cpu.emul[i].timer);
}

/* Interrupts that the timers have asserted go away at the next entry */
void kvm_timer_nested_reset(struct kvm_vcpu *vcpu)
{
	int i;

	if (!vcpu_has_el2(vcpu))
		return;

	for (i = 0; i < ARCH_TIMER_NR_EMUL; i++) {
		struct arch_timer_emul *emul = &vcpu->arch.timer_cpu.emul[i];

		vel2_write(vcpu, emul->ctl, 0);
		emul_timer_program(emul);
	}
}
