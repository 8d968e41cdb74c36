/*
 * Shadow stage-2 tables: L2 IPA to physical address.
 *
 * The hardware uses them with the VTCR_EL2 that all VMs share: 40 bits of IPA,
 * 4K pages, two concatenated tables at level 1. They are a cache: any entry
 * may be dropped at any time under mmu_lock, L2 will fault it in again. What is
 * dropped here has left the TLBs too when the function returns, and an empty
 * shadow has nothing in the TLBs.
 *
 * This program is free software; you can redistribute it and/or modify
 * it under the terms of the GNU General Public License version 2 as
 * published by the Free Software Foundation.
 */

#include <linux/kvm_host.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include <asm/kvm_asm.h>
#include <asm/kvm_mmu.h>

#include "nested-mmu.h"

#define START_LEVEL		1
#define LAST_LEVEL		3

/* A walk needs a table at level 2 and one at level 3 */
#define TABLES_PER_WALK		(LAST_LEVEL - START_LEVEL)

/*
 * Level of the guest hypervisor's leaf that a leaf here is made of, in a field
 * which the hardware leaves to software: an invalidation by IPA concerns all
 * that was made of that leaf.
 */
#define VIRT_LEVEL_SHIFT	55
#define VIRT_LEVEL_MASK		(UL(3) << VIRT_LEVEL_SHIFT)

#define SHADOW_GFP		(GFP_KERNEL_ACCOUNT | __GFP_ZERO)

/* Tables taken out of a shadow, to be freed after the TLBs are flushed */
struct zap {
	struct list_head tables;
	bool any;
};

static unsigned int level_shift(int level)
{
	return PAGE_SHIFT + (LAST_LEVEL - level) * (PAGE_SHIFT - 3);
}

static u64 level_size(int level)
{
	return BIT(level_shift(level));
}

static u64 *level_entry(u64 *table, int level, phys_addr_t ipa)
{
	unsigned int nr = level == START_LEVEL ? PTRS_PER_S2_PGD : PTRS_PER_PTE;

	return &table[(ipa >> level_shift(level)) & (nr - 1)];
}

static bool is_table(u64 entry, int level)
{
	return level < LAST_LEVEL && (entry & PMD_TYPE_MASK) == PMD_TYPE_TABLE;
}

static u64 *entry_table(u64 entry)
{
	return phys_to_virt(entry & S2_ADDR_MASK);
}

/* The number of valid entries is kept in page->private */
static void entry_set(u64 *entry, int level, u64 val)
{
	struct page *page = virt_to_page(entry);

	if (level > START_LEVEL)
		set_page_private(page, page_private(page) + !!val - !!*entry);

	WRITE_ONCE(*entry, val);
}

/*
 * The VMID, if it has one yet. A vCPU which gives it one now has to see what
 * was changed in the tables.
 */
static u64 shadow_vmid(struct kvm_shadow_s2 *shadow)
{
	smp_mb();	/* pairs with the one in kvm_update_vttbr() */
	return READ_ONCE(shadow->hw_vttbr);
}

static void flush_ipa(struct kvm_shadow_s2 *shadow, phys_addr_t ipa)
{
	u64 vttbr = shadow_vmid(shadow);

	if (vttbr)
		kvm_call_hyp(__kvm_tlb_flush_vttbr_ipa, vttbr, ipa);
}

static void flush_all(struct kvm_shadow_s2 *shadow)
{
	u64 vttbr = shadow_vmid(shadow);

	if (vttbr)
		kvm_call_hyp(__kvm_tlb_flush_vttbr, vttbr);
}

struct kvm_shadow_s2 *kvm_shadow_alloc(void)
{
	struct kvm_shadow_s2 *shadow;

	BUILD_BUG_ON(LAST_LEVEL - START_LEVEL + 1 != STAGE2_PGTABLE_LEVELS);

	shadow = kzalloc(sizeof(*shadow), GFP_KERNEL_ACCOUNT);
	if (!shadow)
		return NULL;

	shadow->pgd = alloc_pages_exact(PTRS_PER_S2_PGD * sizeof(pgd_t),
					SHADOW_GFP);
	if (!shadow->pgd) {
		kfree(shadow);
		return NULL;
	}

	shadow->min_level = LAST_LEVEL;
	return shadow;
}

/* The shadow is empty */
void kvm_shadow_free(struct kvm_shadow_s2 *shadow)
{
	if (!shadow)
		return;

	free_pages_exact(shadow->pgd, PTRS_PER_S2_PGD * sizeof(pgd_t));
	kfree(shadow);
}

/* Make sure that kvm_shadow_map() finds the pages it needs */
int kvm_shadow_topup(struct kvm_mmu_memory_cache *cache)
{
	while (cache->nobjs < TABLES_PER_WALK) {
		void *page = (void *)__get_free_page(SHADOW_GFP);

		if (!page)
			return -ENOMEM;
		cache->objects[cache->nobjs++] = page;
	}

	return 0;
}

static void zap_table(u64 *table, int level, struct zap *zap)
{
	int i;

	for (i = 0; level < LAST_LEVEL && i < PTRS_PER_PTE; i++)
		if (is_table(table[i], level))
			zap_table(entry_table(table[i]), level + 1, zap);

	list_add(&virt_to_page(table)->lru, &zap->tables);
}

static void zap_range(u64 *table, int level, phys_addr_t start,
		      phys_addr_t end, struct zap *zap)
{
	phys_addr_t addr, next;

	for (addr = start; addr < end; addr = next) {
		u64 *entry = level_entry(table, level, addr);

		next = min(end, (addr | (level_size(level) - 1)) + 1);
		if (!*entry)
			continue;

		if (is_table(*entry, level)) {
			u64 *child = entry_table(*entry);

			if (next - addr < level_size(level)) {
				zap_range(child, level + 1, addr, next, zap);
				if (page_private(virt_to_page(child)))
					continue;
			}
			zap_table(child, level + 1, zap);
		}

		entry_set(entry, level, 0);
		zap->any = true;
	}
}

static void unmap_range(struct kvm *kvm, struct kvm_shadow_s2 *shadow,
			phys_addr_t start, phys_addr_t end)
{
	struct zap zap = { .tables = LIST_HEAD_INIT(zap.tables) };
	struct page *page, *next;

	end = min_t(phys_addr_t, end, KVM_PHYS_SIZE);
	zap_range((u64 *)shadow->pgd, START_LEVEL, start, end, &zap);
	if (!zap.any)
		return;

	if (end - start == PAGE_SIZE)
		flush_ipa(shadow, start);
	else
		flush_all(shadow);

	list_for_each_entry_safe(page, next, &zap.tables, lru) {
		list_del(&page->lru);
		set_page_private(page, 0);
		__free_page(page);
		shadow->nr_tables--;
		kvm->arch.nested_mmu.nr_tables--;
	}
}

/* The deepest entry that maps @ipa, NULL if none does */
static u64 *find_leaf(struct kvm_shadow_s2 *shadow, phys_addr_t ipa)
{
	u64 *table = (u64 *)shadow->pgd;
	int level;

	for (level = START_LEVEL; ; level++) {
		u64 *entry = level_entry(table, level, ipa);

		if (!*entry)
			return NULL;
		if (!is_table(*entry, level))
			return entry;
		table = entry_table(*entry);
	}
}

/**
 * kvm_shadow_unmap_ipa - drop what was made of one leaf of the guest hypervisor
 * @kvm:	The VM
 * @shadow:	The shadow
 * @ipa:	Any address in the leaf
 *
 * The guest hypervisor has changed the leaf already. What is known of its size
 * is in the entries made of it, and there may be some but not for @ipa: then
 * it may have been as large as the largest leaf the shadow has seen.
 */
void kvm_shadow_unmap_ipa(struct kvm *kvm, struct kvm_shadow_s2 *shadow,
			  phys_addr_t ipa)
{
	int level = shadow->min_level;
	phys_addr_t start, size;
	u64 *leaf;

	if (!shadow->nr_tables || ipa >= KVM_PHYS_SIZE)
		return;

	leaf = find_leaf(shadow, ipa);
	if (leaf)
		level = (*leaf & VIRT_LEVEL_MASK) >> VIRT_LEVEL_SHIFT;

	size = kvm_s2_leaf_size(shadow->vtcr, level);
	start = ipa & ~(size - 1);
	unmap_range(kvm, shadow, start, start + size);
}

/* Drop everything */
void kvm_shadow_unmap(struct kvm *kvm, struct kvm_shadow_s2 *shadow)
{
	if (!shadow->nr_tables)
		return;

	unmap_range(kvm, shadow, 0, KVM_PHYS_SIZE);
	shadow->writable = false;
	shadow->min_level = LAST_LEVEL;
}

static void wp_table(u64 *table, int level, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		u64 entry = table[i];

		if (is_table(entry, level))
			wp_table(entry_table(entry), level + 1, PTRS_PER_PTE);
		else if (entry)
			WRITE_ONCE(table[i], entry & ~(PTE_S2_RDWR &
						       ~PTE_S2_RDONLY));
	}
}

/* Write-protect everything; the access flag is never updated by hardware */
void kvm_shadow_wp(struct kvm_shadow_s2 *shadow)
{
	if (!shadow->writable)
		return;

	wp_table((u64 *)shadow->pgd, START_LEVEL, PTRS_PER_S2_PGD);
	shadow->writable = false;
	flush_all(shadow);
}

/*
 * Stage 2 on top of stage 2 combines like stage 2 on top of stage 1: device
 * memory wins, the stronger type of it first; of normal memory, inner and
 * outer, the weaker cacheability. In the encoding of MemAttr each of these is
 * the smaller number.
 */
static u8 combine_memattr(u8 a, u8 b)
{
	u8 outer = min(a & 0xc, b & 0xc);

	if (!outer) {
		if (!kvm_s2_attr_is_device(a))
			return b;
		if (!kvm_s2_attr_is_device(b))
			return a;
		return min(a, b);
	}

	/* 0 is reserved for the inner attribute of normal memory */
	return outer | max(1, min(a & 3, b & 3));
}

static u64 combine_leaf(u64 host_leaf, const struct kvm_s2_trans *trans)
{
	u8 memattr = (host_leaf & S2_MEMATTR_MASK) >> S2_MEMATTR_SHIFT;
	u64 sh = trans->sh == S2_SH_OUTER ? S2_SH_OUTER : S2_SH_INNER;
	u64 leaf = PTE_VALID | PTE_AF | sh << S2_SH_SHIFT;

	memattr = combine_memattr(trans->memattr, memattr);
	leaf |= (u64)memattr << S2_MEMATTR_SHIFT;
	leaf |= (u64)trans->level << VIRT_LEVEL_SHIFT;

	leaf |= host_leaf & (S2_XN | PTE_S2_RDWR);
	if (!trans->readable)
		leaf &= ~PTE_S2_RDONLY;
	if (!trans->writable)
		leaf &= ~(PTE_S2_RDWR & ~PTE_S2_RDONLY);
	if (!trans->executable)
		leaf |= S2_XN;

	return leaf;
}

/**
 * kvm_shadow_map - map an L2 IPA
 * @kvm:	The VM
 * @shadow:	The shadow
 * @cache:	Pages for new tables, see kvm_shadow_topup()
 * @ipa:	IPA of L2
 * @host_leaf:	The leaf entry that maps trans->output in the VM's own tables
 * @host_size:	Its size
 * @trans:	What the guest hypervisor's tables say
 *
 * Called with mmu_lock held.
 */
void kvm_shadow_map(struct kvm *kvm, struct kvm_shadow_s2 *shadow,
		    struct kvm_mmu_memory_cache *cache, phys_addr_t ipa,
		    u64 host_leaf, unsigned long host_size,
		    const struct kvm_s2_trans *trans)
{
	bool block = min(trans->size, host_size) >= PMD_SIZE;
	int level, leaf_level = block ? LAST_LEVEL - 1 : LAST_LEVEL;
	u64 *table = (u64 *)shadow->pgd;
	u64 *entry, leaf;
	phys_addr_t pa;

	for (level = START_LEVEL; ; level++) {
		entry = level_entry(table, level, ipa);

		/* Pages in the range of a block are left as they are */
		if (level >= leaf_level && !is_table(*entry, level))
			break;

		if (*entry && !is_table(*entry, level)) {
			entry_set(entry, level, 0);
			flush_ipa(shadow, ipa);
		}

		if (!*entry) {
			table = cache->objects[--cache->nobjs];
			smp_wmb();	/* zeroed before it can be walked */
			entry_set(entry, level,
				  virt_to_phys(table) | PMD_TYPE_TABLE);
			shadow->nr_tables++;
			kvm->arch.nested_mmu.nr_tables++;
		}

		table = entry_table(*entry);
	}

	pa = host_leaf & GENMASK_ULL(47, ilog2(host_size));
	pa |= trans->output & (host_size - 1);
	pa &= ~(level_size(level) - 1);

	leaf = combine_leaf(host_leaf, trans) | pa;
	if (level == LAST_LEVEL)
		leaf |= PTE_TYPE_PAGE;

	if (*entry == leaf)
		return;

	if (*entry) {
		entry_set(entry, level, 0);
		flush_ipa(shadow, ipa);
	}

	/* The walkers of other CPUs may see an entry as soon as it is set */
	entry_set(entry, level, leaf);
	dsb(ishst);

	shadow->min_level = min(shadow->min_level, trans->level);
	if (leaf & PTE_S2_RDWR & ~PTE_S2_RDONLY)
		shadow->writable = true;
}
