// SPDX-License-Identifier: GPL-2.0-only
/* Compiles where make_device_exclusive() of one page has taken the place of make_device_exclusive_range(). */
#include <linux/mm.h>
#include <linux/rmap.h>

struct page *probe(struct mm_struct *mm, void *owner, struct folio **folio);
struct page *probe(struct mm_struct *mm, void *owner, struct folio **folio)
{
	return make_device_exclusive(mm, 0, owner, folio);
}
