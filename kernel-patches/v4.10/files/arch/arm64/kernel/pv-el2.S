/*
 * Paravirtual EL2: in which exception level was this CPU started?
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

#include <linux/linkage.h>

#include <asm/assembler.h>
#include <asm/kvm_pv_el2.h>
#include <asm/ptrace.h>

	.text

/*
 * CurrentEL, as virtual EL2 would have it: returned in x0, nothing else is
 * clobbered. To be called with the MMU off.
 *
 * In virtual EL2 the host answers the HVC. In EL1 one of these happens to it:
 *  - there is no EL2, or it disables HVC: undefined, see __pv_el2_undefined;
 *  - KVM, or another hypervisor, takes it for an SMCCC or PSCI call. The
 *    number of the function is what x0 holds: CurrentEL_EL1 is none, so that
 *    the answer is NOT_SUPPORTED or an undefined instruction.
 * EL2 proper is too late for a question: HVCs which this kernel uses as EL2's
 * instructions would be taken to EL2 itself.
 */
ENTRY(pv_el2_current_el)
	mrs	x0, CurrentEL
	cmp	x0, #CurrentEL_EL2
	b.eq	.				// See KVM_ARM_PV_EL2's help

	adr_l	x0, __pv_el2_vectors
	msr	vbar_el1, x0
	isb
	mov	x0, #CurrentEL_EL1
	hyp_mrs	x0, CurrentEL
	ret
ENDPROC(pv_el2_current_el)

__pv_el2_undefined:
	mov	x0, #CurrentEL_EL1
	msr	elr_el1, lr			// Return for pv_el2_current_el
	eret

/* Only synchronous exceptions from EL1 itself: everything else is masked */
	.align	11
__pv_el2_vectors:
	b	__pv_el2_undefined		// SP_EL0
	.org	__pv_el2_vectors + 0x200
	b	__pv_el2_undefined		// SP_EL1
