// SPDX-License-Identifier: GPL-2.0-only
/*
 * The console. A machine-readable line is "@MB kind key=value ... crc=XXXXXXXX",
 * the CRC-32 (IEEE 802.3, as zlib's) taken over everything from '@' to the blank
 * before "crc=".
 */
#include "bare.h"

#define PSCI_SYSTEM_OFF		0x84000008

static char line[768];
static size_t used;

/* As its command line says, like Linux's: on the UART, or with "console=hvc0" on virtio. */
void console_init(void)
{
	if (!machine.hvc)
		return uart_init();
	if (virtio_console_init())
		return;
	machine.hvc = false;
	line_start("panic");
	line_word("reason", "no-hvc0");
	line_end();
	smccc(PSCI_SYSTEM_OFF, 0, 0, 0);
}

uint32_t console_intid(void)
{
	return machine.hvc ? machine.virtio_intid : machine.uart_intid;
}

void console_write(const char *text, size_t length)
{
	if (machine.hvc)
		virtio_console_write(text, length);
	else
		uart_write(text, length);
}

/* Reads a line without its end. */
size_t console_read_line(char *out, size_t size)
{
	size_t length = 0;

	for (;;) {
		char c = machine.hvc ? virtio_console_read() : uart_read();

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
