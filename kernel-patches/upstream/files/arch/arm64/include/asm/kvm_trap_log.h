/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Log of the exits taken since the last return to the KVM run loop.
 *
 * The VHE world switch handles a number of exits on its own and goes straight
 * back to the guest. No tracepoint may fire there, as RCU isn't watching. The
 * exits are logged in a per-CPU buffer instead, and handed over to the kvm_trap
 * tracepoint once the world switch is over, before preemption is enabled.
 */
#ifndef __ARM64_KVM_TRAP_LOG_H__
#define __ARM64_KVM_TRAP_LOG_H__

#include <linux/percpu.h>
#include <linux/tracepoint-defs.h>
#include <linux/types.h>

#define KVM_TRAP_LOG_SIZE	128

/* Exit code reported for an exit that didn't fit in the log */
#define KVM_TRAP_LOST		0xff

struct kvm_trap_log_entry {
	u32	esr;		/* EC and ISS, 0 unless this is a trap */
	u32	repeat;		/* Number of such exits in a row */
	u8	code;		/* ARM_EXCEPTION_* */
	bool	vel2;		/* Taken from virtual EL2 (or its EL0) */
};

struct kvm_trap_log {
	struct kvm_vcpu	*vcpu;		/* Only ever compared */
	u32		session;
	u32		nr;
	u32		lost;
	struct kvm_trap_log_entry entry[KVM_TRAP_LOG_SIZE];
};

DECLARE_PER_CPU(struct kvm_trap_log, kvm_trap_log);
DECLARE_TRACEPOINT(kvm_trap);

/* Changes each time that the tracepoint is about to be enabled */
extern u32 kvm_trap_session;

/*
 * The tracepoint may be disabled after an exit was logged, and enabled again
 * before the log is handed over: by then, the log is somebody else's.
 */
static inline bool kvm_trap_log_is_of(const struct kvm_trap_log *log,
				      const struct kvm_vcpu *vcpu)
{
	return log->vcpu == vcpu && log->session == READ_ONCE(kvm_trap_session);
}

int kvm_trap_log_enable(void);
void kvm_trap_log_drain(struct kvm_vcpu *vcpu);

#endif /* __ARM64_KVM_TRAP_LOG_H__ */
