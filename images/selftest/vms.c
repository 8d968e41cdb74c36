// SPDX-License-Identifier: GPL-2.0-only
/*
 * vms:COUNT  makes so many virtual machines, one after the other, and runs each of them up to
 * its first exit: more than there are VMIDs, and whoever runs beside has to get a new one.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include "selftest.h"

#define PAGE		4096ul
#define CODE		0x40000000ul
#define DEVICE		0x09000000ul
#define CORE(member)	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |		\
			 KVM_REG_ARM_CORE_REG(member))

static const uint32_t code[] = {
	0xd2a12001,		/* mov x1, #DEVICE */
	0xb9000020,		/* str w0, [x1] */
};

static bool run_one(int kvm, uint32_t *page)
{
	struct kvm_userspace_memory_region memory = {
		.guest_phys_addr = CODE, .memory_size = PAGE, .userspace_addr = (uintptr_t)page,
	};
	uint64_t entry = CODE;
	struct kvm_one_reg pc = { CORE(regs.pc), (uintptr_t)&entry };
	int vm = ioctl(kvm, KVM_CREATE_VM, 0), vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	size_t size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	struct kvm_run *run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	struct kvm_vcpu_init init;
	bool good;

	good = run != MAP_FAILED && !ioctl(vm, KVM_SET_USER_MEMORY_REGION, &memory) &&
	       !ioctl(vm, KVM_ARM_PREFERRED_TARGET, &init) &&
	       !ioctl(vcpu, KVM_ARM_VCPU_INIT, &init) &&
	       !ioctl(vcpu, KVM_SET_ONE_REG, &pc) && !ioctl(vcpu, KVM_RUN, 0) &&
	       run->exit_reason == KVM_EXIT_MMIO && run->mmio.phys_addr == DEVICE;
	if (run != MAP_FAILED)
		munmap(run, size);
	close(vcpu);
	close(vm);
	return good;
}

bool vms(uint64_t count, uint64_t unused, char *found)
{
	uint32_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			      -1, 0);
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	uint64_t ran = 0;

	(void)unused;
	memcpy(page, code, sizeof(code));
	while (ran < count && run_one(kvm, page))
		ran++;
	close(kvm);
	found("ran=%lu", ran);
	return ran == count;
}
