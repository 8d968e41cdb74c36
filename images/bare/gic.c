// SPDX-License-Identifier: GPL-2.0-only
/* GICv2 and GICv3, as far as SGIs, PPIs and one SPI need them. */
#include "bare.h"

#define GICD_CTLR		0x000
#define GICD_IGROUPR		0x080
#define GICD_ISENABLER		0x100
#define GICD_IPRIORITYR		0x400
#define GICD_ITARGETSR		0x800
#define GICD_ICFGR		0xc00
#define GICD_SGIR		0xf00
#define GICD_IROUTER		0x6000
#define GICD_CTLR_ENABLE_G0	1
#define GICD_CTLR_ENABLE_G1A	2
#define GICD_CTLR_ARE_NS	0x10

#define GICC_CTLR		0x00
#define GICC_PMR		0x04
#define GICC_IAR		0x0c
#define GICC_EOIR		0x10

#define GICR_STRIDE		0x20000
#define GICR_WAKER		0x14
#define GICR_TYPER		0x08
#define GICR_TYPER_LAST		0x10
#define GICR_SGI_FRAME		0x10000
#define WAKER_PROCESSOR_SLEEP	2
#define WAKER_CHILDREN_ASLEEP	4

#define PRIORITY_MASK		0xf0

static uint64_t redistributor(void)
{
	uint64_t mpidr, base = machine.gicc;
	uint32_t affinity;

	asm volatile("mrs %0, mpidr_el1" : "=r" (mpidr));
	affinity = (mpidr & 0xffffff) | (mpidr >> 8 & 0xff000000);
	while (read32(base + GICR_TYPER + 4) != affinity &&
	       !(read32(base + GICR_TYPER) & GICR_TYPER_LAST))
		base += GICR_STRIDE;
	return base;
}

void gic_init_distributor(void)
{
	uint32_t enable = GICD_CTLR_ENABLE_G0;

	if (machine.gic_version == 3)
		enable = GICD_CTLR_ARE_NS | GICD_CTLR_ENABLE_G1A;
	write32(machine.gicd + GICD_CTLR, enable);
}

void gic_init_cpu(void)
{
	uint64_t base;

	if (machine.gic_version == 2) {
		write32(machine.gicc + GICC_PMR, PRIORITY_MASK);
		write32(machine.gicc + GICC_CTLR, 1);
		return;
	}
	base = redistributor();
	write32(base + GICR_WAKER,
		read32(base + GICR_WAKER) & ~WAKER_PROCESSOR_SLEEP);
	while (read32(base + GICR_WAKER) & WAKER_CHILDREN_ASLEEP)
		;
	base += GICR_SGI_FRAME;
	write32(base + GICD_IGROUPR, ~0u);
	write32(base + GICD_ISENABLER, 0xffff);
	asm volatile("msr s3_0_c12_c12_5, %0\n"		/* ICC_SRE_EL1 */
		     "isb\n"
		     "msr s3_0_c4_c6_0, %1\n"		/* ICC_PMR_EL1 */
		     "msr s3_0_c12_c12_7, %2\n"		/* ICC_IGRPEN1_EL1 */
		     "isb" :: "r" (7ul), "r" (0xf0ul), "r" (1ul));
}

/* Enables private interrupt @intid of this CPU. */
void gic_enable_ppi(uint32_t intid)
{
	uint64_t frame = machine.gicd;		/* banked by CPU */

	if (machine.gic_version == 3)
		frame = redistributor() + GICR_SGI_FRAME;
	write32(frame + GICD_ISENABLER, 1u << intid);
}

/* Enables level-sensitive SPI @intid and sends it to CPU 0. */
void gic_enable_spi(uint32_t intid)
{
	uint32_t word = intid / 32 * 4, bit = 1u << intid % 32;
	uint64_t gicd = machine.gicd, trigger = gicd + GICD_ICFGR + intid / 16 * 4;

	/*
	 * The reset value is unknown. Were it edge-triggered, an interrupt that
	 * is never acknowledged would stay in a list register for good.
	 */
	write32(trigger, read32(trigger) & ~(2u << intid % 16 * 2));
	if (machine.gic_version == 3) {
		write32(gicd + GICD_IGROUPR + word,
			read32(gicd + GICD_IGROUPR + word) | bit);
		write32(gicd + GICD_IROUTER + intid * 8, 0);
		write32(gicd + GICD_IROUTER + intid * 8 + 4, 0);
	} else {
		uint64_t targets = gicd + GICD_ITARGETSR + (intid & ~3u);

		write32(targets, read32(targets) | 1u << intid % 4 * 8);
	}
	write32(gicd + GICD_ISENABLER + word, bit);
}

/* Sends software-generated interrupt @sgi to CPU @cpu of this machine. */
void gic_send_sgi(int cpu, uint32_t sgi)
{
	uint64_t mpidr = machine.mpidr[cpu];

	if (machine.gic_version == 2) {
		asm volatile("dsb ishst" ::: "memory");
		write32(machine.gicd + GICD_SGIR, 1u << (16 + cpu) | sgi);
		return;
	}
	asm volatile("dsb ishst\n"
		     "msr s3_0_c12_c11_5, %0\n"		/* ICC_SGI1R_EL1 */
		     "isb" :: "r" ((mpidr >> 32 & 0xff) << 48 |
				   (mpidr >> 16 & 0xff) << 32 |
				   (uint64_t)sgi << 24 |
				   (mpidr >> 8 & 0xff) << 16 |
				   1ul << (mpidr & 0xf)) : "memory");
}

uint32_t gic_acknowledge(void)
{
	uint64_t iar;

	if (machine.gic_version == 2)
		return read32(machine.gicc + GICC_IAR);
	asm volatile("mrs %0, s3_0_c12_c12_0\n"		/* ICC_IAR1_EL1 */
		     "dsb sy" : "=r" (iar) :: "memory");
	return iar;
}

/* Ends interrupt @intid: EOImode 0, priority drop and deactivation in one. */
void gic_end(uint32_t intid)
{
	if (machine.gic_version == 2) {
		write32(machine.gicc + GICC_EOIR, intid);
		return;
	}
	asm volatile("msr s3_0_c12_c12_1, %0\n"		/* ICC_EOIR1_EL1 */
		     "isb" :: "r" ((uint64_t)intid) : "memory");
}
