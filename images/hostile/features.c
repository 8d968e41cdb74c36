// SPDX-License-Identifier: GPL-2.0-only
/*
 * features  instructions of features that the CPU may have and the hypervisor may not know, with
 *           all that enables them below EL2.
 * ids       reads of all identification registers. Knows what may be there.
 */
#include "hostile.h"
#include "id-registers.h"

#define MRS_X0(op1, crn, crm, op2) \
	(0xd5380000u | (op1) << 16 | (crn) << 12 | (crm) << 8 | (op2) << 5)
#define SCTLR_PAUTH	(1ul << 31 | 1ul << 30 | 1ul << 27 | 1ul << 13)
#define WFIT		0xd5031020u	/* wfit x0 */
#define SVE		0x04000000u	/* op0 of the A64 encoding: 0b0010 */
#define SME		0x80000000u	/* 0b0000, and bit 31 */
#define DATA_REGISTER	0x0a000000u	/* 0bx101 */
#define DATA_SIMD	0x0e000000u	/* 0bx111 */
#define OP0_MASK	0x1e000000u

static uint64_t mistakes;

static uint32_t feature_word(void)
{
	static const uint32_t words[] = {
		0x0420e3e0,			/* SVE: cntb x0 */
		0x2518e3e0,			/* ptrue p0.b */
		0xa400a020,			/* ld1b {z0.b}, p0/z, [x1] */
		0xd503477f, 0xd503467f,		/* SME: smstart, smstop */
		0x04bf5820,			/* rdsvl x0, #1 */
		0xdac10020, 0xdac11020,		/* PAuth: pacia, autia x0, x1 */
		0xd503233f, 0xd50323bf,		/* paciasp, autiasp */
		0x9ac13020,			/* pacga x0, x1, x1 */
		0xf8200420,			/* ldraa x0, [x1] */
		0x9adf1000, 0xd9200820,		/* MTE: irg x0, x0; stg x0, [x1] */
		0x1d010400,			/* MOPS: cpyfp */
		0xf83fd020,			/* LS64: ld64b x0, [x1] */
		0xd5233060, 0xd503307f,		/* TME: tstart x0, tcommit */
		0xd503223f, 0xd503225f,		/* SPE, TRF: psb csync, tsb csync */
		0xd503221f,			/* RAS: esb */
		0xd5031000, WFIT,		/* wfet x0 */
		MRS_X0(0, 2, 1, 0),		/* APIAKeyLo_EL1 */
		MRS_X0(0, 1, 2, 0),		/* ZCR_EL1 */
		MRS_X0(0, 1, 2, 6),		/* SMCR_EL1 */
		MRS_X0(3, 4, 2, 2),		/* SVCR */
		MRS_X0(0, 5, 3, 1),		/* ERRSELR_EL1 */
		MRS_X0(0, 10, 4, 3),		/* LORC_EL1 */
		MRS_X0(0, 10, 4, 4),		/* MPAMIDR_EL1 */
		MRS_X0(0, 10, 5, 0),		/* MPAM1_EL1 */
		MRS_X0(0, 9, 9, 0),		/* PMSCR_EL1 */
		MRS_X0(0, 9, 11, 7),		/* TRBIDR_EL1 */
		MRS_X0(0, 1, 2, 1),		/* TRFCR_EL1 */
		MRS_X0(0, 13, 0, 7),		/* SCXTNUM_EL1 */
		MRS_X0(3, 13, 2, 0),		/* AMCR_EL0 */
		MRS_X0(3, 2, 4, 0),		/* RNDR */
		MRS_X0(3, 14, 0, 5),		/* CNTPCTSS_EL0 */
		MRS_X0(4, 1, 1, 4),		/* HFGRTR_EL2 */
		MRS_X0(4, 14, 0, 6),		/* CNTPOFF_EL2 */
	};

	switch (random64() % 8) {
	case 0:
		return SVE | (random64() & ~OP0_MASK & 0x7fffffff);
	case 1:
		return SME | (random64() & ~OP0_MASK & 0x3fffffff);
	case 2:
		return DATA_REGISTER | (random64() & ~OP0_MASK) | (random64() & 0x10000000);
	case 3:
		return DATA_SIMD | (random64() & ~OP0_MASK) | (random64() & 0x10000000);
	default:
		return words[random64() % (sizeof(words) / sizeof(*words))];
	}
}

static void features_round(void)
{
	enum level level = random64() % (has_el2 ? 3 : 2);
	uint32_t word = feature_word();
	uint64_t gprs[31], sctlr;

	/* Nothing wakes us up but the watchdog, which virtual EL2 has for the levels below. */
	if (word == WFIT && (!has_el2 || level == EL2))
		return;
	wild_gprs(gprs);
	gprs[1] = (uint64_t)arena;
	write_snippet(&word, 1);
	if (has_el2) {
		pv_write(CPTR_EL2, random64() % 2 ? 0 : wild());
		pv_write(CPACR_EL1, ~0ul);
		pv_write(SCTLR_EL1, SCTLR_EL1_VALUE | SCTLR_PAUTH);
		run_snippet(level, gprs);
		vel2_sane();
		return;
	}
	sctlr = read_native(sctlr_el1);
	write_native(cpacr_el1, ~0ul);
	write_native(sctlr_el1, sctlr | SCTLR_PAUTH);
	run_snippet(level, gprs);
	write_native(sctlr_el1, sctlr);
	write_native(cpacr_el1, 0);
}

static uint64_t id_register(enum level level, uint32_t crm, uint32_t op2)
{
	uint32_t word = MRS_X0(0, 0, crm, op2);
	uint64_t gprs[31];

	wild_gprs(gprs);
	write_snippet(&word, 1);
	while (is_irq(run_snippet(level, gprs)))
		;
	return this_frame()->x0;
}

/* Does @value hold in each field of four bits no more than is allowed? */
static bool within(uint64_t value, const struct id_register *limits)
{
	for (int lsb = 0; lsb < 64; lsb += 4) {
		uint64_t field = value >> lsb & 15, limit = limits->limit >> lsb & 15;

		if (has_el2)
			limit = limits->limit_el2 >> lsb & 15;
		if (field > limit && !(field == 15 && (limits->is_signed >> lsb & 15)))
			return false;
	}
	return true;
}

static void ids_round(void)
{
	static const struct id_register none;
	enum level level = has_el2 && random64() % 2 ? EL2 : EL1;
	uint32_t crm = 1 + random64() % 7, op2 = random64() % 8;
	const struct id_register *limits = id_registers;
	uint64_t value = id_register(level, crm, op2);

	while (limits->crm && (limits->crm != crm || limits->op2 != op2))
		limits++;
	if (within(value, limits->crm ? limits : &none))
		return;
	mistakes++;
	line_start("found");
	line_number("crm", crm);
	line_number("op2", op2);
	line_hex("value", value);
	line_end();
}

static void ids_start(void)
{
	mistakes = 0;
}

static void ids_stop(void)
{
	checked(mistakes);
}

const struct attack feature_attacks[] = {
	{ "features", false, features_round, NULL, NULL },
	{ "ids", false, ids_round, ids_start, ids_stop },
	{ NULL, false, NULL, NULL, NULL },
};
