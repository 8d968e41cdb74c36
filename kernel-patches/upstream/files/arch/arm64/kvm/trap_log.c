// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hand the exits logged by the world switch over to the kvm_trap tracepoint.
 */

#include <linux/kvm_host.h>

#include <asm/kvm_emulate.h>
#include <asm/kvm_trap_log.h>

#include "trace.h"

DEFINE_PER_CPU(struct kvm_trap_log, kvm_trap_log);
u32 kvm_trap_session;

/* Called with the static key still off, and serialised by tracepoints_mutex */
int kvm_trap_log_enable(void)
{
	/* With nVHE, nothing is logged: no tracepoint rather than no event */
	if (!has_vhe())
		return -EOPNOTSUPP;

	WRITE_ONCE(kvm_trap_session, kvm_trap_session + 1);
	return 0;
}

/*
 * Must run on the CPU that ran the vcpu, and before it runs another one. If the
 * tracepoint goes away in here, events don't reach the next session either, as
 * that one waits for a grace period before it starts.
 */
void kvm_trap_log_drain(struct kvm_vcpu *vcpu)
{
	struct kvm_trap_log *log = this_cpu_ptr(&kvm_trap_log);

	if (!kvm_trap_log_is_of(log, vcpu))
		return;

	for (u32 i = 0; i < log->nr; i++) {
		struct kvm_trap_log_entry *e = &log->entry[i];

		for (u32 n = 0; n < e->repeat; n++)
			trace_kvm_trap(vcpu->vcpu_id, e->code, e->esr, e->vel2);
	}

	for (u32 n = 0; n < log->lost; n++)
		trace_kvm_trap(vcpu->vcpu_id, KVM_TRAP_LOST, 0, false);

	log->nr = 0;
	log->lost = 0;
}
