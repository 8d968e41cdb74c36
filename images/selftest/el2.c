// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VMM of guests in virtual EL2, on track v4.10.
 *
 * asked:FEATURES  whether KVM gives a vCPU these: 0x80 HAS_EL2, 0x100 HAS_EL2_E2H0.
 * restored        no register of EL2 is given a value that it does not have; user space is told
 *                 once, and the vCPU does not run any more.
 * moved:WAY       NEVE's page is where the guest's memory is, 0: when its slot has other memory,
 *                 1: when its mapping has, 2: when it was away for a while.
 * walk:ADDRESS    AT with translation tables at that physical address, where nothing answers.
 */
#include <errno.h>
#include "vm.h"
#include "pv-ops.h"

#define HAS_EL2		(1u << 7)
#define HAS_EL2_E2H0	(1u << 8)
#define CAP_ARM_EL2	240
#define CAP_ARM_EL2_E2H0 241
#define MEMORY		0x50000000ul	/* of the guest; slot 1 */
#define NEVE		3		/* VNCR_EL2: both mechanisms */
#define VTTBR_EL2	0x20		/* its place in the page */
#define ONE		0x11110000ul
#define OTHER		0x33330000ul
#define EL2_REG(op1, crn, crm, op2) \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | ARM64_SYS_REG(3, op1, crn, crm, op2))

/* A64, as far as our guests need it */
#define MOVZ(rd, imm, shift)	(0xd2800000u | (shift) / 16 << 21 | (imm) << 5 | (rd))
#define MOVK(rd, imm, shift)	(0xf2800000u | (shift) / 16 << 21 | (imm) << 5 | (rd))
#define STR(rt, rn, offset)	(0xf9000000u | (offset) / 8 << 10 | (rn) << 5 | (rt))
#define LDR(rt, rn, offset)	(0xf9400000u | (offset) / 8 << 10 | (rn) << 5 | (rt))
#define MRS_PAR(rt)		(0xd5387400u | (rt))
#define HVC(op, read, rt) \
	(0xd4000002u | ((op) << PV_EL2_HVC_OP_SHIFT | ((read) ? PV_EL2_HVC_READ : 0) | (rt)) << 5)
#define WRITE(name, rt)		HVC(PV_EL2_OP_##name, false, rt)
#define READ(name, rt)		HVC(PV_EL2_OP_##name, true, rt)
#define TELL(rt)		STR(rt, 9, 0)
#define START			MOVZ(9, DEVICE >> 16, 16), MOVZ(1, MEMORY >> 16, 16)

bool asked(uint64_t features, uint64_t unused, char *found)
{
	struct vm vm;
	int refused = vm_start(&vm, features);

	(void)unused;
	found("has=%d el2=%d e2h0=%d errno=%d", refused < 0,
	      ioctl(vm.kvm, KVM_CHECK_EXTENSION, CAP_ARM_EL2),
	      ioctl(vm.kvm, KVM_CHECK_EXTENSION, CAP_ARM_EL2_E2H0), refused);
	vm_end(&vm);
	return refused < 0 || refused == EINVAL;
}

static bool set(struct vm *vm, uint64_t id, uint64_t change)
{
	uint64_t value = 0;
	struct kvm_one_reg reg = { id, (uintptr_t)&value };

	if (ioctl(vm->vcpu, KVM_GET_ONE_REG, &reg))
		return false;
	value ^= change;
	return !ioctl(vm->vcpu, KVM_SET_ONE_REG, &reg);
}

bool restored(uint64_t a, uint64_t b, char *found)
{
	static const uint64_t ids[] = {
		EL2_REG(4, 1, 1, 0),	/* HCR_EL2 */
		EL2_REG(4, 12, 0, 0),	/* VBAR_EL2 */
		EL2_REG(6, 4, 1, 0),	/* SP_EL2 */
	};
	uint64_t same = 0, refused = 0, runs = 0, count = sizeof(ids) / sizeof(*ids), told;

	(void)a, (void)b;
	for (uint64_t i = 0; i < count; i++) {
		struct vm vm;

		if (vm_start(&vm, HAS_EL2 | HAS_EL2_E2H0) < 0) {
			vm.code[0] = MOVZ(9, DEVICE >> 16, 16);
			vm.code[1] = TELL(0);
			same += set(&vm, ids[i], 0) && vm_told(&vm, &told);
			refused += !set(&vm, ids[i], 1ul << 31) && set(&vm, ids[0], 1ul << 31);
			runs += vm_told(&vm, &told);
		}
		vm_end(&vm);
	}
	found("same=%lu refused=%lu runs=%lu", same, refused, runs);
	return same == count && refused == count && !runs;
}

bool moved(uint64_t way, uint64_t unused, char *found)
{
	static const uint32_t code[] = {
		START,
		MOVZ(0, NEVE, 0), MOVK(0, MEMORY >> 16, 16), WRITE(VNCR_EL2, 0),
		MOVZ(2, ONE >> 16, 16), STR(2, 1, VTTBR_EL2), TELL(2),
		READ(VTTBR_EL2, 5), TELL(5),
		LDR(3, 1, VTTBR_EL2), TELL(3),
		MOVZ(4, OTHER >> 16, 16), STR(4, 1, VTTBR_EL2), READ(VTTBR_EL2, 5), TELL(5),
	};
	uint64_t *first = anonymous_page(), *second = anonymous_page(), value[4] = { 0 };
	struct vm vm;
	bool good = vm_start(&vm, HAS_EL2 | HAS_EL2_E2H0) < 0 &&
		    vm_map(&vm, 1, MEMORY, first, PAGE);

	(void)unused;
	memcpy(vm.code, code, sizeof(code));
	good = good && vm_told(&vm, &value[0]);
	if (way != 1)
		good = good && vm_map(&vm, 1, MEMORY, NULL, 0);
	else
		good = good && mmap(first, PAGE, PROT_READ | PROT_WRITE,
				    MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == first;
	if (!way)
		good = good && vm_map(&vm, 1, MEMORY, second, PAGE);
	good = good && vm_told(&vm, &value[1]);
	if (way == 2)
		good = good && vm_map(&vm, 1, MEMORY, second, PAGE);
	good = good && vm_told(&vm, &value[2]) && vm_told(&vm, &value[3]);
	found("had=%#lx kept=%#lx reads=%#lx has=%#lx", value[0], value[1], value[2], value[3]);
	vm_end(&vm);
	munmap(first, PAGE);
	munmap(second, PAGE);
	return good && value[0] == ONE && value[1] == ONE && value[2] == ONE && value[3] == OTHER;
}

bool walk(uint64_t address, uint64_t unused, char *found)
{
	static const uint32_t code[] = {
		START,
		WRITE(TTBR0_EL1, 1),
		MOVZ(0, 0x3519, 0), MOVK(0, 0x80, 16), MOVK(0, 2, 32), WRITE(TCR_EL1, 0),
		MOVZ(0, 0x1805, 0), MOVK(0, 0x30d0, 16), WRITE(SCTLR_EL1, 0),
		MOVZ(0, 0, 0), MOVK(0, 0x8000, 16), WRITE(HCR_EL2, 0),	/* RW */
		MOVZ(0, 0x1000, 0), HVC(PV_EL2_OP_AT_S1E1R, false, 0),
		MRS_PAR(3), TELL(3),
	};
	int file = open("/dev/mem", O_RDWR | O_SYNC);
	void *hole = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, address);
	uint64_t par = 0;
	struct vm vm;
	bool good = vm_start(&vm, HAS_EL2 | HAS_EL2_E2H0) < 0 && hole != MAP_FAILED &&
		    vm_map(&vm, 1, MEMORY, hole, PAGE);

	(void)unused;
	memcpy(vm.code, code, sizeof(code));
	good = good && vm_told(&vm, &par);
	found("par=%#lx", par);
	vm_end(&vm);
	if (hole != MAP_FAILED)
		munmap(hole, PAGE);
	close(file);
	return good && (par & 1);
}
