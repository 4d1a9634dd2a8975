// SPDX-License-Identifier: GPL-2.0-only
/* HMM_MIRROR_ATOMIC_ADD: what exclusive access is for. */
#include <linux/atomic.h>
#include <linux/highmem.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "mirror.h"

/* False: the device has no exclusive access there. While it has, no CPU accesses the word, nor another device. */
static bool atomic_add_locked(struct mirror_notifier *notifier, struct hmm_mirror_atomic *args)
{
	struct mirror_page_table_chunk *chunk = mirror_page_table_chunk_locked(notifier, args->address);
	u64 entry = chunk ? chunk->entries[mirror_chunk_slot(args->address)] : 0;
	struct page *page;
	void *mapping;

	if (!(entry & HMM_MIRROR_ENTRY_EXCLUSIVE))
		return false;
	page = pfn_to_page(entry & HMM_MIRROR_PFN_FRAME_MASK);
	mapping = kmap_local_page(page);
	args->old = atomic64_fetch_add(args->value, mapping + offset_in_page(args->address));
	kunmap_local(mapping);
	flush_dcache_page(page);
	set_page_dirty(page); /* as mirror_copy_frame() does, and as safe */
	return true;
}

/* args: checked, inside the mirror's interval. */
int mirror_atomic_add(struct mirror_notifier *notifier, struct hmm_mirror_atomic *args)
{
	bool nonblock = args->flags & HMM_MIRROR_NONBLOCK;
	unsigned long deadline = jiffies + MIRROR_RETRY_DEADLINE;
	bool had;
	int ret;

	if (!mirror_has_device_exclusive())
		return -EOPNOTSUPP;
	for (;;) {
		ret = mirror_notifier_lock(notifier, nonblock);
		if (ret)
			return ret;
		had = atomic_add_locked(notifier, args);
		mutex_unlock(&notifier->lock);
		if (had)
			return 0;
		if (nonblock)
			return -EAGAIN;
		if (time_after(jiffies, deadline))
			return -EBUSY;
		if (fatal_signal_pending(current))
			return -EINTR;
		/* What is had can be gone before it is used, and a page can be busy: any number of times. */
		ret = mirror_make_exclusive_page(notifier, args->address & PAGE_MASK, &args->retries);
		if (ret)
			return ret;
		cond_resched();
	}
}
