// SPDX-License-Identifier: GPL-2.0-only
/*
 * HMM_MIRROR_MAKE_EXCLUSIVE: the entries of the CPU are replaced by device-exclusive ones, so that any access by a CPU
 * comes as an invalidation first, and until then the device is alone with the page: it may do atomics there.
 *
 * The pattern is that of a fault, with three differences. The pages are locked until the device page table has them,
 * which keeps the CPU from taking them back. The invalidations that make them exclusive are the caller's own and do not
 * step the sequence: see notifier_invalidate(). And every page is faulted for writing before the sequence begins,
 * because an entry that is exclusive already (of an earlier attempt, say) has to be given up first, which is an
 * invalidation like any other: faulted inside, each attempt would make the next one fail.
 */
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/rwsem.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "mirror.h"

/*
 * Held for reading while pages are made exclusive, for writing while a page to evict is locked: see evict.c. Both sides
 * use trylock alone, so it is in no lock order. Unused where MIRROR_EXCLUSIVE_GATE is false.
 */
DECLARE_RWSEM(mirror_exclusive_gate);

static bool exclusive_gate_trylock(void)
{
	return !MIRROR_EXCLUSIVE_GATE || down_read_trylock(&mirror_exclusive_gate);
}

static void exclusive_gate_unlock(void)
{
	if (MIRROR_EXCLUSIVE_GATE)
		up_read(&mirror_exclusive_gate);
}

struct exclusive_run {
	struct mirror_fault fault;
	unsigned long wanted_end; /* fault.end is where the part that can be faulted ends */
	struct page **pages;      /* scratch, one per page */
	unsigned long held;       /* of these walk has got; those not NULL are locked */
	struct mm_struct *mm;     /* locked while pages are held */
	bool suitable;            /* the first page is one that can be made exclusive */
	u64 taken;                /* out */
};

static struct exclusive_run *exclusive_of(struct mirror_fault *fault)
{
	return container_of(fault, struct exclusive_run, fault);
}

/*
 * Anonymous, and not in the midst of a huge page, where make_device_exclusive_range() takes none. The answer is a
 * snapshot: good for telling what is hopeless from what was busy.
 */
static bool page_is_suitable(struct page *page)
{
	return PageAnon(page) && !PageTail(page) && !PageHuge(page);
}

/* Waits for user space's update lock, while nothing is held; and faults in what can be, a part at least. */
static int exclusive_settle(struct mirror_fault *fault)
{
	struct exclusive_run *run = exclusive_of(fault);
	struct mirror_notifier *notifier = fault->notifier;
	unsigned long count = (run->wanted_end - fault->start) >> PAGE_SHIFT;
	struct mm_struct *mm;
	long index, present;
	int ret;

	ret = mirror_update_begin(notifier, false);
	if (ret)
		return ret;
	mutex_unlock(&notifier->lock);

	ret = mirror_context_lock_mm(notifier->context, &mm);
	if (ret)
		return ret;
	present = mirror_get_user_pages(mm, fault->start, count, FOLL_GET | FOLL_WRITE | FOLL_SPLIT_PMD, run->pages);
	if (present > 0)
		run->suitable = page_is_suitable(run->pages[0]);
	for (index = 0; index < present; index++)
		put_page(run->pages[index]);
	mirror_mm_unlock(mm);
	if (present <= 0)
		return present ?: -EFAULT;
	fault->end = fault->start + (present << PAGE_SHIFT);
	return 0;
}

/* After walk, whether its pages have found their way into the device page table or not. */
static void exclusive_release(struct mirror_fault *fault)
{
	struct exclusive_run *run = exclusive_of(fault);
	unsigned long index;

	for (index = 0; index < run->held; index++) {
		if (!run->pages[index])
			continue;
		unlock_page(run->pages[index]);
		put_page(run->pages[index]);
	}
	mirror_mm_unlock(run->mm);
}

static int exclusive_walk(struct mirror_fault *fault, unsigned long sequence)
{
	struct exclusive_run *run = exclusive_of(fault);
	struct mirror_notifier *notifier = fault->notifier;
	long had;
	int ret;

	ret = mirror_context_lock_mm(notifier->context, &run->mm);
	if (ret)
		return ret;
	if (!exclusive_gate_trylock()) {
		/* The evictor may wait for user space. Nobody waits for it with the mmap_lock held. */
		mirror_mm_unlock(run->mm);
		schedule_timeout_killable(1);
		return -EBUSY;
	}
	WRITE_ONCE(notifier->exclusive_task, current);
	had = mirror_make_device_exclusive(run->mm, fault->start, fault->end, run->pages, notifier->device);
	WRITE_ONCE(notifier->exclusive_task, NULL);
	exclusive_gate_unlock();
	run->held = max(had, 0L);
	if (run->held == (fault->end - fault->start) >> PAGE_SHIFT)
		return 0;

	/* What could be faulted a moment ago no longer can: look again where it ends. */
	exclusive_release(fault);
	return had < 0 && had != -EFAULT ? had : -EBUSY;
}

/* After the walk: its own invalidation may free a chunk that it covers whole. */
static int exclusive_prepare(struct mirror_fault *fault)
{
	return mirror_page_table_prepare(fault->notifier, fault->start);
}

static int exclusive_commit_locked(struct mirror_fault *fault)
{
	struct exclusive_run *run = exclusive_of(fault);

	/* An invalidation has freed it since. */
	if (!mirror_page_table_chunk_locked(fault->notifier, fault->start))
		return -EBUSY;
	run->taken = mirror_page_table_store_exclusive_locked(fault->notifier, fault->start, run->pages, run->held);
	return 0;
}

/*
 * [start, end), inside one chunk. *taken: pages that were made exclusive. *done: where it ended, which is where a page
 * cannot be faulted. pages: scratch, one per page. -EOPNOTSUPP: nothing was had, and of the first page never will be.
 */
static int exclusive_run(struct mirror_notifier *notifier, unsigned long start, unsigned long end, struct page **pages,
			 u64 *taken, u64 *retries, unsigned long *done)
{
	struct exclusive_run run = {
		.fault = {
			.notifier = notifier,
			.device = notifier->device,
			.start = start,
			.end = end,
			.settle = exclusive_settle,
			.walk = exclusive_walk,
			.prepare = exclusive_prepare,
			.commit_locked = exclusive_commit_locked,
			.release = exclusive_release,
		},
		.wanted_end = end,
		.pages = pages,
	};
	int ret;

	/* One at a time: two would take the same pages from each other, and exclusive_task names one. */
	if (mutex_lock_killable(&notifier->exclusive_lock))
		return -EINTR;
	ret = mirror_fault_run(&run.fault);
	mutex_unlock(&notifier->exclusive_lock);
	*retries += run.fault.retries;
	if (ret)
		return ret;
	*taken += run.taken;
	*done = run.fault.end;
	return run.taken || run.suitable ? 0 : -EOPNOTSUPP;
}

/*
 * Exclusive access to the page at address. 0 also if the page was busy, so the caller looks whether it has it.
 * -EOPNOTSUPP: this page can never be had, or this kernel has no device-exclusive entries.
 */
int mirror_make_exclusive_page(struct mirror_notifier *notifier, unsigned long address, u64 *retries)
{
	unsigned long done;
	struct page *page;
	u64 taken = 0;

	if (!mirror_has_device_exclusive())
		return -EOPNOTSUPP;
	return exclusive_run(notifier, address, address + PAGE_SIZE, &page, &taken, retries, &done);
}

/*
 * [start, end): whole pages inside the mirror's interval. Adds to result->pages what is exclusive now, also on error,
 * and to result->retries; result->address: where an error came up. Errors as uapi/hmm_mirror.h has them; -EBUSY after
 * MIRROR_RETRY_DEADLINE, -EINTR.
 */
int mirror_make_exclusive(struct mirror_notifier *notifier, unsigned long start, unsigned long end,
			  struct hmm_mirror_pages *result)
{
	unsigned long next, done;
	struct page **pages;
	int ret = 0;

	result->address = start;
	if (!mirror_has_device_exclusive())
		return -EOPNOTSUPP;
	pages = kmalloc_array(min((end - start) >> PAGE_SHIFT, MIRROR_CHUNK_PAGES), sizeof(*pages), GFP_KERNEL_ACCOUNT);
	if (!pages)
		return -ENOMEM;
	for (; start < end; start = next) {
		next = mirror_chunk_end(start, end);
		done = start;
		ret = fatal_signal_pending(current) ? -EINTR :
		      exclusive_run(notifier, start, next, pages, &result->pages, &result->retries, &done);
		/* A page that can never be exclusive is left out. */
		if (ret == -EOPNOTSUPP)
			ret = 0;
		if (!ret && done < next)
			ret = -EFAULT;
		if (ret) {
			result->address = done;
			break;
		}
		cond_resched();
	}
	if (!ret)
		result->address = 0;
	kfree(pages);
	return ret;
}
