// SPDX-License-Identifier: GPL-2.0-only
/*
 * active       the active state of interrupts that are pending, our own and those of the other CPU,
 *              which does the same.
 * distributor  accesses of any size to any place in the frames of the distributor, and of the
 *              redistributors or the CPU interface.
 */
#include "hostile.h"

#define GICD_IGROUPR	0x080
#define GICD_ISENABLER	0x100
#define GICD_ICENABLER	0x180
#define GICD_ISPENDR	0x200
#define GICD_ICPENDR	0x280
#define GICD_ISACTIVER	0x300
#define GICD_ICACTIVER	0x380
#define GICD_IPRIORITYR	0x400
#define GICD_CPENDSGIR	0xf10
#define GICC_CTLR	0
#define GICR_SGI_FRAME	0x10000
#define GICR_STRIDE	0x20000
#define FRAME		0x10000
#define GICV2_FRAME	0x1000
#define SPI_WORDS	4		/* of 32 interrupts: more than there are */
#define LOAD_OR_STORE	0x39000020u	/* of x0, at [x1] */
#define LOAD		(1u << 22)
#define SIZE_SHIFT	30

/* Where the private interrupts of @cpu are. With a GICv2, a CPU has nothing but its own. */
static uint64_t private_frame(int cpu)
{
	if (machine.gic_version == 2)
		return machine.gicd;
	return machine.gicc + cpu * GICR_STRIDE + GICR_SGI_FRAME;
}

/* Some SGIs and PPIs, and the console's SPI, become pending and active, and cease to be. */
static void change_states(uint64_t value, int me)
{
	static const uint16_t registers[] = {
		GICD_ISACTIVER, GICD_ICACTIVER, GICD_ISACTIVER, GICD_ICACTIVER,
		GICD_ISPENDR, GICD_ICPENDR, GICD_ISENABLER, GICD_ISACTIVER,
	};
	uint64_t frame = private_frame(value >> 8 & 1 && machine.cpus > 1 ? !me : me);
	uint32_t at = registers[value >> 9 & 7];

	gic_send_sgi(value >> 12 & 1 && machine.cpus > 1 ? !me : me, 2 + (value >> 13) % 14);
	if (value >> 20 & 1)
		write32(machine.gicd + at + console_intid() / 32 * 4,
			1u << console_intid() % 32);
	/* not the SGI that the helper is called by */
	write32(frame + at, (uint32_t)(value >> 24) & ~2u);
}

static void change_from_helper(void)
{
	uint64_t value = 1;

	while (!helper_told) {
		value = value * 6364136223846793005ul + 1442695040888963407ul;
		change_states(value >> 8, 1);
	}
}

static void active_start(void)
{
	helper_start(change_from_helper);
}

static void active_round(void)
{
	change_states(random64(), 0);
}

/* As after reset, and then as main() has it. */
static void calm(void)
{
	for (int cpu = 0; cpu < machine.cpus; cpu++) {
		uint64_t frame = private_frame(cpu);

		write32(frame + GICD_ICENABLER, ~0u);
		write32(frame + GICD_ICACTIVER, ~0u);
		write32(frame + GICD_ICPENDR, ~0u);
		for (int at = 0; at < 32; at += 4) {
			write32(frame + GICD_IPRIORITYR + at, 0);
			if (machine.gic_version == 2 && at < 16)
				write32(frame + GICD_CPENDSGIR + at, ~0u);
		}
		write32(frame + GICD_IGROUPR, machine.gic_version == 2 ? 0 : ~0u);
		write32(frame + GICD_ISENABLER, 0xffff);
	}
	for (int word = 1; word <= SPI_WORDS; word++) {
		write32(machine.gicd + GICD_ICENABLER + 4 * word, ~0u);
		write32(machine.gicd + GICD_ICACTIVER + 4 * word, ~0u);
		write32(machine.gicd + GICD_ICPENDR + 4 * word, ~0u);
		write32(machine.gicd + GICD_IGROUPR + 4 * word, 0);
		for (int at = 0; at < 32; at += 4)
			write32(machine.gicd + GICD_IPRIORITYR + 32 * word + at, 0);
	}
	gic_init_distributor();
	gic_init_cpu();
	gic_enable_spi(console_intid());
	if (has_el2)
		gic_enable_ppi(WATCHDOG_INTID);
}

static void active_stop(void)
{
	helper_stop();
	calm();
}

static void distributor_round(void)
{
	uint32_t size = random64() % 4, word = LOAD_OR_STORE | size << SIZE_SHIFT;
	uint64_t offset = random64(), frame = machine.gicd, gprs[31];
	bool load = random64() % 2;

	if (random64() % 4)
		offset &= ~((1ul << size) - 1);
	if (random64() % 2)
		offset &= 0xfff;	/* where most of the registers are */
	if (machine.gic_version == 2) {
		offset %= GICV2_FRAME;
		/* our own CPU interface is hardware: what is stored there is frames' business */
		if (load && random64() % 2)
			frame = machine.gicc;
	} else {
		offset %= FRAME;
		if (random64() % 2)
			frame = machine.gicc + random64() % (2 * machine.cpus) * FRAME;
	}
	wild_gprs(gprs);
	gprs[1] = frame + offset;
	if (load)
		word |= LOAD;
	write_snippet(&word, 1);
	run_snippet(has_el2 ? EL2 : EL1, gprs);
}

const struct attack distributor_attacks[] = {
	{ "active", false, active_round, active_start, active_stop },
	{ "distributor", false, distributor_round, NULL, calm },
	{ NULL, false, NULL, NULL, NULL },
};
