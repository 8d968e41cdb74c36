/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Executes a few instructions with wild registers and survives what comes of
 * it: every exception ends in recover, which returns from the probe. Nothing
 * that the instructions may have changed is used there, but TPIDR_EL1.
 */
#include "pv-ops.h"

#define FRAME_ARMED	0
#define FRAME_X0	8
#define FRAME_SP	16
#define FRAME_SAVED	24
#define BRK_END		0x5afe
#define CURRENTEL_EL2	8

	.macro start_probe
	mrs	x2, tpidr_el1
	stp	x19, x20, [x2, #FRAME_SAVED]
	stp	x21, x22, [x2, #FRAME_SAVED + 16]
	stp	x23, x24, [x2, #FRAME_SAVED + 32]
	stp	x25, x26, [x2, #FRAME_SAVED + 48]
	stp	x27, x28, [x2, #FRAME_SAVED + 64]
	stp	x29, x30, [x2, #FRAME_SAVED + 80]
	mov	x3, sp
	str	x3, [x2, #FRAME_SP]
	mov	x3, #1
	str	x3, [x2, #FRAME_ARMED]
	ldp	x2, x3, [x0, #16]
	ldp	x4, x5, [x0, #32]
	ldp	x6, x7, [x0, #48]
	ldp	x8, x9, [x0, #64]
	ldp	x10, x11, [x0, #80]
	ldp	x12, x13, [x0, #96]
	ldp	x14, x15, [x0, #112]
	ldp	x16, x17, [x0, #128]
	ldp	x18, x19, [x0, #144]
	ldp	x20, x21, [x0, #160]
	ldp	x22, x23, [x0, #176]
	ldp	x24, x25, [x0, #192]
	ldp	x26, x27, [x0, #208]
	ldp	x28, x29, [x0, #224]
	ldr	x30, [x0, #240]
	ldp	x0, x1, [x0]
	.endm

	.text
	.globl	probe_here
probe_here:
	start_probe
	b	snippet

	.globl	probe_eret
probe_eret:
	start_probe
	eret

	.globl	probe_pv_eret
probe_pv_eret:
	start_probe
	.inst	EL2_ERET

	/* Written at run time; what it does not overwrite ends the probe. */
	.balign	64
	.globl	snippet
snippet:
	.rept	16
	brk	#BRK_END
	.endr

	/* CPU 1 in EL1: x1 = first address, x3 = offset mask; x4 counts */
	.globl	race_loop
race_loop:
	mov	x2, #0
1:	ldr	x5, [x1, x2]
	str	x4, [x1, x2]
	add	x4, x4, #1
	add	x2, x2, #2048
	and	x2, x2, x3
	b	1b

	.macro	recovering number
	.balign	128
	msr	tpidrro_el0, x0
	mrs	x0, tpidr_el1
	mov	x1, #\number
	b	recover
	.endm

	.balign	2048
	.globl	hostile_vectors
hostile_vectors:
	.irp	number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	recovering \number
	.endr

recover:
	ldr	x2, [x0, #FRAME_ARMED]
	cbz	x2, 1f
	str	xzr, [x0, #FRAME_ARMED]
	mrs	x2, tpidrro_el0
	str	x2, [x0, #FRAME_X0]
	ldr	x2, [x0, #FRAME_SP]
	mov	sp, x2
	ldp	x19, x20, [x0, #FRAME_SAVED]
	ldp	x21, x22, [x0, #FRAME_SAVED + 16]
	ldp	x23, x24, [x0, #FRAME_SAVED + 32]
	ldp	x25, x26, [x0, #FRAME_SAVED + 48]
	ldp	x27, x28, [x0, #FRAME_SAVED + 64]
	ldp	x29, x30, [x0, #FRAME_SAVED + 80]
	mov	w0, w1
	ret
1:	mrs	x3, CurrentEL
	cmp	x3, #CURRENTEL_EL2
	b.eq	2f
	mrs	x0, esr_el1
	mrs	x1, elr_el1
	mrs	x2, far_el1
	bl	unexpected_exception
	b	.
2:	mrs	x0, esr_el2		// as FEAT_NV has it
	mrs	x1, elr_el2
	mrs	x2, far_el2
	bl	unexpected_exception
	b	.

	/* Virtual EL1 hands everything on to virtual EL2. */
	.balign	2048
	.globl	el1_vectors
el1_vectors:
	.rept	16
	.balign	128
	hvc	#0
	b	. - 4
	.endr

/*
 * The ladder: an HVC with each immediate. Those of EL1 arrive at virtual EL2,
 * with their immediates, and are returned from; those of EL0 are undefined, and
 * EL1 goes on behind them. x19 counts, in the syndrome that comes next. x20 is
 * set where none comes to us, x21 where there is a virtual EL2.
 */
#define ESR_UNDEFINED	0x02000000

	.macro start_climb
	mrs	x2, tpidr_el1
	stp	x19, x20, [x2, #FRAME_SAVED]
	stp	x21, x30, [x2, #FRAME_SAVED + 16]
	mov	x3, sp
	str	x3, [x2, #FRAME_SP]
	mov	x19, x0
	mov	x20, xzr
	mov	x21, xzr
	.endm

	/* u64 climb_*(u64 syndrome); they return how many rungs there were */
	.globl	climb_here
climb_here:
	start_climb
	mov	x20, #1
	mov	x0, #-1			// a function that nobody has
	b	ladder

	.globl	climb_eret
climb_eret:
	start_climb
	eret

	.globl	climb_pv_eret
climb_pv_eret:
	start_climb
	mov	x21, #1
	.inst	EL2_ERET

	.globl	ladder
ladder:
	.set	immediate, 0
	.rept	65536
	hvc	#immediate
	.set	immediate, immediate + 1
	.endr
	cbnz	x20, 1f
	brk	#BRK_END
1:	mov	x19, #0x10000

climbed:
	and	x0, x19, #0x1ffff
	mrs	x2, tpidr_el1
	ldr	x3, [x2, #FRAME_SP]
	mov	sp, x3
	ldp	x19, x20, [x2, #FRAME_SAVED]
	ldp	x21, x30, [x2, #FRAME_SAVED + 16]
	ret

	/* Of virtual EL2, for HVCs of EL1 */
	.balign	2048
	.globl	climb_vectors
climb_vectors:
	.rept	8
	.balign	128
	b	climbed
	.endr
	.balign	128
	.inst	EL2_ESR_EL2 | EL2_READ
	cmp	x0, x19
	b.ne	climbed
	add	x19, x19, #1
	.inst	EL2_ERET
	.rept	7
	.balign	128
	b	climbed
	.endr

	/* Of EL1, for HVCs of EL0 */
	.balign	2048
	.globl	climb_el1_vectors
climb_el1_vectors:
	.rept	8
	.balign	128
	b	climbed
	.endr
	.balign	128
	mrs	x0, esr_el1
	mov	x1, #ESR_UNDEFINED
	cmp	x0, x1
	b.ne	1f
	mrs	x0, elr_el1
	add	x0, x0, #4
	msr	elr_el1, x0
	add	x19, x19, #1
	eret
1:	cbz	x21, climbed		// the BRK
	hvc	#0
	.rept	7
	.balign	128
	b	climbed
	.endr

	.balign	4096
