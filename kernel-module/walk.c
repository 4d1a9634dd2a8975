// SPDX-License-Identifier: GPL-2.0-only
/*
 * hmm_range_fault() without the one order of locks that it has wrong (6.12; not yet 6.1): where a hugetlb mapping has no
 * page table yet, walk_hugetlb_range() calls hmm_vma_walk_hole() with the lock of the VMA, and a fault that is requested
 * there takes hugetlb_fault_mutex, which all other faults take first. With another thread's fault of that page, and a
 * hole punch that waits to write the VMA's lock, none of the three goes on. (Where there is a table,
 * hmm_vma_walk_hugetlb_entry() lets go of the lock before it faults.)
 *
 * So a walk ends before such a page, the page is faulted as it would have been, but without the lock, and the next walk
 * begins with it: it has a table then. What is left of the hole is the time between the two, in which an unshared page
 * table of a shared mapping can go away.
 */
#include <linux/hugetlb.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/pgtable.h>

#include "mirror.h"

/* A place where a fault is requested, and no table is there to look for it in. */
struct bare_page {
	struct vm_area_struct *vma;
	unsigned long start;
	unsigned long requests;
};

static unsigned long requests_of(const struct hmm_range *range, unsigned long start, unsigned long end)
{
	unsigned long flags, all = 0, index = (start - range->start) >> PAGE_SHIFT;

	for (; start < end; start += PAGE_SIZE, index++) {
		flags = (range->hmm_pfns[index] & range->pfn_flags_mask) | range->default_flags;
		if (flags & HMM_PFN_REQ_FAULT)
			all |= flags;
	}
	return all & (HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE);
}

/* As the walk asks: an entry that is none is one. */
static bool has_entry(const struct mm_struct *mm, unsigned long address, unsigned long page_size)
{
	pgd_t *pgd = pgd_offset(mm, address);
	p4d_t *p4d;

	if (!pgd_present(*pgd))
		return false;
	p4d = p4d_offset(pgd, address);
	if (!p4d_present(*p4d))
		return false;
	return page_size >= PUD_SIZE || pud_present(*pud_offset(p4d, address));
}

/* The first in the range; false: there is none. */
static bool find_bare_page(struct mm_struct *mm, const struct hmm_range *range, struct bare_page *bare)
{
	unsigned long address, next, end, size;
	struct vm_area_struct *vma;

	for (vma = find_vma(mm, range->start); vma && vma->vm_start < range->end; vma = find_vma(mm, vma->vm_end)) {
		/* What cannot be read is refused before it is walked. */
		if (!is_vm_hugetlb_page(vma) || !(vma->vm_flags & VM_READ))
			continue;
		size = huge_page_size(hstate_vma(vma));
		end = min(range->end, vma->vm_end);
		for (address = max(range->start, vma->vm_start); address < end; address = next) {
			next = min(end, (address & ~(size - 1)) + size);
			if (has_entry(mm, address, size))
				continue;
			bare->requests = requests_of(range, address, next);
			if (!bare->requests)
				continue;
			bare->vma = vma;
			bare->start = address;
			return true;
		}
	}
	return false;
}

/* hmm_vma_fault() */
static int fault_bare_page(const struct bare_page *bare)
{
	unsigned int flags = FAULT_FLAG_REMOTE;

	if (bare->requests & HMM_PFN_REQ_WRITE) {
		if (!(bare->vma->vm_flags & VM_WRITE))
			return -EPERM;
		flags |= FAULT_FLAG_WRITE;
	}
	return handle_mm_fault(bare->vma, bare->start, flags, NULL) & VM_FAULT_ERROR ? -EFAULT : 0;
}

/* hmm_range_fault() of a range of mm, with its mmap_lock held. */
int mirror_walk_range(struct mm_struct *mm, const struct hmm_range *range)
{
	struct hmm_range part = *range;
	struct bare_page bare;
	int ret;

	mmap_assert_locked(mm);
	if (!((range->default_flags | range->pfn_flags_mask) & HMM_PFN_REQ_FAULT))
		return hmm_range_fault(&part);
	while (find_bare_page(mm, &part, &bare)) {
		if (bare.start > part.start) {
			part.end = bare.start;
			ret = hmm_range_fault(&part);
		} else {
			/* Its first question. */
			ret = mmu_interval_check_retry(part.notifier, part.notifier_seq) ? -EBUSY : 0;
		}
		ret = ret ?: fault_bare_page(&bare);
		if (ret)
			return ret;
		part.start = bare.start;
		part.end = range->end;
		part.hmm_pfns = range->hmm_pfns + ((part.start - range->start) >> PAGE_SHIFT);
	}
	return hmm_range_fault(&part);
}
