// SPDX-License-Identifier: GPL-2.0-only
/* CPU 1, which works only where an attack wants two CPUs. */
#include "hostile.h"

#define HELPER_SGI		1

static void (*volatile helper_work)(void);
volatile bool helper_busy, helper_told;
volatile uint64_t helper_vncr;

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
	catch_exceptions(1);
	gic_init_cpu();
	if (has_el2) {
		if (!ARCHITECTED)
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
