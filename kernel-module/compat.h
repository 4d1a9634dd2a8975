/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between kernels, and nowhere else. Everything else that the module calls has the same form
 * in every kernel that it supports (6.1 and later).
 */
#ifndef HMM_MIRROR_COMPAT_H
#define HMM_MIRROR_COMPAT_H

#include <linux/hmm.h>
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

#endif /* HMM_MIRROR_COMPAT_H */
