// SPDX-License-Identifier: GPL-2.0-only
/*
 * The micro-benchmarks. An operation is timed alone, or so many of them in a row,
 * between two reads of a counter that are fenced by ISB.
 *
 * empty           nothing: what the two reads, the call and a batch's loop take.
 * hypercall       HVC with a function that no SMCCC service owns: the hypervisor
 *                 takes the exit and answers NOT_SUPPORTED.
 * device-io       read of GICD_IIDR, emulated by KVM in the kernel.
 * device-io-user  read of the PL011's PeriphID0, emulated by the VMM.
 * virtual-ipi     SGI to the other vCPU, which runs guest code, until its handler
 *                 has acknowledged it.
 * virtual-eoi     end of interrupt. As in kvm-unit-tests, the spurious INTID is
 *                 ended, so that no set-up (whose exits would be counted) is needed.
 */
#include "microbench.h"

#define UNOWNED_HYPERCALL	0x4b000000
#define MARK			0x4b000001	/* of no owner, either */
#define GICD_IIDR		0x008
#define UART_PERIPH_ID0		0xfe0
#define IPI_SGI			1
#define SPURIOUS_INTID		1023
#define IPI_TIMEOUT_SECONDS	60
#define CALIBRATIONS_PER_SECOND	100
#define BATCH_TRIES		16	/* the least of them counts */

volatile bool bench_timed_out;
struct timer timer;
static uint64_t samples[MAX_ITERATIONS];

static volatile uint64_t ipis_received;
static volatile bool receiving;		/* CPU 0 asks CPU 1 to spin */
static volatile bool receiver_ready;

static inline void yield(void)
{
	/* lets a single-threaded emulator run the other CPU; a hint elsewhere */
	asm volatile("yield" ::: "memory");
}

static bool wait_until(volatile bool *flag, bool value)
{
	uint64_t deadline = counter() +
		IPI_TIMEOUT_SECONDS * counter_frequency();

	while (*flag != value) {
		if (counter() > deadline) {
			bench_timed_out = true;
			return false;
		}
		yield();
	}
	return true;
}

void handle_irq(void)
{
	uint32_t intid = gic_acknowledge();

	if ((intid & 0x3ff) == IPI_SGI)
		ipis_received++;
	gic_end(intid);
}

/* CPU 1 sleeps, and runs guest code only while the IPI benchmark asks for it. */
void secondary_main(void)
{
	gic_init_cpu();
	for (;;) {
		while (!receiving) {
			asm volatile("wfi" ::: "memory");
			asm volatile("msr daifclr, #2\n isb\n msr daifset, #2"
				     ::: "memory");
		}
		receiver_ready = true;
		asm volatile("msr daifclr, #2" ::: "memory");
		while (receiving)
			yield();
		asm volatile("msr daifset, #2" ::: "memory");
		receiver_ready = false;
	}
}

static bool ipi_start(void)
{
	if (machine.cpus < 2)
		return false;
	receiving = true;
	gic_send_sgi(1, IPI_SGI);
	return wait_until(&receiver_ready, true);
}

static void ipi_op(void)
{
	uint64_t before = ipis_received;
	uint64_t spins = 0;

	gic_send_sgi(1, IPI_SGI);
	while (ipis_received == before) {
		yield();
		if (++spins == 1ull << 32) {
			bench_timed_out = true;
			return;
		}
	}
}

static void ipi_stop(void)
{
	receiving = false;
	wait_until(&receiver_ready, false);
}

static void hypercall_op(void)
{
	smccc(UNOWNED_HYPERCALL, 0, 0, 0);
}

static void device_io_op(void)
{
	read32(machine.gicd + GICD_IIDR);
}

static void device_io_user_op(void)
{
	read32(machine.uart + UART_PERIPH_ID0);
}

static void eoi_op(void)
{
	gic_end(SPURIOUS_INTID);
}

static void empty_op(void)
{
}

static const struct bench benches[] = {
	{ "hypercall", NULL, hypercall_op, NULL },
	{ "device-io", NULL, device_io_op, NULL },
	{ "device-io-user", NULL, device_io_user_op, NULL },
	{ "virtual-ipi", ipi_start, ipi_op, ipi_stop },
	{ "virtual-eoi", NULL, eoi_op, NULL },
	{ "empty", NULL, empty_op, NULL },
};

const struct bench *find_bench(const char *name)
{
	for (size_t i = 0; i < sizeof(benches) / sizeof(benches[0]); i++)
		if (same(benches[i].name, name))
			return &benches[i];
	return NULL;
}

static bool start_bench(const struct bench *bench)
{
	bench_timed_out = false;
	return !bench->start || bench->start();
}

static bool stop_bench(const struct bench *bench)
{
	if (bench->stop)
		bench->stop();
	return !bench_timed_out;
}

/*
 * As run_bench(), but nothing is timed, and there are hypercalls around: two
 * before, so that one can see what such a mark itself takes, and one behind.
 */
bool repeat_bench(const struct bench *bench, uint32_t iterations)
{
	if (!start_bench(bench))
		return false;
	smccc(MARK, 0, 0, 0);
	smccc(MARK, 0, 0, 0);
	while (iterations-- && !bench_timed_out)
		bench->op();
	smccc(MARK, 0, 0, 0);
	return stop_bench(bench);
}

/*
 * Time with @name from now on: "virtual", the virtual counter, or "cycles", the
 * PMU's. False if there is none such, or if it stands still.
 */
bool use_timer(const char *name)
{
	uint64_t hz = counter_frequency(), ticks = 0, start, start_cycles;

	if (same(name, "virtual")) {
		timer = (struct timer){ "virtual", hz };
		return true;
	}
	if (!same(name, "cycles") || !has_cycles())
		return false;
	start = counter();
	start_cycles = cycles();
	while (ticks < hz / CALIBRATIONS_PER_SECOND)
		ticks = counter() - start;
	hz = (cycles() - start_cycles) * hz / ticks;
	if (hz)
		timer = (struct timer){ "cycles", hz };
	return hz;
}

/* Inlined for each clock, so that choosing one costs nothing where it is read. */
static inline __attribute__((always_inline))
void time_ops(const struct bench *bench, uint32_t iterations, uint64_t (*clock)(void))
{
	for (uint32_t i = 0; i < iterations && !bench_timed_out; i++) {
		uint64_t start = clock();

		bench->op();
		samples[i] = clock() - start;
	}
}

/* As time_ops(), but a sample is the time of @batch operations in a row. */
static inline __attribute__((always_inline))
void time_batches(const struct bench *bench, uint32_t iterations, uint32_t batch,
		  uint64_t (*clock)(void))
{
	for (uint32_t i = 0; i < iterations && !bench_timed_out; i++) {
		uint64_t start = clock();

		for (uint32_t n = batch; n && !bench_timed_out; n--)
			bench->op();
		samples[i] = clock() - start;
	}
}

static void take_samples(const struct bench *bench, uint32_t iterations, uint32_t batch)
{
	bool use_cycles = same(timer.name, "cycles");

	if (batch == 1 && use_cycles)
		time_ops(bench, iterations, cycles);
	else if (batch == 1)
		time_ops(bench, iterations, counter);
	else if (use_cycles)
		time_batches(bench, iterations, batch, cycles);
	else
		time_batches(bench, iterations, batch, counter);
}

/*
 * How many operations in a row take at least @ticks of the timer, a power of two;
 * 0 if the machine can't run @bench, or if MAX_BATCH of them are done sooner.
 */
uint32_t find_batch(const struct bench *bench, uint32_t ticks)
{
	uint32_t batch = 0;
	uint64_t least = 0;

	if (!start_bench(bench))
		return 0;
	while (least < ticks && batch < MAX_BATCH && !bench_timed_out) {
		batch = batch ? 2 * batch : 1;
		take_samples(bench, BATCH_TRIES, batch);
		least = samples[0];
		for (int i = 1; i < BATCH_TRIES; i++)
			if (samples[i] < least)
				least = samples[i];
	}
	return stop_bench(bench) && least >= ticks ? batch : 0;
}

/* False if the machine can't run @bench, or if an operation never ended. */
bool run_bench(const struct bench *bench, uint32_t iterations, uint32_t warmup,
	       uint32_t batch)
{
	if (!start_bench(bench))
		return false;
	for (uint32_t i = 0; i < warmup && !bench_timed_out; i++)
		bench->op();
	take_samples(bench, iterations, batch);
	return stop_bench(bench);
}

/* Of the last run_bench(). */
void print_bench_samples(uint32_t count)
{
	print_samples(samples, count);
}
