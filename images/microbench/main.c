// SPDX-License-Identifier: GPL-2.0-only
/*
 * The micro-benchmark guest: a flat arm64 image that answers commands on its
 * console, one line each:
 *
 *   run BENCHMARK ITERATIONS WARMUP   -> @MB result ... | @MB error ...
 *   repeat BENCHMARK ITERATIONS       -> @MB done
 *   timer virtual | cycles            -> @MB timer ... | @MB error ...
 *   off                               -> @MB off, then PSCI SYSTEM_OFF
 *
 * It waits for a command in WFI, so whoever counts exits can read the counters
 * before and after a command and know what lies between.
 */
#include "microbench.h"

#define PSCI_CPU_ON		0xc4000003
#define PSCI_SYSTEM_OFF		0x84000008
#define BLOCK_SHIFT		30	/* 1 GiB */
#define BLOCK_DEVICE		0x0060000000000401ul	/* XN, AF, attribute 0 */
#define BLOCK_NORMAL		0x0000000000000705ul	/* AF, inner shareable, attribute 1 */

struct machine machine;
extern uint64_t page_table[512];
void secondary_entry(void);

/* Called with the MMU off: blocks that hold RAM are normal memory. */
void build_page_table(const void *fdt)
{
	uint64_t end;

	read_machine(fdt, &machine);
	end = machine.ram_base + machine.ram_size;
	for (uint64_t i = 0; i < 512; i++) {
		uint64_t base = i << BLOCK_SHIFT;
		bool ram = base < end &&
			   base + (1ul << BLOCK_SHIFT) > machine.ram_base;

		page_table[i] = base | (ram ? BLOCK_NORMAL : BLOCK_DEVICE);
	}
}

void unexpected_exception(uint64_t esr, uint64_t elr, uint64_t far)
{
	line_start("panic");
	line_hex("esr", esr);
	line_hex("elr", elr);
	line_hex("far", far);
	line_end();
	smccc(PSCI_SYSTEM_OFF, 0, 0, 0);
}

static char *next_word(char **at)
{
	char *word;

	while (**at == ' ')
		(*at)++;
	word = *at;
	while (**at && **at != ' ')
		(*at)++;
	if (**at)
		*(*at)++ = 0;
	return word;
}

static uint32_t number(const char *text)
{
	uint32_t value = 0;

	while (*text >= '0' && *text <= '9')
		value = value * 10 + (*text++ - '0');
	return value;
}

static void error(const char *reason)
{
	line_start("error");
	line_word("reason", reason);
	line_end();
}

static void run(char *arguments)
{
	const struct bench *bench = find_bench(next_word(&arguments));
	uint32_t iterations = number(next_word(&arguments));
	uint32_t warmup = number(next_word(&arguments));
	struct stats stats;

	if (!bench)
		return error("unknown-benchmark");
	if (!iterations || iterations > MAX_ITERATIONS)
		return error("bad-iterations");
	if (!run_bench(bench, iterations, warmup, &stats))
		return error(bench_timed_out ? "timeout" : "needs-2-cpus");
	line_start("result");
	line_word("bench", bench->name);
	line_number("n", iterations);
	line_number("warmup", warmup);
	line_word("timer", timer.name);
	line_number("hz", timer.hz);
	line_number("min", stats.min);
	line_number("mean_milli", stats.mean_milli);
	line_number("median", stats.median);
	line_number("p99", stats.p99);
	line_number("stdev_milli", stats.stdev_milli);
	line_end();
}

/* Untimed, and with the same answer whatever happened in between: for counting exits. */
static void repeat(char *arguments)
{
	const struct bench *bench = find_bench(next_word(&arguments));
	uint32_t iterations = number(next_word(&arguments));

	if (!bench)
		return error("unknown-benchmark");
	if (!repeat_bench(bench, iterations))
		return error(bench_timed_out ? "timeout" : "needs-2-cpus");
	line_start("done");
	line_end();
}

static void choose_timer(char *arguments)
{
	if (!use_timer(next_word(&arguments)))
		return error("no-such-timer");
	line_start("timer");
	line_word("name", timer.name);
	line_number("hz", timer.hz);
	line_end();
}

static void announce(void)
{
	line_start("ready");
	line_number("gic", machine.gic_version);
	line_number("cpus", machine.cpus);
	line_number("hz", counter_frequency());
	line_end();
}

int main(void)
{
	char command[128];

	gic_init_distributor();
	gic_init_cpu();
	gic_enable_spi(machine.uart_intid);
	console_init();
	use_timer("virtual");
	if (machine.cpus >= 2)
		smccc(PSCI_CPU_ON, machine.mpidr[1],
		      (uint64_t)secondary_entry, 1);
	announce();
	for (;;) {
		char *at = command;
		char *verb;

		console_read_line(command, sizeof(command));
		verb = next_word(&at);
		if (same(verb, "run")) {
			run(at);
		} else if (same(verb, "repeat")) {
			repeat(at);
		} else if (same(verb, "timer")) {
			choose_timer(at);
		} else if (same(verb, "off")) {
			line_start("off");
			line_end();
			smccc(PSCI_SYSTEM_OFF, 0, 0, 0);
		} else if (*verb) {
			error("unknown-command");
		}
	}
}
