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
#define BLOCK_EL0		0x0020000000000745ul	/* as normal memory; EL0 may; PXN */

extern uint64_t page_table[512];

static char deferred[2][4096] __attribute__((aligned(4096)));	/* pages for NEVE */

static void error(const char *reason)
{
	line_start("error");
	line_word("reason", reason);
	line_end();
}

static void begin(uint64_t seed)
{
	seed_random(seed);
	findings_begin();
}

static void done(const char *what)
{
	if (has_el2)
		vel2_sane();
	findings_end(what);
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
		feature_attacks, distributor_attacks, e2h_attacks, NULL,
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
	line_number("mechanisms", ARCHITECTED ? 0 : pv_read(VNCR_EL2) & 3);
	line_end();
}

void handle_irq(void)		/* of start.S; our vectors are others */
{
}

/* An HVC is interpreted from virtual EL2 only; elsewhere it is an unknown function of PSCI. */
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
	has_el2 = in_vel2();
	catch_exceptions(0);
	gic_init_distributor();
	gic_init_cpu();
	gic_enable_spi(console_intid());
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
