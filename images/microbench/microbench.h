/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef MICROBENCH_H
#define MICROBENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_ITERATIONS	65536

/* What the device tree says of the machine. */
struct machine {
	int gic_version;	/* 2 or 3 */
	uint64_t gicd;		/* distributor */
	uint64_t gicc;		/* GICv2 CPU interface or GICv3 redistributors */
	uint64_t uart;
	uint32_t uart_intid;
	uint64_t ram_base;
	uint64_t ram_size;
	int cpus;
	uint64_t mpidr[2];
};

extern struct machine machine;

/* What times an operation. */
struct timer {
	const char *name;
	uint64_t hz;
};

/* Statistics of one benchmark, in ticks of its timer. */
struct stats {
	uint64_t min, median, p99;
	uint64_t mean_milli, stdev_milli;	/* thousandths of a tick */
};

/* A benchmark: one operation, timed alone. */
struct bench {
	const char *name;
	bool (*start)(void);	/* NULL, or prepares; false if the machine can't */
	void (*op)(void);
	void (*stop)(void);
};

const struct bench *find_bench(const char *name);
bool run_bench(const struct bench *bench, uint32_t iterations,
	       uint32_t warmup, struct stats *stats);
bool repeat_bench(const struct bench *bench, uint32_t iterations);
bool use_timer(const char *name);
extern struct timer timer;
extern volatile bool bench_timed_out;

bool read_machine(const void *fdt, struct machine *out);

void gic_init_distributor(void);
void gic_init_cpu(void);
void gic_enable_spi(uint32_t intid);
void gic_send_sgi(int cpu, uint32_t sgi);
uint32_t gic_acknowledge(void);
void gic_end(uint32_t intid);

void console_init(void);
void console_write(const char *text, size_t length);
size_t console_read_line(char *line, size_t size);

void line_start(const char *kind);
void line_word(const char *key, const char *value);
void line_number(const char *key, uint64_t value);
void line_hex(const char *key, uint64_t value);
void line_end(void);

void summarize(uint64_t *samples, uint32_t count, struct stats *stats);

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

/* The virtual counter. */
static inline uint64_t counter(void)
{
	uint64_t value;

	asm volatile("isb\n mrs %0, cntvct_el0\n isb" : "=r" (value) :: "memory");
	return value;
}

/* The PMU's cycle counter, which the hypervisor must let us read. */
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
