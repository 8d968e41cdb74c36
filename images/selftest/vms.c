// SPDX-License-Identifier: GPL-2.0-only
/*
 * vms:COUNT  makes so many virtual machines, one after the other, and runs each of them up to
 * its first exit: more than there are VMIDs, and whoever runs beside has to get a new one.
 */
#include "vm.h"

static const uint32_t code[] = {
	0xd2a12001,		/* mov x1, #DEVICE */
	0xb9000020,		/* str w0, [x1] */
};

static bool run_one(void)
{
	uint64_t value;
	struct vm vm;
	bool good = vm_start(&vm, 0) < 0;

	memcpy(vm.code, code, sizeof(code));
	good = good && vm_told(&vm, &value);
	vm_end(&vm);
	return good;
}

bool vms(uint64_t count, uint64_t unused, char *found)
{
	uint64_t ran = 0;

	(void)unused;
	while (ran < count && run_one())
		ran++;
	found("ran=%lu", ran);
	return ran == count;
}
