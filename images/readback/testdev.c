// SPDX-License-Identifier: GPL-2.0-only
/*
 * The end with a status, by QEMU's test device: a character device that takes
 * "1q" for one, behind the first virtio console of a `virt` machine. It speaks
 * virtio 1.0's legacy interface over MMIO (sections 2.4.2 and 4.2.4).
 */
#include "readback.h"

#define PSCI_SYSTEM_OFF		0x84000008
#define FIRST_SLOT		0x0a000000
#define SLOT_SIZE		0x200
#define SLOTS			32
#define MAGIC			0x74726976
#define CONSOLE			3
#define TRANSMIT		1	/* a queue */
#define QUEUE_SIZE		8
#define PAGE			4096

#define MAGIC_VALUE		0x000
#define DEVICE_ID		0x008
#define GUEST_FEATURES		0x020
#define GUEST_FEATURES_SELECT	0x024
#define GUEST_PAGE_SIZE		0x028
#define QUEUE_SELECT		0x030
#define QUEUE_NUMBER		0x038
#define QUEUE_ALIGN		0x03c
#define QUEUE_PAGE		0x040
#define QUEUE_NOTIFY		0x050
#define STATUS			0x070
#define ACKNOWLEDGE		1
#define DRIVER			2
#define DRIVER_OK		4

/* The descriptors, what is offered and, on a page of its own, what was used. */
static struct {
	struct {
		uint64_t address;
		uint32_t length;
		uint16_t flags, next;
	} descriptors[QUEUE_SIZE];
	uint16_t flags, index, ring[QUEUE_SIZE];
	uint8_t used[PAGE] __attribute__((aligned(PAGE)));
} queue __attribute__((aligned(PAGE)));

static uint64_t find_console(void)
{
	for (uint64_t slot = 0; slot < SLOTS; slot++) {
		uint64_t base = FIRST_SLOT + slot * SLOT_SIZE;

		if (read32(base + MAGIC_VALUE) == MAGIC &&
		    read32(base + DEVICE_ID) == CONSOLE)
			return base;
	}
	return 0;
}

static void send(uint64_t base, const char *text, uint32_t length)
{
	write32(base + STATUS, 0);
	write32(base + STATUS, ACKNOWLEDGE | DRIVER);
	write32(base + GUEST_FEATURES_SELECT, 0);
	write32(base + GUEST_FEATURES, 0);
	write32(base + GUEST_PAGE_SIZE, PAGE);
	write32(base + QUEUE_SELECT, TRANSMIT);
	write32(base + QUEUE_NUMBER, QUEUE_SIZE);
	write32(base + QUEUE_ALIGN, PAGE);
	write32(base + QUEUE_PAGE, (uint64_t)&queue / PAGE);
	write32(base + STATUS, ACKNOWLEDGE | DRIVER | DRIVER_OK);
	queue.descriptors[0].address = (uint64_t)text;
	queue.descriptors[0].length = length;
	queue.index = 1;
	asm volatile("dsb sy" ::: "memory");
	write32(base + QUEUE_NOTIFY, TRANSMIT);
}

/* Power off, or end the VMM with a status that says that this guest failed. */
void leave(bool passed)
{
	static const char failed[] = "1q";
	uint64_t console = passed ? 0 : find_console();

	if (console)
		send(console, failed, sizeof(failed) - 1);
	else if (passed)
		smccc(PSCI_SYSTEM_OFF, 0, 0, 0);
}
