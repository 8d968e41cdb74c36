// SPDX-License-Identifier: GPL-2.0-only
/* A few instructions, executed at any level with any registers: see probe.S. */
#include "hostile.h"

#define WATCHDOG_US		20000

struct frame frames[2];

/* Those of our own level */
void use_vectors(const char *vectors)
{
	if (has_el2)
		pv_write(VBAR_EL2, (uint64_t)vectors);
	else
		write_native(vbar_el1, vectors);
	asm volatile("isb");
}

/* From now on exceptions end the probes of this @cpu. */
void catch_exceptions(int cpu)
{
	write_native(tpidr_el1, &frames[cpu]);
	use_vectors(hostile_vectors);
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
	note_vector(vector);
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

/* One access of virtual EL2. */
void vel2_access(uint32_t op, bool is_read, uint64_t value)
{
	uint64_t gprs[31];
	static const uint32_t words[] = EL2_INSTRUCTIONS;
	uint32_t word = words[op] | (is_read ? EL2_READ : 0);
	bool vital;

	wild_gprs(gprs);
	gprs[0] = vel2_good_value(op, &vital);
	if (!vital || is_read)
		gprs[0] = op == PV_EL2_OP_HCR_EL2 ? value & ~HCR_E2H : value;
	write_snippet(&word, 1);
	run_snippet(EL2, gprs);
	note(this_frame()->x0);
}
