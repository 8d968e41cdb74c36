/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VM_H
#define VM_H

/* A virtual machine of one vCPU and a few instructions, by /dev/kvm. */
#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include "selftest.h"

#define PAGE		4096ul
#define CODE		0x40000000ul
#define DEVICE		0x09000000ul	/* what the guest stores there comes to us */

struct vm {
	int kvm, fd, vcpu;
	struct kvm_run *run;
	size_t size;
	uint32_t *code;
};

/* With these KVM_ARM_VCPU_* features, bit by bit; -1, or errno if KVM refuses them. */
int vm_start(struct vm *vm, uint32_t features);
void vm_end(struct vm *vm);
/* @size bytes at @memory are the guest's at @address; none: the slot is empty from now on. */
bool vm_map(struct vm *vm, uint32_t slot, uint64_t address, void *memory, uint64_t size);
/* Run until the guest stores to DEVICE: what it stores. False if it does anything else. */
bool vm_told(struct vm *vm, uint64_t *value);

static inline void *anonymous_page(void)
{
	return mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

#endif
