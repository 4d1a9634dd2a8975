// SPDX-License-Identifier: GPL-2.0-only
/* Compiles where get_user_pages_remote() takes an array of VMAs too. */
#include <linux/mm.h>

long probe(struct mm_struct *mm, struct page **pages);
long probe(struct mm_struct *mm, struct page **pages)
{
	return get_user_pages_remote(mm, 0, 1, FOLL_WRITE, pages, NULL, NULL);
}
