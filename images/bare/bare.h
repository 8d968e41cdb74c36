/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BARE_H
#define BARE_H

/* Shared by the flat arm64 images: start-up, machine, interrupts, console. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the device tree says of the machine. */
struct machine {
	int gic_version;	/* 2 or 3 */
	uint64_t gicd;		/* distributor */
	uint64_t gicc;		/* GICv2 CPU interface or GICv3 redistributors */
	uint64_t gich;		/* GICv2 with EL2: virtual interface control; or 0 */
	uint64_t uart;
	uint32_t uart_intid;
	uint64_t virtio;	/* the transport of QEMU's first device */
	uint32_t virtio_intid;
	bool hvc;		/* the command line has "console=hvc0" */
	uint64_t ram_base;
	uint64_t ram_size;
	int cpus;
	uint64_t mpidr[2];
};

extern struct machine machine;

bool read_machine(const void *fdt, struct machine *out);

void gic_init_distributor(void);
void gic_init_cpu(void);
void gic_enable_ppi(uint32_t intid);
void gic_enable_spi(uint32_t intid);
void gic_send_sgi(int cpu, uint32_t sgi);
uint32_t gic_acknowledge(void);
void gic_end(uint32_t intid);

void uart_init(void);
void uart_write(const char *text, size_t length);
char uart_read(void);

bool virtio_console_init(void);
void virtio_console_write(const char *text, size_t length);
char virtio_console_read(void);

void console_init(void);
uint32_t console_intid(void);
void console_write(const char *text, size_t length);
size_t console_read_line(char *line, size_t size);

void line_start(const char *kind);
void line_word(const char *key, const char *value);
void line_number(const char *key, uint64_t value);
void line_pair(uint64_t value, uint64_t number);
void line_hex(const char *key, uint64_t value);
void line_end(void);

char *next_word(char **at);
uint32_t number(const char *text);

/* Of the image: what CPU 1 runs, and what to do on exceptions. */
int main(void);
void secondary_main(void);
void handle_irq(void);

uint64_t smccc(uint64_t function, uint64_t a1, uint64_t a2, uint64_t a3);

static inline uint32_t read32(uint64_t address)
{
	uint32_t value;

	/* a plain load with a valid syndrome, whatever the compiler thinks */
	asm volatile("ldr %w0, [%1]" : "=r" (value) : "r" (address) : "memory");
	return value;
}

static inline void write32(uint64_t address, uint32_t value)
{
	asm volatile("str %w0, [%1]" :: "r" (value), "r" (address) : "memory");
}

bool has_cycles(void);

/* The virtual counter. */
static inline uint64_t counter(void)
{
	uint64_t value;

	asm volatile("isb\n mrs %0, cntvct_el0\n isb" : "=r" (value) :: "memory");
	return value;
}

/* The PMU's cycle counter, which the hypervisor must let us read: has_cycles(). */
static inline uint64_t cycles(void)
{
	uint64_t value;

	asm volatile("isb\n mrs %0, pmccntr_el0\n isb" : "=r" (value) :: "memory");
	return value;
}

static inline uint64_t counter_frequency(void)
{
	uint64_t value;

	asm volatile("mrs %0, cntfrq_el0" : "=r" (value));
	return value;
}

static inline bool same(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

#endif
