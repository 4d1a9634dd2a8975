// SPDX-License-Identifier: GPL-2.0-only
/* Compiles where zone_device_page_init() takes an order. */
#include <linux/memremap.h>
#include <linux/mm.h>

void probe(struct page *page);
void probe(struct page *page)
{
	zone_device_page_init(page, 0);
}
