// SPDX-License-Identifier: GPL-2.0-only
/*
 * The way back from device memory to system memory, the middle of every migration that goes there: of a range of a
 * process, of a page that the CPU faults on, of what is evicted.
 *
 * Bytes of private memory are in system memory already, only behind a frame that the CPU cannot use. So their page is
 * handed to the process as it is: without a copy, and without an allocation that could fail when the CPU waits for the
 * page.
 */
#include <linux/highmem.h>
#include <linux/migrate.h>
#include <linux/pagemap.h>

#include "device_memory.h"

/* The page for one that leaves the device, locked and with a reference for the migration; NULL: none, so it stays. */
static struct page *destination(struct mirror_device_page *resident)
{
	struct page *page;

	if (mirror_device_page_is_private(resident)) {
		page = resident->backing;
		/*
		 * A migration that has taken the bytes lets go of the lock before it drops its reference: whoever
		 * finds the frame in between finds a page that nothing maps any more.
		 */
		if (!page)
			return NULL;
		get_page(page);
	} else {
		page = alloc_page(GFP_HIGHUSER_MOVABLE | __GFP_RETRY_MAYFAIL | __GFP_NOWARN);
		if (!page)
			return NULL;
		copy_highpage(page, mirror_device_page_bytes(resident));
	}
	lock_page(page);
	return page;
}

/* Between setup (or migrate_device_range()) and pages: every entry of dst, 0 for what stays. */
void mirror_system_pages_prepare(const unsigned long *src, unsigned long *dst, unsigned long count)
{
	struct page *page, *to;
	unsigned long index;

	for (index = 0; index < count; index++) {
		dst[index] = 0;
		page = migrate_pfn_to_page(src[index]);
		/* What has no page is a hole, which is not filled here. */
		if (!page || !(src[index] & MIGRATE_PFN_MIGRATE))
			continue;
		to = destination(page->zone_device_data);
		if (to)
			dst[index] = migrate_pfn(page_to_pfn(to));
	}
}

/*
 * Between pages and finalize, while source and destination are locked: a page that was handed over is no longer the
 * device's. Returns how many pages have moved.
 */
unsigned long mirror_system_pages_settle(const unsigned long *src, const unsigned long *dst, unsigned long count)
{
	struct mirror_device_page *resident;
	unsigned long index, moved = 0;

	for (index = 0; index < count; index++) {
		if (!dst[index] || !(src[index] & MIGRATE_PFN_MIGRATE))
			continue;
		moved++;
		resident = migrate_pfn_to_page(src[index])->zone_device_data;
		if (!mirror_device_page_is_private(resident))
			continue;
		put_page(resident->backing);
		resident->backing = NULL;
	}
	return moved;
}
