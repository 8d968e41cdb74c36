// SPDX-License-Identifier: GPL-2.0-only
/*
 * PL011 console. A machine-readable line is "@MB kind key=value ... crc=XXXXXXXX",
 * the CRC-32 (IEEE 802.3, as zlib's) taken over everything from '@' to the blank
 * before "crc=".
 */
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

static char line[768];
static size_t used;

void console_init(void)
{
	write32(machine.uart + UARTLCR_H, LCR_H_8BIT_FIFO);
	write32(machine.uart + UARTCR, CR_ENABLE);
	write32(machine.uart + UARTIMSC, IMSC_RX);
}

/*
 * Each access costs an exit to the VMM of every level, so the status register
 * is read once per FIFO of characters and not once per character.
 */
void console_write(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (i % FIFO_DEPTH == 0)
			while (!(read32(machine.uart + UARTFR) & FR_TXFE))
				;
		write32(machine.uart + UARTDR, (uint8_t)text[i]);
	}
}

/*
 * Reads a line without its end. Interrupts stay masked: WFI returns when the
 * UART's interrupt is pending, and reading the FIFO takes it away again.
 */
size_t console_read_line(char *out, size_t size)
{
	size_t length = 0;

	for (;;) {
		char c;

		while (read32(machine.uart + UARTFR) & FR_RXFE)
			asm volatile("wfi" ::: "memory");
		c = read32(machine.uart + UARTDR);
		if (c == '\n' || c == '\r')
			break;
		if (length < size - 1)
			out[length++] = c;
	}
	out[length] = 0;
	return length;
}

static void put(const char *text)
{
	while (*text && used < sizeof(line) - 1)
		line[used++] = *text++;
}

static void put_number(uint64_t value, unsigned int base, int digits)
{
	char text[24];
	int at = sizeof(text) - 1;

	text[at] = 0;
	do {
		text[--at] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value || (int)sizeof(text) - 1 - at < digits);
	put(text + at);
}

static uint32_t crc32(const char *text, size_t length)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < length; i++) {
		crc ^= (uint8_t)text[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

void line_start(const char *kind)
{
	used = 0;
	put("@MB ");
	put(kind);
}

void line_word(const char *key, const char *value)
{
	put(" ");
	put(key);
	put("=");
	put(value);
}

void line_number(const char *key, uint64_t value)
{
	line_word(key, "");
	put_number(value, 10, 1);
}

/* "VALUE=NUMBER" */
void line_pair(uint64_t value, uint64_t number)
{
	put(" ");
	put_number(value, 10, 1);
	put("=");
	put_number(number, 10, 1);
}

void line_hex(const char *key, uint64_t value)
{
	line_word(key, "0x");
	put_number(value, 16, 1);
}

void line_end(void)
{
	uint32_t crc = crc32(line, used);

	put(" crc=");
	put_number(crc, 16, 8);
	put("\r\n");
	console_write(line, used);
}
