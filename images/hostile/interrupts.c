// SPDX-License-Identifier: GPL-2.0-only
/*
 * lists   list registers that claim interrupts of others, and a level below that uses them.
 * frames  GICv2: accesses of any size to any place in the frames of the virtual interface.
 * senders one software interrupt in all list registers. Knows what must come of it.
 */
#include "hostile.h"

#define MRS_IAR1	0xd538cc00u		/* mrs x0, ICC_IAR1_EL1 */
#define MSR_EOIR1	0xd518cc20u
#define MSR_DIR		0xd518cb20u
#define LDR_IAR		0xb9400c20u		/* ldr w0, [x1, #GICC_IAR] */
#define STR_EOIR	0xb9001020u
#define STR_DIR		0xb9100020u
#define LOAD_OR_STORE	0x39000020u		/* of x0, at [x1] */
#define LOAD		(1u << 22)
#define SIZE_SHIFT	30
#define ISB		0xd5033fdfu
#define GICC_FRAME	0x2000
#define GICH_FRAME	0x1000
#define GICH_LR_PENDING	(1u << 28)
#define ICH_LR_PENDING	(1ul << 62 | 1ul << 60)	/* of group 1 */
#define HCR_EN		1			/* of GICH_HCR and ICH_HCR_EL2 */
#define HCR_UIE		2

static uint32_t wild_pintid(void)
{
	static const uint16_t pintids[] = {
		0, 1, 15, 16, 25, 26, 27, 30, 31, 32, 33, 34, 48, 255, 256,
		1019, 1020, 1023, 511, 512,
	};

	return pintids[random64() % (sizeof(pintids) / sizeof(*pintids))];
}

static uint64_t wild_lr(void)
{
	uint64_t lr = random64() & ~(0x3fful << 32);

	lr |= (uint64_t)wild_pintid() << 32;
	switch (random64() % 4) {
	case 0:
		return wild();
	case 1:			/* one that the level below will see */
		lr = (lr & 0x3ff00000001ful) | 1ul << 62 | 1ul << 61 | 1ul << 60;
		break;
	case 2:
		lr = (lr & ~0xfffffffful) | random64() % 1100;
		break;
	}
	return lr;
}

static void wild_ich(void)
{
	pv_write(ICH_VMCR_EL2, random64() % 4 ? 0xff000002 | (random64() & 0x200) : wild());
	pv_write(ICH_AP1R0_EL2, random64() % 8 ? 0 : wild());
	pv_write(ICH_AP0R0_EL2, random64() % 8 ? 0 : wild());
	pv_write(ICH_LR0_EL2, wild_lr());
	pv_write(ICH_LR1_EL2, wild_lr());
	pv_write(ICH_LR2_EL2, wild_lr());
	pv_write(ICH_LR3_EL2, wild_lr());
	pv_write(ICH_HCR_EL2, wild() | 1);
}

static uint32_t wild_gich_lr(void)
{
	uint32_t lr = (random64() & ~(0x3fful << 10)) | wild_pintid() << 10;

	switch (random64() % 4) {
	case 0:
		return wild();
	case 1:			/* one that the level below will see */
		lr = (lr & 0xffc1f) | 1u << 31 | 1u << 28;
		break;
	case 2:
		lr = (lr & ~0x3ffu) | random64() % 1024;
		break;
	}
	return lr;
}

static void wild_gich(void)
{
	uint64_t gich = machine.gich;

	write32(gich + GICH_VMCR, random64() % 4 ? 0xf8000003 | (random64() & 0x208) : wild());
	write32(gich + GICH_APR, random64() % 8 ? 0 : wild());
	for (int i = 0; i < GICH_LRS; i++)
		write32(gich + GICH_LR0 + 4 * i, wild_gich_lr());
	write32(gich + GICH_HCR, wild() | 1);
}

static void lists_round(void)
{
	static const uint32_t registers[] = {
		DAIFCLR_I, ISB, MRS_IAR1, MSR_EOIR1, MSR_DIR, MRS_IAR1, MSR_EOIR1,
	}, frame[] = {
		DAIFCLR_I, ISB, LDR_IAR, STR_EOIR, STR_DIR, LDR_IAR, STR_EOIR,
	};
	int from = random64() % 3;
	uint64_t gprs[31];

	wild_gprs(gprs);
	gprs[1] = machine.gicc;		/* below us it is the hardware's GICV */
	write_snippet((machine.gich ? frame : registers) + from, 7 - from);
	pv_write(HCR_EL2, random64() % 4 ? HCR_SANE : HCR_SANE & ~HCR_FMO);
	if (machine.gich)
		wild_gich();
	else
		wild_ich();
	run_snippet(EL1, gprs);
	note(machine.gich ? read32(machine.gich + GICH_MISR) : pv_read(ICH_MISR_EL2));
	note(machine.gich ? read32(machine.gich + GICH_ELRSR0) : pv_read(ICH_ELRSR_EL2));
}

/*
 * What we store in our own CPU interface could keep the watchdog from us; below us the same
 * address is the interface that GICH controls.
 */
static void frames_round(void)
{
	uint32_t size = random64() % 4, word = LOAD_OR_STORE | size << SIZE_SHIFT;
	bool load = random64() % 2, below = random64() % 2;
	uint64_t offset = random64(), gprs[31];

	wild_gprs(gprs);
	if (random64() % 4)
		offset &= ~((1ul << size) - 1);
	if (random64() % 2 && (load || below))
		gprs[1] = machine.gicc + offset % GICC_FRAME;
	else
		gprs[1] = machine.gich + offset % GICH_FRAME;
	if (load)
		word |= LOAD;
	write_snippet(&word, 1);
	run_snippet(below ? EL1 : EL2, gprs);
	if (random64() % 16 == 0)
		vel2_sane();
}

static void frames_stop(void)
{
	vel2_sane();
	gic_init_cpu();
}

static uint64_t mistakes;

static void senders_start(void)
{
	mistakes = 0;
}

/*
 * With a GICv2 they are interrupts from several CPUs, with a GICv3 a mistake of ours. Full list
 * registers are no underflow in either case: the level below gets on.
 */
static void senders_round(void)
{
	uint64_t gprs[31];

	wild_gprs(gprs);
	write_snippet(NULL, 0);
	if (machine.gich) {
		for (int i = 0; i < GICH_LRS; i++)
			write32(machine.gich + GICH_LR0 + 4 * i, GICH_LR_PENDING | i << 10);
		write32(machine.gich + GICH_HCR, HCR_EN | HCR_UIE);
	} else {
		pv_write(ICH_LR0_EL2, ICH_LR_PENDING);
		pv_write(ICH_LR1_EL2, ICH_LR_PENDING);
		pv_write(ICH_LR2_EL2, ICH_LR_PENDING);
		pv_write(ICH_LR3_EL2, ICH_LR_PENDING);
		pv_write(ICH_HCR_EL2, HCR_EN | HCR_UIE);
	}
	if (run_snippet(EL1, gprs) != VECTOR_LOWER_SYNC)
		mistakes++;
}

static void senders_stop(void)
{
	vel2_sane();
	checked(mistakes);
}

const struct attack interrupt_attacks[] = {
	{ "lists", true, lists_round, NULL, vel2_sane },
	{ "frames", true, frames_round, NULL, frames_stop },
	{ "senders", true, senders_round, senders_start, senders_stop },
	{ NULL, false, NULL, NULL, NULL },
};

/* As lethal(), by interrupts. */
bool lethal_interrupt(const char *name)
{
	/* one that is asserted, and interrupts, but is never acknowledged */
	static const uint32_t words[] = { DAIFCLR_I, LOOP };
	static uint64_t gprs[31];

	if (!same(name, "maintenance"))
		return false;
	write_snippet(words, 2);
	if (machine.gich)
		write32(machine.gich + GICH_HCR, 3);
	else
		pv_write(ICH_HCR_EL2, 3);
	gic_enable_ppi(MAINTENANCE_INTID);
	for (;;)
		probe_here(gprs);
}
