/*
 * Nested virtualization is not supported on 32-bit ARM: what the files shared
 * with arm64 need to compile.
 *
 * This program is free software; you can redistribute it and/or modify
 * it under the terms of the GNU General Public License version 2 as
 * published by the Free Software Foundation.
 */

#ifndef __ARM_KVM_NESTED_H__
#define __ARM_KVM_NESTED_H__

#include <linux/types.h>

struct kvm;
struct kvm_run;
struct kvm_vcpu;

#define vcpu_has_el2(vcpu)	(false)
#define vcpu_in_vel2(vcpu)	(false)
#define vcpu_in_l2(vcpu)	(false)

static inline void kvm_vel2_enter_irq(struct kvm_vcpu *vcpu) {}
static inline void kvm_nested_vcpu_destroy(struct kvm_vcpu *vcpu) {}
static inline void kvm_nested_sync_traps(struct kvm_vcpu *vcpu) {}

static inline void kvm_nested_vm_init(struct kvm *kvm) {}
static inline void kvm_nested_vm_destroy(struct kvm *kvm) {}
static inline void kvm_nested_free_cache(struct kvm_vcpu *vcpu) {}

static inline int kvm_nested_prepare_mmu(struct kvm_vcpu *vcpu)
{
	return 1;
}

static inline bool kvm_nested_load(struct kvm_vcpu *vcpu)
{
	return true;
}

static inline int kvm_nested_handle_abort(struct kvm_vcpu *vcpu,
					  phys_addr_t *fault_ipa)
{
	return 0;
}

static inline void kvm_nested_s2_forget(struct kvm *kvm, u64 leaf) {}

static inline u64 kvm_nested_s2_replace(struct kvm *kvm, u64 old, u64 new)
{
	return 0;
}

static inline void kvm_nested_s2_unmap(struct kvm *kvm) {}
static inline void kvm_nested_s2_wp(struct kvm *kvm) {}

#endif /* __ARM_KVM_NESTED_H__ */
