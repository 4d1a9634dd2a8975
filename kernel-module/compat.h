/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between kernels, and nowhere else. Everything else that the module calls has the same form
 * in every kernel that it supports (6.1 and later).
 */
#ifndef HMM_MIRROR_COMPAT_H
#define HMM_MIRROR_COMPAT_H

#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/hmm.h>
#include <linux/ioport.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/rmap.h>
#include <linux/types.h>

#include "uapi/hmm_mirror.h"

#ifndef CONFIG_64BIT
#error "page frame entries are 64 bits wide, in the kernel's arrays and in ours"
#endif

#if !IS_ENABLED(CONFIG_HMM_MIRROR)
#error "this kernel has no hmm_range_fault: CONFIG_HMM_MIRROR is not set"
#endif

/*
 * Up to 6.12 the kernel's encoding of a page frame entry is the uapi's. Later kernels moved the map order down
 * to make room for DMA flags. The constants are an enum, which the preprocessor cannot see; the compiler drops
 * the branch that does not apply, and with it the loops over the entries.
 */
static inline bool mirror_pfns_are_native(void)
{
	return HMM_PFN_VALID == HMM_MIRROR_PFN_VALID && HMM_PFN_WRITE == HMM_MIRROR_PFN_WRITE &&
	       HMM_PFN_ERROR == HMM_MIRROR_PFN_ERROR && HMM_PFN_ORDER_SHIFT == HMM_MIRROR_PFN_ORDER_SHIFT;
}

/* The kernel's entry, or set of request flags, as the uapi's. */
static inline u64 mirror_pfn_from_kernel(unsigned long pfn)
{
	u64 entry;

	if (mirror_pfns_are_native())
		return pfn;

	entry = pfn & ~HMM_PFN_FLAGS;
	entry |= (u64)hmm_pfn_to_map_order(pfn) << HMM_MIRROR_PFN_ORDER_SHIFT;
	if (pfn & HMM_PFN_VALID)
		entry |= HMM_MIRROR_PFN_VALID;
	if (pfn & HMM_PFN_WRITE)
		entry |= HMM_MIRROR_PFN_WRITE;
	if (pfn & HMM_PFN_ERROR)
		entry |= HMM_MIRROR_PFN_ERROR;
	return entry;
}

/*
 * The uapi's as the kernel's. The inverse of mirror_pfn_from_kernel() for every frame that can exist, so that
 * entries which a walk did not reach go back as they came.
 */
static inline unsigned long mirror_pfn_to_kernel(u64 entry)
{
	unsigned long pfn;

	if (mirror_pfns_are_native())
		return entry;

	pfn = (entry & HMM_MIRROR_PFN_FRAME_MASK) & ~HMM_PFN_FLAGS;
	pfn |= ((entry >> HMM_MIRROR_PFN_ORDER_SHIFT) & HMM_MIRROR_PFN_ORDER_MASK) << HMM_PFN_ORDER_SHIFT;
	if (entry & HMM_MIRROR_PFN_VALID)
		pfn |= HMM_PFN_VALID;
	if (entry & HMM_MIRROR_PFN_WRITE)
		pfn |= HMM_PFN_WRITE;
	if (entry & HMM_MIRROR_PFN_ERROR)
		pfn |= HMM_PFN_ERROR;
	return pfn;
}

static inline void mirror_pfns_from_kernel(unsigned long *pfns, unsigned long count)
{
	unsigned long i;

	if (mirror_pfns_are_native())
		return;
	for (i = 0; i < count; i++)
		pfns[i] = mirror_pfn_from_kernel(pfns[i]);
}

static inline void mirror_pfns_to_kernel(unsigned long *pfns, unsigned long count)
{
	unsigned long i;

	if (mirror_pfns_are_native())
		return;
	for (i = 0; i < count; i++)
		pfns[i] = mirror_pfn_to_kernel(pfns[i]);
}

/*
 * Device memory. Whether a function has this form or that is found out by compiling (probe/, and Kbuild, which
 * defines MIRROR_HAS_*), as distributions carry changes back to versions that do not have them.
 */

/* Without it there is nothing to migrate with, and the files for that are not built. */
static inline bool mirror_has_device_coherent(void)
{
	return IS_ENABLED(CONFIG_DEVICE_MIGRATION);
}

static inline bool mirror_has_device_private(void)
{
	return IS_ENABLED(CONFIG_DEVICE_MIGRATION) && IS_ENABLED(CONFIG_DEVICE_PRIVATE);
}

/* Device-exclusive entries come with CONFIG_DEVICE_PRIVATE, though they have nothing to do with private memory. */
static inline bool mirror_has_device_exclusive(void)
{
	return IS_ENABLED(CONFIG_DEVICE_PRIVATE);
}

static inline bool mirror_is_memremap_aligned(u64 value)
{
#if IS_ENABLED(CONFIG_ZONE_DEVICE)
	return IS_ALIGNED(value, memremap_compat_align());
#else
	return false;
#endif
}

/*
 * Before make_device_exclusive() (6.15) a page that a device has exclusively is mapped nowhere, and
 * migrate_device_finalize() takes its entry for a migration entry. So nobody makes a page exclusive while it is evicted.
 */
#ifdef MIRROR_HAS_MAKE_DEVICE_EXCLUSIVE
#define MIRROR_EXCLUSIVE_GATE false
#else
#define MIRROR_EXCLUSIVE_GATE true
#endif

/* Addresses that nothing uses. request_free_mem_region() is exported with CONFIG_DEVICE_PRIVATE only. */
static inline struct resource *mirror_request_free_region(unsigned long size, const char *name)
{
#if IS_ENABLED(CONFIG_DEVICE_PRIVATE)
	return request_free_mem_region(&iomem_resource, size, name);
#else
	return ERR_PTR(-EOPNOTSUPP);
#endif
}

/* A free page of device memory gets its first reference, and is locked. */
static inline void mirror_zone_device_page_init(struct page *page)
{
#if IS_ENABLED(CONFIG_ZONE_DEVICE)
#if defined(MIRROR_HAS_ZONE_DEVICE_PAGE_INIT_PGMAP)
	zone_device_page_init(page, page_pgmap(page), 0);
#elif defined(MIRROR_HAS_ZONE_DEVICE_PAGE_INIT_ORDER)
	zone_device_page_init(page, 0);
#else
	zone_device_page_init(page);
#endif
#endif
}

/* The initializer of dev_pagemap_ops for name(struct page *), which gets a page that nobody refers to any more. */
#ifdef MIRROR_HAS_FOLIO_FREE
#define MIRROR_PAGEMAP_FREE(name) .folio_free = name##_folio
#define MIRROR_DEFINE_PAGEMAP_FREE(name) \
	static void name##_folio(struct folio *folio) \
	{ \
		name(folio_page(folio, 0)); \
	}
#else
#define MIRROR_PAGEMAP_FREE(name) .page_free = name
#define MIRROR_DEFINE_PAGEMAP_FREE(name)
#endif

/* Pages for the NULLs among the first count; returns how many are there then, which may be fewer for no reason. */
static inline unsigned long mirror_alloc_pages(gfp_t flags, unsigned long count, struct page **pages)
{
#ifdef MIRROR_HAS_ALLOC_PAGES_BULK
	return alloc_pages_bulk(flags, count, pages);
#else
	return alloc_pages_bulk_array(flags, count, pages);
#endif
}

/* get_user_pages_remote() with the mmap_lock held, and kept. */
static inline long mirror_get_user_pages(struct mm_struct *mm, unsigned long start, unsigned long count,
					 unsigned int flags, struct page **pages)
{
#ifdef MIRROR_HAS_GUP_VMAS
	return get_user_pages_remote(mm, start, count, flags, pages, NULL, NULL);
#else
	return get_user_pages_remote(mm, start, count, flags, pages, NULL);
#endif
}

/*
 * make_device_exclusive_range(): of the pages of [start, end) that could be faulted in for writing, from the first on,
 * returns how many; of these pages[] has those that are exclusive now, locked and with a reference, else NULL.
 * An errno if there are none. The mmap_lock is held.
 */
static inline long mirror_make_device_exclusive(struct mm_struct *mm, unsigned long start, unsigned long end,
						struct page **pages, void *owner)
{
#if !IS_ENABLED(CONFIG_DEVICE_PRIVATE)
	return -EOPNOTSUPP;
#elif defined(MIRROR_HAS_MAKE_DEVICE_EXCLUSIVE)
	struct folio *folio;
	long count = 0;

	for (; start < end; start += PAGE_SIZE, count++) {
		pages[count] = make_device_exclusive(mm, start, owner, &folio);
		if (!IS_ERR(pages[count]))
			continue;
		/* Not anonymous, or busy: the page is left out. */
		if (PTR_ERR(pages[count]) != -EOPNOTSUPP && PTR_ERR(pages[count]) != -EBUSY)
			return count ?: PTR_ERR(pages[count]);
		pages[count] = NULL;
	}
	return count;
#else
	return make_device_exclusive_range(mm, start, end, pages, owner);
#endif
}

#endif /* HMM_MIRROR_COMPAT_H */
