// SPDX-License-Identifier: GPL-2.0-only
/*
 * The first virtio console of a `virt` machine. A line takes a handful of exits,
 * where the UART takes one for each character.
 *
 * It speaks the legacy interface over MMIO of virtio 1.0 (sections 2.4.2, 4.2.4
 * and 5.3), with queues of a single buffer.
 */
#include "bare.h"

#define MAGIC			0x74726976
#define LEGACY			1
#define CONSOLE			3
#define PAGE			4096

#define MAGIC_VALUE		0x000
#define VERSION			0x004
#define DEVICE_ID		0x008
#define GUEST_FEATURES		0x020
#define GUEST_FEATURES_SELECT	0x024
#define GUEST_PAGE_SIZE		0x028
#define QUEUE_SELECT		0x030
#define QUEUE_NUMBER		0x038
#define QUEUE_ALIGN		0x03c
#define QUEUE_PAGE		0x040
#define QUEUE_NOTIFY		0x050
#define INTERRUPT_ACKNOWLEDGE	0x064
#define USED_BUFFER		1
#define CONFIGURATION		2
#define STATUS			0x070
#define ACKNOWLEDGE		1
#define DRIVER			2
#define DRIVER_OK		4

#define DEVICE_WRITES		2	/* a flag of a descriptor */

enum { RECEIVE, TRANSMIT, QUEUES };

/* The descriptor, what is offered and, on a page of its own, what was used. */
static struct queue {
	uint64_t address;
	uint32_t length;
	uint16_t descriptor_flags, next;
	uint16_t flags, offered, ring;
	struct {
		uint16_t flags;
		volatile uint16_t count;
		uint32_t id, length;
	} used __attribute__((aligned(PAGE)));
} queues[QUEUES] __attribute__((aligned(PAGE)));

static char received[128];
static size_t received_length, received_read;

static void set(uint64_t reg, uint32_t value)
{
	write32(machine.virtio + reg, value);
}

static void offer(int number, const void *buffer, size_t length, uint16_t flags)
{
	struct queue *queue = &queues[number];

	queue->address = (uint64_t)buffer;
	queue->length = length;
	queue->descriptor_flags = flags;
	asm volatile("dmb ish" ::: "memory");
	queue->offered++;
	asm volatile("dsb ish" ::: "memory");
	set(QUEUE_NOTIFY, number);
}

static bool used(int number)
{
	return queues[number].used.count == queues[number].offered;
}

/*
 * Interrupts stay masked: WFI returns when the device's is pending. A VMM counts a
 * buffer before it raises the interrupt, and has done both before it answers
 * another access. So the interrupt of a buffer that was seen as used is taken away
 * for good, and whatever is measured next has none pending.
 */
static void wait_for(int number)
{
	for (;;) {
		bool seen = used(number);

		set(INTERRUPT_ACKNOWLEDGE, USED_BUFFER | CONFIGURATION);
		if (seen)
			break;
		if (!used(number))	/* or the interrupt may be gone */
			asm volatile("wfi" ::: "memory");
	}
	asm volatile("dmb ish" ::: "memory");
}

/* False if the machine has none. */
bool virtio_console_init(void)
{
	if (!machine.virtio || read32(machine.virtio + MAGIC_VALUE) != MAGIC ||
	    read32(machine.virtio + VERSION) != LEGACY ||
	    read32(machine.virtio + DEVICE_ID) != CONSOLE)
		return false;
	set(STATUS, 0);
	set(STATUS, ACKNOWLEDGE | DRIVER);
	set(GUEST_FEATURES_SELECT, 0);
	set(GUEST_FEATURES, 0);
	set(GUEST_PAGE_SIZE, PAGE);
	for (int number = 0; number < QUEUES; number++) {
		set(QUEUE_SELECT, number);
		set(QUEUE_NUMBER, 1);
		set(QUEUE_ALIGN, PAGE);
		set(QUEUE_PAGE, (uint64_t)&queues[number] / PAGE);
	}
	set(STATUS, ACKNOWLEDGE | DRIVER | DRIVER_OK);
	return true;
}

void virtio_console_write(const char *text, size_t length)
{
	offer(TRANSMIT, text, length, 0);
	wait_for(TRANSMIT);
}

/* Waits for a character. */
char virtio_console_read(void)
{
	while (received_read == received_length) {
		offer(RECEIVE, received, sizeof(received), DEVICE_WRITES);
		wait_for(RECEIVE);
		received_length = queues[RECEIVE].used.length;
		received_read = 0;
	}
	return received[received_read++];
}
