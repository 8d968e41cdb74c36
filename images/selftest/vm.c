// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stddef.h>
#include "vm.h"

#define CORE(member)	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |		\
			 KVM_REG_ARM_CORE_REG(member))

int vm_start(struct vm *vm, uint32_t features)
{
	uint64_t entry = CODE;
	struct kvm_one_reg pc = { CORE(regs.pc), (uintptr_t)&entry };
	struct kvm_vcpu_init init;

	vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	vm->fd = ioctl(vm->kvm, KVM_CREATE_VM, 0);
	vm->vcpu = ioctl(vm->fd, KVM_CREATE_VCPU, 0);
	vm->size = ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	vm->run = mmap(NULL, vm->size, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu, 0);
	vm->code = anonymous_page();
	if (vm->run == MAP_FAILED || !vm_map(vm, 0, CODE, vm->code, PAGE) ||
	    ioctl(vm->fd, KVM_ARM_PREFERRED_TARGET, &init))
		return errno;
	init.features[0] |= features;
	if (ioctl(vm->vcpu, KVM_ARM_VCPU_INIT, &init) || ioctl(vm->vcpu, KVM_SET_ONE_REG, &pc))
		return errno;
	return -1;
}

void vm_end(struct vm *vm)
{
	if (vm->run != MAP_FAILED)
		munmap(vm->run, vm->size);
	munmap(vm->code, PAGE);
	close(vm->vcpu);
	close(vm->fd);
	close(vm->kvm);
}

bool vm_map(struct vm *vm, uint32_t slot, uint64_t address, void *memory, uint64_t size)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot, .guest_phys_addr = address, .userspace_addr = (uintptr_t)memory,
		.memory_size = memory ? size : 0,
	};

	return !ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

bool vm_told(struct vm *vm, uint64_t *value)
{
	*value = 0;
	if (ioctl(vm->vcpu, KVM_RUN, 0) || vm->run->exit_reason != KVM_EXIT_MMIO ||
	    !vm->run->mmio.is_write || vm->run->mmio.phys_addr != DEVICE)
		return false;
	memcpy(value, vm->run->mmio.data, vm->run->mmio.len);
	return true;
}
