// SPDX-License-Identifier: GPL-2.0-only
/* The PL011, which every `virt` machine has. */
#include "bare.h"

#define UARTDR		0x00
#define UARTFR		0x18
#define UARTLCR_H	0x2c
#define UARTCR		0x30
#define UARTIMSC	0x38
#define FR_RXFE		(1u << 4)
#define FR_TXFE		(1u << 7)
#define LCR_H_8BIT_FIFO	0x70
#define CR_ENABLE	0x301
#define IMSC_RX		0x50	/* receive and receive timeout */
#define FIFO_DEPTH	16

void uart_init(void)
{
	write32(machine.uart + UARTLCR_H, LCR_H_8BIT_FIFO);
	write32(machine.uart + UARTCR, CR_ENABLE);
	write32(machine.uart + UARTIMSC, IMSC_RX);
}

/*
 * Each access costs an exit to the VMM of every level, so the status register
 * is read once per FIFO of characters and not once per character.
 */
void uart_write(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (i % FIFO_DEPTH == 0)
			while (!(read32(machine.uart + UARTFR) & FR_TXFE))
				;
		write32(machine.uart + UARTDR, (uint8_t)text[i]);
	}
}

/*
 * Waits for a character. Interrupts stay masked: WFI returns when the UART's
 * is pending, and reading the FIFO takes it away again.
 */
char uart_read(void)
{
	while (read32(machine.uart + UARTFR) & FR_RXFE)
		asm volatile("wfi" ::: "memory");
	return read32(machine.uart + UARTDR);
}
