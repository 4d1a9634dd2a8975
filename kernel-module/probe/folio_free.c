// SPDX-License-Identifier: GPL-2.0-only
/* Compiles where a page of device memory is freed as a folio. */
#include <linux/memremap.h>
#include <linux/mm.h>

void probe(struct dev_pagemap_ops *ops, struct folio *folio);
void probe(struct dev_pagemap_ops *ops, struct folio *folio)
{
	ops->folio_free(folio);
}
