/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOSTILE_H
#define HOSTILE_H

#include "bare.h"
#include "pv-ops.h"

enum level { EL0, EL1, EL2 };

/*
 * Where a probe comes back to: an exception of any kind, at the level that
 * owns the vectors, ends it. TPIDR_EL1 points here. probe.S knows the offsets.
 */
struct frame {
	uint64_t armed;		/* a probe runs */
	uint64_t x0;		/* as the probe left it */
	uint64_t sp;
	uint64_t saved[12];	/* x19 to x30 */
	uint64_t vncr;		/* VNCR_EL2 unless an attack changes it */
};

/* Number of the vector by which a probe ended, in the order of the table. */
#define VECTORS			16
#define VECTOR_CURRENT_SYNC	4
#define VECTOR_CURRENT_IRQ	5
#define VECTOR_LOWER_SYNC	8
#define VECTOR_LOWER_IRQ	9
#define is_irq(vector)		((vector) % 4 == 1)

/* Load x0 to x30 from @gprs, then go on at the snippet; @how is a level's. */
int probe_here(const uint64_t *gprs);
int probe_eret(const uint64_t *gprs);		/* to ELR_EL1 */
int probe_pv_eret(const uint64_t *gprs);	/* to virtual ELR_EL2 */
extern uint32_t snippet[16], race_loop[];
extern char hostile_vectors[], el1_vectors[];

/* HVC with every immediate, and how many there were. */
uint64_t climb_here(uint64_t syndrome);
uint64_t climb_eret(uint64_t syndrome);
uint64_t climb_pv_eret(uint64_t syndrome);
extern uint32_t ladder[];
extern char climb_vectors[], climb_el1_vectors[];
#define ESR_HVC		0x5a000000ul

/* The same memory again where EL0 may use it, see main.c. */
#define EL0_ALIAS	(256ul << 30)

#define HVC		0xd4000002u

/* What virtual EL2 executes: HVCs, or where it is the architecture's, instructions of EL2. */
#define pv_write(name, value) do {					\
	register uint64_t _value asm("x0") = (value);			\
									\
	asm volatile(".inst %c1" :: "r" (_value),			\
		     "i" (EL2_##name) : "memory");			\
} while (0)

#define pv_read(name) ({						\
	register uint64_t _value asm("x0") = 0;				\
									\
	asm volatile(".inst %c1" : "+r" (_value) :			\
		     "i" (EL2_##name | EL2_READ) : "memory");		\
	_value;								\
})

#define read_native(name) ({						\
	uint64_t _value;						\
									\
	asm volatile("mrs %0, " #name : "=r" (_value));			\
	_value;								\
})
#define this_frame()	((struct frame *)read_native(tpidr_el1))
#define write_native(name, value) \
	asm volatile("msr " #name ", %0\n isb" :: "r" ((uint64_t)(value)) : "memory")

#define HCR_VM		(1ul << 0)
#define HCR_FMO		(1ul << 3)
#define HCR_IMO		(1ul << 4)
#define HCR_AMO		(1ul << 5)
#define HCR_TGE		(1ul << 27)
#define HCR_RW		(1ul << 31)
#define HCR_E2H		(1ul << 34)
#define HCR_SANE	(HCR_RW | HCR_AMO | HCR_IMO | HCR_FMO)
#define DAIF		0x3c0ul
#define MODE_EL0T	0ul
#define MODE_EL1H	5ul
#define MODE_EL2H	9ul
#define VTCR_40_BITS	(1ul << 31 | 2ul << 16 | 3ul << 12 | 1ul << 10 | \
			 1ul << 8 | 1ul << 6 | 24)	/* 4K, level 1 first */

#define SCTLR_EL1_VALUE	0x30d01805ul

/* Descriptors of translation tables; S2: of stage 2 */
#define ENTRIES		512
#define VALID		1ul
#define TABLE		2ul
#define AF		(1ul << 10)
#define S2_READ		(1ul << 6)
#define S2_WRITE	(2ul << 6)
#define S2_NORMAL	(0xful << 2)
#define S2_SHARED	(3ul << 8)
#define S2_LEAF		(VALID | AF | S2_READ | S2_NORMAL | S2_SHARED)
#define LDR_X0_X1	0xf9400020u
#define DAIFCLR_I	0xd50342ffu
#define LOOP		0x14000000u	/* b . */

#define CURRENTEL_EL2	8
#define SLOT_HCR_EL2	(0x78 / 8)	/* in NEVE's page, as in that of FEAT_NV2 */

/* random.c */
void seed_random(uint64_t seed);
uint64_t random64(void);
uint64_t wild(void);
uint64_t wild_pc(void);
void wild_gprs(uint64_t *gprs);
extern char arena[];
#define ARENA_SIZE	(16 * 4096)

/* findings.c */
void findings_begin(void);
void findings_end(const char *what);
void note(uint64_t value);
void note_vector(int vector);
void checked(uint64_t mistakes);
void progress(const char *what, uint32_t at, uint32_t total);

/* vel2.c */
#define MAINTENANCE_INTID	25	/* a PPI, as is the hypervisor timer's */
#define WATCHDOG_INTID	26
#define SPURIOUS	1020		/* from here on, nothing to acknowledge */
extern bool has_el2;	/* Are we in a virtual EL2? If not, this is an ordinary guest's EL1. */
void vel2_start(void);
void vel2_sane(void);
void wild_lower_levels(void);
uint64_t survivable_hcr(uint64_t value);
uint64_t vel2_good_value(uint32_t op, bool *vital);
void watchdog_start(uint32_t microseconds);
void watchdog_stop(void);
uint64_t psci(uint64_t function, uint64_t a1, uint64_t a2, uint64_t a3);

/* snippet.c */
extern struct frame frames[];
void catch_exceptions(int cpu);
void use_vectors(const char *vectors);
void write_snippet(const uint32_t *words, int count);
int run_snippet(enum level level, const uint64_t *gprs);
int finish_probe(int vector);
void vel2_access(uint32_t op, bool is_read, uint64_t value);

/* helper.c */
void helper_start(void (*work)(void));
void helper_stop(void);
extern volatile bool helper_busy, helper_told;
extern volatile uint64_t helper_vncr;
void secondary_entry(void);	/* of start.S */

/* attacks.c, distributor.c, features.c, interrupts.c, neve.c, tables.c, isolation.c, e2h.c */
struct attack {
	const char *name;
	bool needs_el2;
	void (*round)(void);
	void (*start)(void);
	void (*stop)(void);
};

extern const struct attack attacks[], interrupt_attacks[], neve_attacks[], table_attacks[],
			   isolation_attacks[], feature_attacks[], distributor_attacks[],
			   e2h_attacks[];
void hvc_storm(enum level level, uint32_t first, uint32_t last, uint32_t step);
uint64_t hvc_ladder(enum level level);
bool lethal(const char *name);
bool lethal_interrupt(const char *name);

/* The frame of GICv2's virtual interface control */
#define GICH_HCR	0x00
#define GICH_VMCR	0x08
#define GICH_MISR	0x10
#define GICH_ELRSR0	0x30
#define GICH_APR	0xf0
#define GICH_LR0	0x100
#define GICH_LRS	4

#endif
