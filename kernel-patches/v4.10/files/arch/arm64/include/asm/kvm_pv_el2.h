/*
 * Paravirtual EL2: the instructions of EL2 code, natively or as HVCs
 *
 * This program is free software; you can redistribute it and/or modify
 * it under the terms of the GNU General Public License version 2 as
 * published by the Free Software Foundation.
 *
 * This program is distributed in the hope that it will be useful,
 * but WITHOUT ANY WARRANTY; without even the implied warranty of
 * MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE.  See the
 * GNU General Public License for more details.
 *
 * You should have received a copy of the GNU General Public License
 * along with this program.  If not, see <http://www.gnu.org/licenses/>.
 */

#ifndef __ASM_KVM_PV_EL2_H
#define __ASM_KVM_PV_EL2_H

/*
 * Code that runs at EL2 says hyp_mrs, hyp_msr, hyp_mrs_s, hyp_msr_s, hyp_at,
 * hyp_tlbi and hyp_eret for the instructions of these names.
 *
 * With CONFIG_KVM_ARM_PV_EL2, this EL2 is the virtual EL2 of a host on ARMv8.0.
 * What would trap to the host on ARMv8.3 is then an HVC to it, and everything
 * else is the instruction, as everything is without the option.
 *
 * The assembler finds out by looking for a symbol .L__pv_el2_op_<name>, or
 * .L__pv_el2_op_<sys_reg()> for the *_s: names must be in lower case.
 */

#include <linux/stringify.h>

#include <asm/kvm_pv_el2_ops.h>
#include <asm/sysreg.h>

#ifdef CONFIG_KVM_ARM_PV_EL2
#ifdef __ASSEMBLY__

#define __PV_EL2_SYMBOLS(name, sysreg, op)				\
	.equ	.L__pv_el2_op_##name, op;				\
	.equ	.L__pv_el2_op_##sysreg, op;

	PV_EL2_GUEST_OPS(__PV_EL2_SYMBOLS)
	.equ	.L__pv_el2_op_eret, PV_EL2_OP_ERET
	.equ	.L__reg_num_lr, 30
	.equ	.L__reg_num_, 31		/* no operand */

	.macro	__pv_el2, op, read, rt, native:vararg
	.ifdef	.L__pv_el2_op_\op
	hvc	#(.L__pv_el2_op_\op << PV_EL2_HVC_OP_SHIFT | \
		  \read * PV_EL2_HVC_READ | .L__reg_num_\rt)
	.else
	\native
	.endif
	.endm

	.macro	hyp_mrs, rt, sreg
	__pv_el2 \sreg, 1, \rt, mrs \rt, \sreg
	.endm

	.macro	hyp_msr, sreg, rt
	__pv_el2 \sreg, 0, \rt, msr \sreg, \rt
	.endm

	.macro	__hyp_mrs_s, rt, sreg
	.noaltmacro
	__pv_el2 \sreg, 1, \rt, mrs_s \rt, \sreg
	.endm

	.macro	__hyp_msr_s, sreg, rt
	.noaltmacro
	__pv_el2 \sreg, 0, \rt, msr_s \sreg, \rt
	.endm

	/* The % of .altmacro makes a number of the expression */
	.macro	hyp_mrs_s, rt, sreg
	.altmacro
	__hyp_mrs_s \rt, %(\sreg)
	.endm

	.macro	hyp_msr_s, sreg, rt
	.altmacro
	__hyp_msr_s %(\sreg), \rt
	.endm

	.macro	hyp_at, op, rt
	__pv_el2 at_\op, 0, \rt, at \op, \rt
	.endm

	.macro	hyp_tlbi, op, rt
	.ifb	\rt
	__pv_el2 tlbi_\op, 0, , tlbi \op
	.else
	__pv_el2 tlbi_\op, 0, \rt, tlbi \op, \rt
	.endif
	.endm

	.macro	hyp_eret
	__pv_el2 eret, 0
	.endm

#else	/* __ASSEMBLY__ */

#define __PV_EL2_SYMBOLS(name, sysreg, op)				\
"	.equ	.L__pv_el2_op_" #name ", " #op "\n"			\
"	.equ	.L__pv_el2_op_" #sysreg ", " #op "\n"

asm(
	PV_EL2_GUEST_OPS(__PV_EL2_SYMBOLS)
"	.equ	.L__reg_num_, 31\n"
"\n"
"	.macro	__pv_el2, op, read, rt, native:vararg\n"
"	.ifdef	.L__pv_el2_op_\\op\n"
"	hvc	#(.L__pv_el2_op_\\op << " __stringify(PV_EL2_HVC_OP_SHIFT) " |"
"		  \\read * " __stringify(PV_EL2_HVC_READ) " |"
"		  .L__reg_num_\\rt)\n"
"	.else\n"
"	\\native\n"
"	.endif\n"
"	.endm\n"
"\n"
"	.macro	hyp_mrs, rt, sreg\n"
"	__pv_el2 \\sreg, 1, \\rt, mrs \\rt, \\sreg\n"
"	.endm\n"
"\n"
"	.macro	hyp_msr, sreg, rt\n"
"	__pv_el2 \\sreg, 0, \\rt, msr \\sreg, \\rt\n"
"	.endm\n"
"\n"
"	.macro	__hyp_mrs_s, rt, sreg\n"
"	.noaltmacro\n"
"	__pv_el2 \\sreg, 1, \\rt, mrs_s \\rt, \\sreg\n"
"	.endm\n"
"\n"
"	.macro	__hyp_msr_s, sreg, rt\n"
"	.noaltmacro\n"
"	__pv_el2 \\sreg, 0, \\rt, msr_s \\sreg, \\rt\n"
"	.endm\n"
"	.macro	hyp_mrs_s, rt, sreg\n"
"	.altmacro\n"
"	__hyp_mrs_s \\rt, %(\\sreg)\n"
"	.endm\n"
"\n"
"	.macro	hyp_msr_s, sreg, rt\n"
"	.altmacro\n"
"	__hyp_msr_s %(\\sreg), \\rt\n"
"	.endm\n"
"\n"
"	.macro	hyp_at, op, rt\n"
"	__pv_el2 at_\\op, 0, \\rt, at \\op, \\rt\n"
"	.endm\n"
"\n"
"	.macro	hyp_tlbi, op, rt\n"
"	.ifb	\\rt\n"
"	__pv_el2 tlbi_\\op, 0, , tlbi \\op\n"
"	.else\n"
"	__pv_el2 tlbi_\\op, 0, \\rt, tlbi \\op, \\rt\n"
"	.endif\n"
"	.endm\n"
);

#undef read_sysreg
#define read_sysreg(r) ({						\
	u64 __val;							\
	asm volatile("hyp_mrs %0, " __stringify(r) : "=r" (__val));	\
	__val;								\
})

#undef write_sysreg
#define write_sysreg(v, r) do {						\
	u64 __val = (u64)v;						\
	asm volatile("hyp_msr " __stringify(r) ", %x0" : : "rZ" (__val)); \
} while (0)

#undef read_sysreg_s
#define read_sysreg_s(r) ({						\
	u64 __val;							\
	asm volatile("hyp_mrs_s %0, " __stringify(r) : "=r" (__val));	\
	__val;								\
})

#undef write_sysreg_s
#define write_sysreg_s(v, r) do {					\
	u64 __val = (u64)v;						\
	asm volatile("hyp_msr_s " __stringify(r) ", %x0" : : "rZ" (__val)); \
} while (0)

#endif	/* __ASSEMBLY__ */

#else	/* CONFIG_KVM_ARM_PV_EL2 */

#ifdef __ASSEMBLY__
	.irp	insn, mrs, msr, mrs_s, msr_s, at, tlbi, eret
	.macro	hyp_\insn, operands:vararg
	\insn	\operands
	.endm
	.endr
#else
asm(
"	.irp	insn, mrs, msr, mrs_s, msr_s, at, tlbi\n"
"	.macro	hyp_\\insn, operands:vararg\n"
"	\\insn	\\operands\n"
"	.endm\n"
"	.endr\n"
);
#endif

#endif	/* CONFIG_KVM_ARM_PV_EL2 */

#endif	/* __ASM_KVM_PV_EL2_H */
