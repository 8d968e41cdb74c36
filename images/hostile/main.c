// SPDX-License-Identifier: GPL-2.0-only
/*
 * The hostile guest: does to its hypervisor what no sane guest does, and lives
 * to tell. Commands on its console, one line each:
 *
 *   hvc LEVEL FIRST LAST STEP     HVCs with these immediates from EL0, 1 or 2, wild registers
 *   ladder LEVEL                  HVCs with all immediates from EL0 or 1
 *   neve MECHANISMS               use those of NEVE from now on: the lower bits of VNCR_EL2
 *   attack NAME ROUNDS SEED       see the *.c beside this one
 *   lethal NAME                   what it can't survive: "@MB lethal" comes first
 *   off                           PSCI SYSTEM_OFF
 *
 * An attack is answered by "@MB progress" lines and "@MB done", which says how
 * the probes ended; its digest is over what they found, so it is the same for
 * the same seed where the attack depends on no timing.
 */
#include "hostile.h"

#define PSCI_CPU_ON		0xc4000003
#define PSCI_SYSTEM_OFF		0x84000008
#define PROGRESS_LINES		4
#define WATCHDOG_US		20000
#define BLOCK_EL0		0x0020000000000745ul	/* as normal memory; EL0 may; PXN */
#define CURRENTEL_EL2		8
#define HELPER_SGI		1

extern uint64_t page_table[512];

char arena[ARENA_SIZE] __attribute__((aligned(ARENA_SIZE)));
static struct frame frames[2];
static char deferred[2][4096] __attribute__((aligned(4096)));	/* pages for NEVE */
static uint64_t state, digest, vectors_seen[VECTORS];

void seed_random(uint64_t seed)
{
	state = seed * 0x9e3779b97f4a7c15ul + 1;
}

uint64_t random64(void)		/* xorshift64* */
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1dul;
}

/* Every second value is one of those where mistakes are made. */
uint64_t wild(void)
{
	uint64_t value = random64();

	switch (random64() % 16) {
	case 0: return 0;
	case 1: return ~0ul;
	case 2: return 1ul << value % 64;
	case 3: return ~(1ul << value % 64);
	case 4: return (1ul << value % 64) - 1;
	case 5: return value & 0xffffffff;
	case 6: return (uint64_t)arena + value % ARENA_SIZE;
	case 7: return (uint64_t)arena & ~0xffful;
	case 8: return machine.gicd + (value & 0xfff8);
	case 9: return machine.ram_base + machine.ram_size + (value & 0xffff000);
	case 10: return value & 0x000000fffffff000ul;
	default: return value;
	}
}

/* An address to go on at: nothing but the snippet is both mapped and code. */
uint64_t wild_pc(void)
{
	uint64_t value = random64();

	switch (value >> 32 & 7) {
	case 0: return value | 1ul << 40;
	case 1: return value & 0xfffffffffffcul;
	case 2: return (uint64_t)arena + (value & 0xffc);
	case 3: return (uint64_t)snippet | (value & 3);
	case 4: return machine.gicd;
	case 5: return (uint64_t)snippet + EL0_ALIAS;
	default: return (uint64_t)snippet;
	}
}

void wild_gprs(uint64_t *gprs)
{
	for (int i = 0; i < 31; i++)
		gprs[i] = wild();
}

void note(uint64_t value)
{
	digest = (digest ^ value) * 0x100000001b3ul;	/* FNV-1a, by words */
}

void write_snippet(const uint32_t *words, int count)
{
	static const uint32_t brk = 0xd42b5fc0;

	for (int i = 0; i < 8; i++) {
		snippet[i] = i < count ? words[i] : brk;
		asm volatile("dc cvau, %0\n dsb ish\n ic ivau, %0"
			     :: "r" (&snippet[i]) : "memory");
	}
	asm volatile("dsb ish\n isb" ::: "memory");
}

/* After a probe: whatever interrupted it is silenced, and how it ended is kept. */
int finish_probe(int vector)
{
	if (has_el2)
		watchdog_stop();
	vectors_seen[vector]++;
	if (!is_irq(vector))
		note(vector);
	return vector;
}

/* Execute the snippet; returns the vector by which it ended. */
int run_snippet(enum level level, const uint64_t *gprs)
{
	uint64_t pc = (uint64_t)snippet + (level == EL0 ? EL0_ALIAS : 0);

	if (level == (has_el2 ? EL2 : EL1))
		return finish_probe(probe_here(gprs));
	if (!has_el2) {
		write_native(elr_el1, pc);
		write_native(spsr_el1, DAIF | MODE_EL0T);
		return finish_probe(probe_eret(gprs));
	}
	pv_write(ELR_EL2, pc);
	pv_write(SPSR_EL2, DAIF | (level == EL1 ? MODE_EL1H : MODE_EL0T));
	watchdog_start(WATCHDOG_US);
	return finish_probe(probe_pv_eret(gprs));
}

void progress(const char *what, uint32_t at, uint32_t total)
{
	uint32_t part = total / PROGRESS_LINES;

	if (!part || !at || at % part)
		return;
	line_start("progress");
	line_word("what", what);
	line_number("at", at);
	line_number("of", total);
	line_end();
}

static void error(const char *reason)
{
	line_start("error");
	line_word("reason", reason);
	line_end();
}

static void begin(uint64_t seed)
{
	seed_random(seed);
	digest = 0xcbf29ce484222325ul;
	for (int i = 0; i < VECTORS; i++)
		vectors_seen[i] = 0;
}

static void done(const char *what)
{
	uint64_t same_level = 0, lower = 0, irqs = 0;

	for (int i = 0; i < VECTORS; i++) {
		if (is_irq(i))
			irqs += vectors_seen[i];
		else if (i < 8)
			same_level += vectors_seen[i];
		else
			lower += vectors_seen[i];
	}
	if (has_el2)
		vel2_sane();
	line_start("done");
	line_word("what", what);
	line_number("same_level", same_level);
	line_number("lower", lower);
	line_number("irqs", irqs);
	line_hex("digest", digest);
	line_end();
}

static const struct attack *find(const struct attack *attack, const char *name)
{
	for (; attack->name; attack++)
		if (same(attack->name, name))
			return attack;
	return NULL;
}

static void run_attack(char *at)
{
	static const struct attack *const lists[] = {
		attacks, interrupt_attacks, neve_attacks, table_attacks, isolation_attacks,
		feature_attacks, distributor_attacks, NULL,
	};
	const char *name = next_word(&at);
	uint32_t rounds = number(next_word(&at));
	uint32_t seed = number(next_word(&at));
	const struct attack *attack = NULL;

	for (int i = 0; !attack && lists[i]; i++)
		attack = find(lists[i], name);
	if (!attack)
		return error("unknown-attack");
	if (attack->needs_el2 && !has_el2)
		return error("needs-el2");
	begin(seed);
	if (attack->start)
		attack->start();
	for (uint32_t i = 0; i < rounds; i++) {
		progress(name, i, rounds);
		attack->round();
	}
	if (attack->stop)
		attack->stop();
	done(name);
}

static void run_hvc(char *at)
{
	uint32_t level = number(next_word(&at));
	uint32_t first = number(next_word(&at));
	uint32_t last = number(next_word(&at));
	uint32_t step = number(next_word(&at));

	if (level > (has_el2 ? EL2 : EL1) || last > 65535 || !step)
		return error("bad-argument");
	begin(first);
	hvc_storm(level, first, last, step);
	done("hvc");
}

static void run_ladder(char *at)
{
	uint32_t level = number(next_word(&at));
	uint64_t rungs;

	if (level > EL1)
		return error("bad-argument");
	rungs = hvc_ladder(level);
	line_start("done");
	line_word("what", "ladder");
	line_number("rungs", rungs);
	line_end();
}

static void run_neve(char *at)
{
	uint32_t mechanisms = number(next_word(&at));

	if (!has_el2)
		return error("needs-el2");
	for (int i = 0; i < 2; i++)
		frames[i].vncr = mechanisms ? (uint64_t)deferred[i] | mechanisms : 0;
	vel2_sane();
	line_start("done");
	line_word("what", "neve");
	line_number("mechanisms", pv_read(VNCR_EL2) & 3);
	line_end();
}

/* CPU 1 works only where an attack wants two CPUs. */
static void (*volatile helper_work)(void);
volatile bool helper_busy, helper_told;
volatile uint64_t helper_vncr;

/* What an attack which knows what must come of it has found; before "@MB done". */
void checked(uint64_t mistakes)
{
	line_start("checked");
	line_number("mistakes", mistakes);
	line_end();
}

void helper_start(void (*work)(void))
{
	if (machine.cpus < 2)
		return;
	helper_work = work;
	helper_told = false;
	helper_busy = true;
	gic_send_sgi(1, HELPER_SGI);
	while (helper_work)
		asm volatile("yield");
}

void helper_stop(void)
{
	helper_told = true;
	while (helper_busy)
		asm volatile("yield");
}

void secondary_main(void)
{
	write_native(tpidr_el1, &frames[1]);
	write_native(vbar_el1, hostile_vectors);
	gic_init_cpu();
	if (has_el2) {
		helper_vncr = pv_read(VNCR_EL2);
		vel2_start();
	}
	helper_busy = false;
	for (;;) {
		void (*work)(void);

		asm volatile("wfi" ::: "memory");
		gic_end(gic_acknowledge());
		work = helper_work;
		if (!work)
			continue;
		helper_work = NULL;
		work();
		helper_busy = false;
	}
}

void handle_irq(void)		/* of start.S; our vectors are others */
{
}

/* Interpreted from virtual EL2 only; elsewhere an unknown function of PSCI. */
static bool in_vel2(void)
{
	return pv_read(CURRENTEL) == CURRENTEL_EL2;
}

static void announce(void)
{
	line_start("ready");
	line_number("level", has_el2 ? EL2 : EL1);
	line_number("cpus", machine.cpus);
	line_end();
}

int main(void)
{
	uint64_t ram = machine.ram_base >> 30;
	char command[128];

	page_table[ram + (EL0_ALIAS >> 30)] = ram << 30 | BLOCK_EL0;
	asm volatile("dsb ish" ::: "memory");
	write_native(tpidr_el1, &frames[0]);
	write_native(vbar_el1, hostile_vectors);
	has_el2 = in_vel2();
	gic_init_distributor();
	gic_init_cpu();
	gic_enable_spi(machine.uart_intid);
	if (has_el2)
		vel2_start();
	console_init();
	if (machine.cpus >= 2)
		psci(PSCI_CPU_ON, machine.mpidr[1], (uint64_t)secondary_entry, 1);
	announce();
	for (;;) {
		char *at = command;
		const char *verb;

		console_read_line(command, sizeof(command));
		verb = next_word(&at);
		if (same(verb, "hvc")) {
			run_hvc(at);
		} else if (same(verb, "ladder")) {
			run_ladder(at);
		} else if (same(verb, "neve")) {
			run_neve(at);
		} else if (same(verb, "attack")) {
			run_attack(at);
		} else if (same(verb, "lethal")) {
			line_start("lethal");
			line_end();
			if (!lethal(next_word(&at)))
				error("unknown-end");
		} else if (same(verb, "off")) {
			line_start("off");
			line_end();
			psci(PSCI_SYSTEM_OFF, 0, 0, 0);
		} else if (*verb) {
			error("unknown-command");
		}
	}
}
