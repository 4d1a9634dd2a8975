// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory of a device: where it comes from, and who has which page of it.
 *
 * Private memory has frames that no CPU can access, in a stretch of the physical address space that nothing else uses;
 * the bytes are in pages of system memory behind them. Coherent memory is what was reserved for it when the machine
 * was booted, and the CPU accesses it as any other.
 */
#include <linux/bitmap.h>
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/ioport.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/numa.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "device_memory.h"

/* Backing pages that are allocated at once; they are on the stack meanwhile. */
#define BACKING_BATCH 32UL

/* The memory reference of a freed page is dropped after this, so the module cannot go before it has returned. */
static void device_page_free(struct page *page)
{
	mirror_device_page_give_back(page->zone_device_data);
}
MIRROR_DEFINE_PAGEMAP_FREE(device_page_free)

static const struct dev_pagemap_ops private_ops = {
	MIRROR_PAGEMAP_FREE(device_page_free),
	.migrate_to_ram = mirror_device_fault,
};

static const struct dev_pagemap_ops coherent_ops = {
	MIRROR_PAGEMAP_FREE(device_page_free),
};

/* Maps the region, and makes every page of it free. The caller owns the region still if this fails. */
static struct mirror_device_memory *memory_create(struct mirror_device *device, struct resource *region,
						  unsigned long capacity, enum memory_type type,
						  const struct dev_pagemap_ops *ops)
{
	struct mirror_device_memory *memory;
	struct mirror_device_page *page;
	unsigned long index;
	void *mapping;
	int ret = -ENOMEM;

	memory = kzalloc(sizeof(*memory), GFP_KERNEL);
	if (!memory)
		return ERR_PTR(-ENOMEM);
	memory->pages = kvcalloc(capacity, sizeof(*memory->pages), GFP_KERNEL);
	if (!memory->pages)
		goto free_memory;
	memory->used_map = kvcalloc(BITS_TO_LONGS(capacity), sizeof(long), GFP_KERNEL);
	if (!memory->used_map)
		goto free_pages;

	memory->device = device;
	memory->region = region;
	memory->first = PHYS_PFN(region->start);
	memory->capacity = capacity;
	spin_lock_init(&memory->lock);
	INIT_LIST_HEAD(&memory->free);
	INIT_LIST_HEAD(&memory->strays);

	memory->pagemap.type = type;
	memory->pagemap.range.start = region->start;
	memory->pagemap.range.end = region->end;
	memory->pagemap.nr_range = 1;
	memory->pagemap.ops = ops;
	memory->pagemap.owner = device;
	mapping = memremap_pages(&memory->pagemap, numa_node_id());
	if (IS_ERR(mapping)) {
		ret = PTR_ERR(mapping);
		goto free_used_map;
	}

	for (index = 0; index < capacity; index++) {
		page = &memory->pages[index];
		page->memory = memory;
		list_add_tail(&page->link, &memory->free);
		pfn_to_page(memory->first + index)->zone_device_data = page;
	}
	return memory;

free_used_map:
	kvfree(memory->used_map);
free_pages:
	kvfree(memory->pages);
free_memory:
	kfree(memory);
	return ERR_PTR(ret);
}

/* Returns an ERR_PTR() if there is no room in the physical address space, or no memory for the struct pages. */
struct mirror_device_memory *mirror_device_memory_create_private(struct mirror_device *device, unsigned long capacity)
{
	unsigned long size = ALIGN(capacity << PAGE_SHIFT, memremap_compat_align());
	struct mirror_device_memory *memory;
	struct resource *region;

	region = mirror_request_free_region(size, device->name);
	if (IS_ERR(region))
		return ERR_CAST(region);
	memory = memory_create(device, region, capacity, MEMORY_DEVICE_PRIVATE, &private_ops);
	if (IS_ERR(memory))
		release_mem_region(region->start, resource_size(region));
	return memory;
}

/* Memory that the firmware or the command line (memmap=SIZE$START) has kept from the kernel, all of it. */
static bool region_is_reserved_memory(phys_addr_t start, unsigned long size)
{
	return region_intersects(start, size, IORESOURCE_MEM, IORES_DESC_RESERVED) == REGION_INTERSECTS ||
	       region_intersects(start, size, IORESOURCE_MEM, IORES_DESC_SOFT_RESERVED) == REGION_INTERSECTS;
}

/*
 * start and capacity: aligned as memremap_pages() asks for. -EBUSY: some part of it has another user, or is the
 * kernel's own memory. -ENXIO: some part of it is not reserved memory.
 */
struct mirror_device_memory *mirror_device_memory_create_coherent(struct mirror_device *device, phys_addr_t start,
								  unsigned long capacity)
{
	unsigned long size = capacity << PAGE_SHIFT;
	struct mirror_device_memory *memory;
	struct resource *region;

	/*
	 * memremap_pages() would find it out, but with a warning in the log of what may be no more than a typing
	 * error.
	 */
	if (region_intersects(start, size, IORESOURCE_SYSTEM_RAM, IORES_DESC_NONE) != REGION_DISJOINT)
		return ERR_PTR(-EBUSY);
	/* A hole would swallow what is migrated there, and a BAR is somebody else's memory. */
	if (!region_is_reserved_memory(start, size))
		return ERR_PTR(-ENXIO);
	region = request_mem_region(start, size, device->name);
	if (!region)
		return ERR_PTR(-EBUSY);
	memory = memory_create(device, region, capacity, MEMORY_DEVICE_COHERENT, &coherent_ops);
	if (IS_ERR(memory))
		release_mem_region(start, size);
	return memory;
}

/*
 * No page is in use: each holds the module, by a context or as a stray. (If somebody forced the module out all the
 * same, this waits until the last is free.)
 */
void mirror_device_memory_destroy(struct mirror_device_memory *memory)
{
	memunmap_pages(&memory->pagemap);
	release_mem_region(memory->region->start, resource_size(memory->region));
	kvfree(memory->used_map);
	kvfree(memory->pages);
	kfree(memory);
}

/*
 * Takes up to count free pages for the context, whose residents they become; returns how many. They have no reference
 * yet (mirror_zone_device_page_init()) and, private, perhaps no backing.
 */
unsigned long mirror_device_memory_take(struct mirror_device_memory *memory, struct mirror_context *context,
					struct mirror_device_page **pages, unsigned long count)
{
	struct list_head *residents = &context->residents[memory->device->id];
	unsigned long flags, taken;

	spin_lock_irqsave(&memory->lock, flags);
	for (taken = 0; taken < count && !list_empty(&memory->free); taken++) {
		pages[taken] = list_first_entry(&memory->free, struct mirror_device_page, link);
		list_move_tail(&pages[taken]->link, residents);
		__set_bit(pages[taken] - memory->pages, memory->used_map);
	}
	WRITE_ONCE(memory->used, memory->used + taken);
	spin_unlock_irqrestore(&memory->lock, flags);
	return taken;
}

/*
 * Returns a page without references to the tail of the free list, and its backing to the system. Pages freed in
 * ascending order stay in order, so that later allocations are contiguous. Any context, any locks.
 */
void mirror_device_page_give_back(struct mirror_device_page *page)
{
	struct mirror_device_memory *memory = page->memory;
	struct page *backing = page->backing;
	unsigned long flags;
	bool stray;

	page->backing = NULL;
	spin_lock_irqsave(&memory->lock, flags);
	stray = page->stray;
	page->stray = false;
	list_move_tail(&page->link, &memory->free);
	__clear_bit(page - memory->pages, memory->used_map);
	WRITE_ONCE(memory->used, memory->used - 1);
	spin_unlock_irqrestore(&memory->lock, flags);
	if (backing)
		__free_page(backing);
	if (stray)
		module_put(THIS_MODULE);
}

/* Up to count pages of system memory; returns how many. They are not initialized. */
static unsigned long backing_alloc(struct page **pages, unsigned long count)
{
	unsigned long before, got = 0;

	memset(pages, 0, count * sizeof(*pages));
	do {
		before = got;
		got = mirror_alloc_pages(GFP_HIGHUSER | __GFP_RETRY_MAYFAIL | __GFP_NOWARN, count, pages);
	} while (got < count && got > before);
	return got;
}

/*
 * Sees to it that pages that were taken, all of one device, have somewhere to put their bytes, which are not initialized.
 * Returns how many have, from the first on; fewer than count: no memory for more. A backing page goes with the bytes to
 * system memory when these are migrated there, so it may not come from the movable zone, where it could stay for long.
 * It is not accounted: the process is charged for the device page, and a page that is charged as the kernel's own could
 * not become one of a process.
 */
unsigned long mirror_device_pages_back(struct mirror_device_page *const *pages, unsigned long count)
{
	struct page *fresh[BACKING_BATCH];
	unsigned long index, done, end, missing, got;

	if (!count || !mirror_device_page_is_private(pages[0]))
		return count;
	for (done = 0; done < count; done = end) {
		end = min(count, done + BACKING_BATCH);
		missing = 0;
		for (index = done; index < end; index++)
			missing += !pages[index]->backing;
		got = missing ? backing_alloc(fresh, missing) : 0;
		for (index = done; index < end; index++) {
			if (pages[index]->backing)
				continue;
			if (!got)
				return index;
			pages[index]->backing = fresh[--got];
		}
	}
	return count;
}
