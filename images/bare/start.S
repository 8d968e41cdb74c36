/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Entry, MMU and exception vectors of the flat images.
 *
 * The image is position independent: the boot protocol may put it anywhere in
 * RAM, so it applies its own relative relocations before it calls C.
 */
#define STACK_SIZE	16384
#define R_AARCH64_RELATIVE	1027

	.section .head.text, "ax"
	.globl	_head
_head:
	b	primary_entry		// arm64 boot protocol header
	.long	0
	.quad	0x80000			// text offset
	.quad	_end - _head		// image size
	.quad	0xa			// little endian, 4K pages, anywhere in RAM
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0

primary_entry:
	mov	x19, x0			// device tree
	mrs	x0, CurrentEL
	cmp	x0, #(2 << 2)		// a guest of KVM starts at EL1, or at an EL2 that is no
	b.hi	.			// hardware EL2: it can do what follows
	/* clear bss before the stack lives there */
	adrp	x0, __bss_start
	adrp	x1, __bss_end
1:	stp	xzr, xzr, [x0], #16
	cmp	x0, x1
	b.lo	1b
	/* relocate */
	adrp	x2, _head		// link address is 0, so this is the offset
	add	x2, x2, :lo12:_head
	adrp	x0, __rela_start
	add	x0, x0, :lo12:__rela_start
	adrp	x1, __rela_end
	add	x1, x1, :lo12:__rela_end
2:	cmp	x0, x1
	b.hs	3f
	ldp	x3, x4, [x0], #16	// r_offset, r_info
	ldr	x5, [x0], #8		// r_addend
	cmp	w4, #R_AARCH64_RELATIVE
	b.ne	2b
	add	x5, x5, x2
	str	x5, [x3, x2]
	b	2b
3:	/* what was written with the MMU off must not hide behind stale cache lines */
	mrs	x3, ctr_el0
	ubfx	x3, x3, #16, #4		// DminLine: log2 of words
	mov	x4, #4
	lsl	x3, x4, x3
	mov	x0, x2
	adrp	x1, _end
4:	dc	ivac, x0
	add	x0, x0, x3
	cmp	x0, x1
	b.lo	4b
	dsb	sy
	adrp	x0, stacks + STACK_SIZE
	add	x0, x0, :lo12:(stacks + STACK_SIZE)
	mov	sp, x0
	bl	set_vectors
	mov	x0, x19
	bl	build_page_table
	bl	enable_mmu
	mov	x0, x19
	bl	main
	b	.

	/* PSCI CPU_ON enters here with x0 = context, the index of the CPU */
	.globl	secondary_entry
secondary_entry:
	mov	x19, x0
	mov	x1, #STACK_SIZE
	add	x2, x0, #1
	mul	x1, x1, x2
	adrp	x0, stacks
	add	x0, x0, :lo12:stacks
	add	x0, x0, x1
	mov	sp, x0
	bl	set_vectors
	bl	enable_mmu
	bl	secondary_main
	b	.

set_vectors:
	adrp	x0, vectors
	add	x0, x0, :lo12:vectors
	msr	vbar_el1, x0
	isb
	ret

/*
 * Identity map of 512 GiB in 1 GiB blocks, so that caches and exclusives work
 * as they do for a real guest.
 */
enable_mmu:
	mov	x0, #0xff04		// attribute 0: device nGnRE, 1: normal WB
	msr	mair_el1, x0
	ldr	x0, =0x00803519		// T0SZ 25, WB inner-shareable walks, EPD1
	mrs	x1, id_aa64mmfr0_el1
	and	x1, x1, #0xf
	cmp	x1, #5
	mov	x2, #5
	csel	x1, x1, x2, lo
	orr	x0, x0, x1, lsl #32	// IPS
	msr	tcr_el1, x0
	adrp	x0, page_table
	msr	ttbr0_el1, x0
	dsb	ish
	isb
	tlbi	vmalle1
	dsb	nsh
	isb
	ldr	x0, =0x30d01805		// RES1, M, C, I
	msr	sctlr_el1, x0
	isb
	ret

	.macro	vector handler
	.balign	128
	b	\handler
	.endm

	.balign	2048
vectors:
	.rept	5
	vector	unexpected_entry
	.endr
	vector	irq_entry		// current EL with SP_ELx
	.rept	10
	vector	unexpected_entry
	.endr

	/* bool has_cycles(void): whether cycles() may be read; it is undefined without a PMU */
	.globl	has_cycles
has_cycles:
	mov	x0, #0
try_cycles:
	mrs	x1, pmccntr_el0
	mov	x0, #1
tried_cycles:
	ret

unexpected_entry:
	mrs	x1, elr_el1
	adrp	x2, try_cycles
	add	x2, x2, :lo12:try_cycles
	cmp	x1, x2
	b.ne	1f
	adrp	x2, tried_cycles
	add	x2, x2, :lo12:tried_cycles
	msr	elr_el1, x2
	eret
1:
	mrs	x0, esr_el1
	mrs	x1, elr_el1
	mrs	x2, far_el1
	bl	unexpected_exception
	b	.

irq_entry:
	stp	x29, x30, [sp, #-176]!
	stp	x0, x1, [sp, #16]
	stp	x2, x3, [sp, #32]
	stp	x4, x5, [sp, #48]
	stp	x6, x7, [sp, #64]
	stp	x8, x9, [sp, #80]
	stp	x10, x11, [sp, #96]
	stp	x12, x13, [sp, #112]
	stp	x14, x15, [sp, #128]
	stp	x16, x17, [sp, #144]
	str	x18, [sp, #160]
	bl	handle_irq
	ldr	x18, [sp, #160]
	ldp	x16, x17, [sp, #144]
	ldp	x14, x15, [sp, #128]
	ldp	x12, x13, [sp, #112]
	ldp	x10, x11, [sp, #96]
	ldp	x8, x9, [sp, #80]
	ldp	x6, x7, [sp, #64]
	ldp	x4, x5, [sp, #48]
	ldp	x2, x3, [sp, #32]
	ldp	x0, x1, [sp, #16]
	ldp	x29, x30, [sp], #176
	eret

	/* u64 smccc(u64 function, u64 a1, u64 a2, u64 a3): the conduit is HVC */
	.globl	smccc
smccc:
	hvc	#0
	ret

	.bss
	.balign	4096
	.globl	page_table
page_table:
	.space	4096
stacks:
	.space	2 * STACK_SIZE
