/* SPDX-License-Identifier: GPL-2.0-only */
/* The memory of a device: what allocates it, migrates to it and brings it back share this. */
#ifndef HMM_MIRROR_DEVICE_MEMORY_H
#define HMM_MIRROR_DEVICE_MEMORY_H

#include <linux/list.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/spinlock.h>

#include "mirror.h"

/* One page of device memory; its struct page (ZONE_DEVICE) points here by zone_device_data. */
struct mirror_device_page {
	struct mirror_device_memory *memory;
	struct list_head link; /* in the memory's free or strays, or in a context's residents; under the memory's lock */
	/*
	 * Private memory: the page of system memory that holds its bytes, NULL only while the device page is free.
	 * Belongs to whoever has the device page: its allocator, then whoever holds the folio lock, or the lock under
	 * which an entry of a device page table that names it is valid.
	 */
	struct page *backing;
	bool stray; /* in strays, and holds a reference to the module; under the memory's lock */
};

struct mirror_device_memory {
	struct mirror_device *device;
	struct dev_pagemap pagemap;
	struct resource *region;
	unsigned long first;    /* frame of pages[0] */
	unsigned long capacity; /* pages */
	struct mirror_device_page *pages;

	/*
	 * Guards what follows. Innermost of all, interrupts off: the last reference to a page may be dropped under a
	 * page table lock, or by a completion of direct I/O into coherent memory.
	 */
	spinlock_t lock;
	struct list_head free;
	struct list_head strays; /* in use, and the context that migrated them is closed */
	unsigned long *used_map; /* one bit per page */
	unsigned long used;      /* pages; also read without the lock */
};

static inline unsigned long mirror_device_page_frame(const struct mirror_device_page *page)
{
	return page->memory->first + (page - page->memory->pages);
}

static inline bool mirror_device_page_is_private(const struct mirror_device_page *page)
{
	return page->memory->pagemap.type == MEMORY_DEVICE_PRIVATE;
}

/* Where the bytes are that the device has there. */
static inline struct page *mirror_device_page_bytes(const struct mirror_device_page *page)
{
	return mirror_device_page_is_private(page) ? page->backing : pfn_to_page(mirror_device_page_frame(page));
}

/* device_memory.c */
struct mirror_device_memory *mirror_device_memory_create_private(struct mirror_device *device, unsigned long capacity);
struct mirror_device_memory *mirror_device_memory_create_coherent(struct mirror_device *device, phys_addr_t start,
								  unsigned long capacity);
void mirror_device_memory_destroy(struct mirror_device_memory *memory);
unsigned long mirror_device_memory_take(struct mirror_device_memory *memory, struct mirror_context *context,
					struct mirror_device_page **pages, unsigned long count);
void mirror_device_page_give_back(struct mirror_device_page *page);
unsigned long mirror_device_pages_back(struct mirror_device_page *const *pages, unsigned long count);

/* system_pages.c */
void mirror_system_pages_prepare(const unsigned long *src, unsigned long *dst, unsigned long count);
unsigned long mirror_system_pages_settle(const unsigned long *src, const unsigned long *dst, unsigned long count);

/* migrate.c */
vm_fault_t mirror_device_fault(struct vm_fault *vmf);

#endif /* HMM_MIRROR_DEVICE_MEMORY_H */
