// SPDX-License-Identifier: GPL-2.0-only
/* Compiles where alloc_pages_bulk() fills an array, as alloc_pages_bulk_array() did before. */
#include <linux/gfp.h>

unsigned long probe(struct page **pages);
unsigned long probe(struct page **pages)
{
	return alloc_pages_bulk(GFP_KERNEL, 1, pages);
}
