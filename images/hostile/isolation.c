// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attacks that know what must come of them: each answer that is wrong counts.
 *
 * vmids    many VMIDs, each with tables of its own at once; none may see another's memory
 *          where the hypervisor below has fewer VMIDs, or fewer tables, than we use.
 * address  address translation (AT) of each regime, against tables that we know.
 */
#include "hostile.h"

#define GUESTS		4
#define PAGE		4096
#define IPA		(16ul << 30)
#define IPA_READ_ONLY	(IPA + PAGE)
#define IPA_NOTHING	(IPA + 2 * PAGE)
#define IPA_NO_TABLE	(IPA + (1ul << 30))
#define MMU_OFF		0x30d00800ul
#define PAR_F		1ul
#define PAR_S		(1ul << 9)
#define PAR_ADDRESS	0x0000fffffffff000ul
#define PAR_FST(par)	((par) >> 1 & 0x3f)
#define FST_TRANSLATION	4
#define FST_PERMISSION	12

/* Three levels of tables and a page, for each guest. */
struct guest {
	uint64_t root[ENTRIES], middle[ENTRIES], last[ENTRIES], page[ENTRIES];
};

static struct guest *guests = (void *)arena;
static uint64_t mistakes;

static uint64_t address(const void *pointer)
{
	return (uint64_t)pointer;
}

static uint64_t secret(int guest)
{
	return 0x5ec2e700ul + guest;
}

static void isolation_start(void)
{
	mistakes = 0;
	for (int i = 0; i < GUESTS; i++) {
		struct guest *guest = &guests[i];

		for (int n = 0; n < ENTRIES; n++) {
			guest->root[n] = guest->middle[n] = guest->last[n] = 0;
			guest->page[n] = secret(i);
		}
		guest->root[machine.ram_base >> 30] = machine.ram_base | S2_LEAF | S2_WRITE;
		guest->root[IPA >> 30] = address(guest->middle) | TABLE | VALID;
		guest->middle[0] = address(guest->last) | TABLE | VALID;
		guest->last[0] = address(guest->page) | TABLE | S2_LEAF | S2_WRITE;
		guest->last[1] = address(guest->page) | TABLE | S2_LEAF;
	}
	asm volatile("dsb ish" ::: "memory");
	pv_write(TLBI_ALLE1IS, 0);
	asm volatile("dsb ish" ::: "memory");
}

static void isolation_stop(void)
{
	vel2_sane();
	checked(mistakes);
}

static void use(int guest, uint64_t vmid)
{
	pv_write(VTCR_EL2, VTCR_40_BITS);
	pv_write(VTTBR_EL2, vmid << 48 | address(guests[guest].root));
	pv_write(HCR_EL2, HCR_SANE | HCR_VM);
}

static void vmids_round(void)
{
	static const uint32_t load = LDR_X0_X1;
	struct frame *frame = (struct frame *)read_native(tpidr_el1);
	uint64_t gprs[31], vmid = random64() % 256;
	int guest = vmid % GUESTS;

	wild_gprs(gprs);
	gprs[1] = IPA + (random64() & 0x1ff8);
	write_snippet(&load, 1);
	pv_write(SCTLR_EL1, MMU_OFF);
	use(guest, vmid);
	/* unless the watchdog was sooner */
	if (!is_irq(run_snippet(EL1, gprs)) && frame->x0 != secret(guest)) {
		mistakes++;
		note(vmid);
	}
	pv_write(HCR_EL2, HCR_SANE);
}

static uint64_t translated(int op, uint64_t va)
{
	switch (op) {
	case 0: pv_write(AT_S12E1R, va); break;
	case 1: pv_write(AT_S12E1W, va); break;
	case 2: pv_write(AT_S1E1R, va); break;
	case 3: pv_write(AT_S1E1W, va); break;
	case 4: pv_write(AT_S1E2R, va); break;
	case 5: pv_write(AT_S1E2W, va); break;
	case 6: pv_write(AT_S12E0R, va); break;
	default: pv_write(AT_S1E0W, va);
	}
	asm volatile("isb" ::: "memory");
	return read_native(par_el1);
}

static void expect_address(int op, uint64_t va, uint64_t to)
{
	uint64_t par = translated(op, va);

	if (par & PAR_F || (par & PAR_ADDRESS) != (to & PAR_ADDRESS)) {
		mistakes++;
		note(par);
	}
}

static void expect_fault(int op, uint64_t va, bool stage2, uint64_t status)
{
	uint64_t par = translated(op, va);

	if (!(par & PAR_F) || (PAR_FST(par) & ~3ul) != status || !!(par & PAR_S) != stage2) {
		mistakes++;
		note(par);
	}
}

/* EL1's own tables are ours: identical, but for what EL0 may not use. */
static void address_round(void)
{
	int guest = random64() % GUESTS;
	uint64_t page = address(guests[guest].page);
	bool stage1 = random64() % 2;

	vel2_sane();
	if (!stage1)
		pv_write(SCTLR_EL1, MMU_OFF);
	use(guest, random64() % 64 * GUESTS + guest);
	expect_address(0, IPA + 8, page);
	expect_address(1, IPA, page);
	expect_address(0, IPA_READ_ONLY, page);
	expect_fault(1, IPA_READ_ONLY, true, FST_PERMISSION);
	expect_fault(0, IPA_NOTHING, true, FST_TRANSLATION);
	expect_fault(1, IPA_NO_TABLE, true, FST_TRANSLATION);
	expect_address(2, IPA_NOTHING, IPA_NOTHING);	/* stage 1 alone */
	expect_address(3, IPA_READ_ONLY, IPA_READ_ONLY);
	expect_address(4, address(arena), address(arena));
	expect_address(5, address(arena), address(arena));
	expect_fault(4, 1ul << 40, false, FST_TRANSLATION);
	if (stage1) {
		expect_fault(2, 1ul << 40, false, FST_TRANSLATION);
		expect_fault(6, IPA, false, FST_PERMISSION);
		expect_fault(7, IPA, false, FST_PERMISSION);
	} else {
		expect_address(6, IPA, page);
		expect_address(7, IPA, IPA);
	}
}

const struct attack isolation_attacks[] = {
	{ "vmids", true, vmids_round, isolation_start, isolation_stop },
	{ "address", true, address_round, isolation_start, isolation_stop },
	{ NULL, false, NULL, NULL, NULL },
};
