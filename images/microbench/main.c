// SPDX-License-Identifier: GPL-2.0-only
/*
 * The micro-benchmark guest: a flat arm64 image that answers commands on its
 * console, one line each:
 *
 *   run BENCHMARK ITERATIONS WARMUP [BATCH]
 *                                     -> @MB samples ..., @MB result ... | @MB error ...
 *   batch BENCHMARK TICKS             -> @MB batch ... | @MB error ...
 *   repeat BENCHMARK ITERATIONS       -> @MB done
 *   timer virtual | cycles            -> @MB timer ... | @MB error ...
 *   off                               -> @MB off, then PSCI SYSTEM_OFF
 *
 * A sample of a run is the time of BATCH operations in a row, of one by default.
 * "batch" says how many take at least so many TICKS of the timer. Where that is
 * coarse, a run of BENCHMARK less one of "empty", of the same BATCH, is what the
 * operations themselves take.
 *
 * The first and the last exit by HVC of a repeat are marks: the operations are what
 * lies between, and nothing of the console does.
 */
#include "microbench.h"

#define PSCI_CPU_ON		0xc4000003
#define PSCI_SYSTEM_OFF		0x84000008
void secondary_entry(void);

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
	char *word = next_word(&arguments);
	uint32_t batch = *word ? number(word) : 1;

	if (!bench)
		return error("unknown-benchmark");
	if (!iterations || iterations > MAX_ITERATIONS)
		return error("bad-iterations");
	if (!batch || batch > MAX_BATCH)
		return error("bad-batch");
	if (!run_bench(bench, iterations, warmup, batch))
		return error(bench_timed_out ? "timeout" : "needs-2-cpus");
	print_bench_samples(iterations);
	line_start("result");
	line_word("bench", bench->name);
	line_number("n", iterations);
	line_number("warmup", warmup);
	line_number("batch", batch);
	line_word("timer", timer.name);
	line_number("hz", timer.hz);
	line_end();
}

/* How long a batch has to be. */
static void batch(char *arguments)
{
	const struct bench *bench = find_bench(next_word(&arguments));
	uint32_t ticks = number(next_word(&arguments));
	uint32_t found;

	if (!bench)
		return error("unknown-benchmark");
	found = find_batch(bench, ticks);
	if (!found)
		return error(bench_timed_out ? "timeout" : "no-batch-takes-so-long");
	line_start("batch");
	line_number("n", found);
	line_end();
}

/* Untimed, between two marks: for whoever traces the exits. */
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
	console_init();
	gic_enable_spi(console_intid());
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
		} else if (same(verb, "batch")) {
			batch(at);
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
