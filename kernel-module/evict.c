// SPDX-License-Identifier: GPL-2.0-only
/*
 * Eviction: pages of device memory go back to system memory by their frames, whichever processes map them.
 *
 * So that the memory of a process does not depend on a device that nobody drives any more, a context that is closed
 * evicts what it has migrated. What is busy even then (pinned, or exclusive to a device) becomes a stray. It is not
 * lost: the CPU's access and EVICT bring it back, its last unmapping frees it, and until then it holds the module.
 */
#include <linux/bitmap.h>
#include <linux/delay.h>
#include <linux/migrate.h>
#include <linux/module.h>
#include <linux/sched/signal.h>

#include "device_memory.h"

/* Pages that are moved together. They need no allocation: closing a file must not fail. */
#define EVICT_BATCH 32

/* How often the eviction of what a closed context has left is tried; the pauses in between double, from 1 ms. */
#define EVICT_ATTEMPTS 7

/* How many contiguous frames the list begins with, of pages that are mapped. */
static unsigned long mapped_run(const unsigned long *frames, unsigned long count)
{
	unsigned long run;

	for (run = 0; run < count && frames[run] == frames[0] + run; run++)
		if (!page_mapped(pfn_to_page(frames[run])))
			break;
	return run;
}

/*
 * Locks and unmaps what can be. A page in use that is mapped nowhere is on its way, or it is coherent memory to which
 * some device has exclusive access. Of this the hands must be kept: when migrate_device_finalize() restores what could
 * not be moved it takes device-exclusive entries for its own, in silence and with a reference too many. So none
 * may begin between the look and the lock: a page is busy while any page is being made exclusive.
 */
static bool unmap_frames(struct mirror_device_memory *memory, const unsigned long *frames, unsigned long count,
			 unsigned long *src)
{
	bool gated = MIRROR_EXCLUSIVE_GATE && memory->pagemap.type == MEMORY_DEVICE_COHERENT;
	unsigned long first, run;
	bool any = false;

	for (first = 0; first < count; first += run ?: 1) {
		/* Page by page: unmapping one may wait for user space, and others go through the gate in between. */
		if (gated && !down_write_trylock(&mirror_exclusive_gate)) {
			run = 1;
			continue;
		}
		run = mapped_run(&frames[first], gated ? 1 : count - first);
		/* Takes no page that is free again. */
		if (run && migrate_device_range(&src[first], frames[first], run))
			memset(&src[first], 0, run * sizeof(*src));
		if (gated)
			up_write(&mirror_exclusive_gate);
		any |= run;
	}
	return any;
}

/* frames: of device pages, in use when they were looked up. Returns how many moved. */
static unsigned long evict_frames(struct mirror_device_memory *memory, const unsigned long *frames, unsigned long count)
{
	unsigned long src[EVICT_BATCH] = {}, dst[EVICT_BATCH];
	unsigned long moved;

	if (!unmap_frames(memory, frames, count, src))
		return 0;
	mirror_system_pages_prepare(src, dst, count);
	migrate_device_pages(src, dst, count);
	moved = mirror_system_pages_settle(src, dst, count);
	migrate_device_finalize(src, dst, count);
	return moved;
}

/* The frames of up to EVICT_BATCH pages in use, from *index on, which it moves behind them. */
static unsigned long used_frames(struct mirror_device_memory *memory, unsigned long *index, unsigned long *frames)
{
	unsigned long flags, count = 0;

	spin_lock_irqsave(&memory->lock, flags);
	while (count < EVICT_BATCH) {
		*index = find_next_bit(memory->used_map, memory->capacity, *index);
		if (*index >= memory->capacity)
			break;
		frames[count++] = memory->first + (*index)++;
	}
	spin_unlock_irqrestore(&memory->lock, flags);
	return count;
}

/* Everything that the device holds, each page once. Adds to *pages what moved. -EOPNOTSUPP, -EINTR. */
int mirror_device_evict(struct mirror_device *device, u64 *pages)
{
	unsigned long frames[EVICT_BATCH], count, index = 0;

	if (!device->memory)
		return -EOPNOTSUPP;
	while ((count = used_frames(device->memory, &index, frames))) {
		*pages += evict_frames(device->memory, frames, count);
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

void mirror_residents_init(struct mirror_context *context)
{
	unsigned int id;

	for (id = 0; id < ARRAY_SIZE(context->residents); id++)
		INIT_LIST_HEAD(&context->residents[id]);
}

/* Moves up to EVICT_BATCH pages from one list to the other; those that are freed meanwhile leave either. */
static unsigned long next_frames(struct mirror_device_memory *memory, struct list_head *from, struct list_head *to,
				 unsigned long *frames)
{
	struct mirror_device_page *page;
	unsigned long flags, count = 0;

	spin_lock_irqsave(&memory->lock, flags);
	while (count < EVICT_BATCH && !list_empty(from)) {
		page = list_first_entry(from, struct mirror_device_page, link);
		list_move_tail(&page->link, to);
		frames[count++] = mirror_device_page_frame(page);
	}
	spin_unlock_irqrestore(&memory->lock, flags);
	return count;
}

/* Tries each page of the list once. False: some are left. */
static bool evict_list(struct mirror_device_memory *memory, struct list_head *list)
{
	unsigned long frames[EVICT_BATCH], flags, count;
	LIST_HEAD(tried);
	bool empty;

	while ((count = next_frames(memory, list, &tried, frames))) {
		evict_frames(memory, frames, count);
		cond_resched();
	}
	spin_lock_irqsave(&memory->lock, flags);
	list_splice_init(&tried, list);
	empty = list_empty(list);
	spin_unlock_irqrestore(&memory->lock, flags);
	return empty;
}

static void adopt_list(struct mirror_device_memory *memory, struct list_head *list)
{
	struct mirror_device_page *page;
	unsigned long flags;

	spin_lock_irqsave(&memory->lock, flags);
	list_for_each_entry(page, list, link) {
		page->stray = true;
		/* The file that is being closed still holds the module. */
		__module_get(THIS_MODULE);
	}
	list_splice_tail_init(list, &memory->strays);
	spin_unlock_irqrestore(&memory->lock, flags);
}

/* No ioctl of the context runs, so nothing is added any more. Costs what is there, not what the device could hold. */
void mirror_residents_release(struct mirror_context *context)
{
	struct mirror_device_memory *memory;
	unsigned int id, attempt;

	for (id = 0; id < mirror_device_count; id++) {
		memory = mirror_devices[id].memory;
		if (!memory)
			continue;
		for (attempt = 0; !evict_list(memory, &context->residents[id]); attempt++) {
			if (attempt == EVICT_ATTEMPTS) {
				adopt_list(memory, &context->residents[id]);
				break;
			}
			msleep(1 << attempt);
		}
	}
}
