// SPDX-License-Identifier: GPL-2.0-only
/* hmm_range_fault() of the mirrored process: one call, the loop around it, and populate. */
#include <linux/hugetlb_inline.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#include "mirror.h"

/*
 * walk_page_range() takes the lock of a hugetlb VMA, which a hole punch holds while it invalidates: the one sleep of a
 * snapshot that the mmap_lock does not exclude.
 */
static bool range_may_sleep(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	struct vm_area_struct *vma;

	mmap_assert_locked(mm);
	for (vma = find_vma(mm, start); vma && vma->vm_start < end; vma = find_vma(mm, vma->vm_end))
		if (is_vm_hugetlb_page(vma))
			return true;
	return false;
}

/*
 * One hmm_range_fault(), with the lifetime and the lock that it asks for. -EFAULT also if the process has gone, -EINTR
 * if this thread is being killed. nonblock, for ranges that request no fault: -EAGAIN instead of any sleep.
 */
int mirror_range_fault_once(struct mm_struct *mm, struct hmm_range *range, bool nonblock)
{
	int ret;

	if (!mmget_not_zero(mm))
		return -EFAULT;
	if (nonblock) {
		ret = -EAGAIN;
		if (!mmap_read_trylock(mm))
			goto put_mm;
		if (range_may_sleep(mm, range->start, range->end))
			goto unlock_mmap;
	} else {
		ret = mmap_read_lock_killable(mm);
		if (ret)
			goto put_mm;
	}
	ret = mirror_walk_range(mm, range);
unlock_mmap:
	mmap_read_unlock(mm);
put_mm:
	/* Not mmput(), which might run our own callbacks here: see mirror_notifier_register(). */
	mmput_async(mm);
	return ret;
}

/* The walk of a fault that has none of its own: hmm_range_fault(). */
static int fault_walk_range(struct mirror_fault *fault, unsigned long sequence)
{
	struct hmm_range range = {
		.notifier = &fault->notifier->interval,
		.notifier_seq = sequence,
		.start = fault->start,
		.end = fault->end,
		.hmm_pfns = fault->pfns,
		.default_flags = fault->default_flags,
		.pfn_flags_mask = 0, /* what an earlier attempt left in pfns is no request */
		.dev_private_owner = fault->device,
	};
	struct mm_struct *mm;
	int ret;

	ret = mirror_context_mm(fault->notifier->context, &mm);
	return ret ?: mirror_range_fault_once(mm, &range, fault->nonblock);
}

/* -EBUSY: begin again. As long as removed is not set, the notifier is there and invalidations count. */
static int fault_still_valid(struct mirror_notifier *notifier, unsigned long sequence)
{
	if (mmu_interval_check_retry(&notifier->interval, sequence))
		return -EBUSY;
	return READ_ONCE(notifier->removed) ? -ENOENT : 0;
}

/* The second half of the loop: lock, retry?, commit. -EBUSY: begin again. */
static int fault_commit(struct mirror_fault *fault, unsigned long sequence)
{
	struct mirror_notifier *notifier = fault->notifier;
	int ret;

	if (!fault->commit_locked)
		return fault_still_valid(notifier, sequence);
	ret = fault->prepare ? fault->prepare(fault) : 0;
	if (ret)
		return ret;
	ret = fault->release ? mirror_update_begin_short(notifier) : mirror_update_begin(notifier, fault->nonblock);
	if (ret)
		return ret;
	if (mmu_interval_read_retry(&notifier->interval, sequence))
		ret = -EBUSY;
	else
		ret = fault->commit_locked(fault);
	mutex_unlock(&notifier->lock);
	return ret;
}

/*
 * The loop of Documentation/mm/hmm.rst, the only one: begin, walk, lock, retry?, commit. It gives up with -EBUSY after
 * MIRROR_RETRY_DEADLINE; nonblock makes one attempt, and -EAGAIN of every reason to begin again or to wait.
 * Nothing is held between two attempts, so a process that exits meanwhile is not kept.
 */
int mirror_fault_run(struct mirror_fault *fault)
{
	unsigned long deadline = jiffies + MIRROR_RETRY_DEADLINE;
	unsigned long sequence;
	int ret;

	for (;;) {
		ret = fault->settle ? fault->settle(fault) : 0;
		if (ret)
			return ret;
		ret = mirror_notifier_begin(fault->notifier, fault->nonblock, &sequence);
		if (ret)
			return ret;
		ret = fault->walk ? fault->walk(fault, sequence) : fault_walk_range(fault, sequence);
		if (!ret) {
			ret = fault_commit(fault, sequence);
			if (fault->release)
				fault->release(fault);
		}
		if (ret != -EBUSY)
			return ret;

		fault->retries++;
		if (fault->nonblock)
			return -EAGAIN;
		if (fatal_signal_pending(current))
			return -EINTR;
		if (time_after(jiffies, deadline))
			return -EBUSY;
		cond_resched();
	}
}

struct populate_run {
	struct mirror_fault fault;
	unsigned long required; /* HMM_PFN_*: what every page must have; 0 for a snapshot */
	u64 valid;              /* out */
};

static unsigned long fault_pages(const struct mirror_fault *fault)
{
	return (fault->end - fault->start) >> PAGE_SHIFT;
}

static bool any_valid(const unsigned long *pfns, unsigned long count)
{
	while (count--)
		if (pfns[count] & HMM_PFN_VALID)
			return true;
	return false;
}

/* A chunk only where there is something to put into it: a snapshot of nothing costs no memory. */
static int populate_prepare(struct mirror_fault *fault)
{
	if (!any_valid(fault->pfns, fault_pages(fault)))
		return 0;
	return mirror_page_table_prepare(fault->notifier, fault->start);
}

static int populate_commit_locked(struct mirror_fault *fault)
{
	struct populate_run *run = container_of(fault, struct populate_run, fault);
	unsigned long index, count = fault_pages(fault);

	lockdep_assert_held(&fault->notifier->lock);
	for (index = 0; index < count; index++) {
		if ((fault->pfns[index] & run->required) == run->required)
			continue;
		/*
		 * Not asked for, because a fault may sleep; or hmm_range_fault() succeeded with less than was asked
		 * for, as it does for a read-only entry of the device's own memory.
		 */
		return fault->nonblock ? -EAGAIN : -EFAULT;
	}
	/*
	 * An invalidation that does not step the sequence, one of an exclusive access's own, has freed the chunk since it
	 * was prepared.
	 */
	if (!mirror_page_table_chunk_locked(fault->notifier, fault->start) && any_valid(fault->pfns, count))
		return -EBUSY;
	run->valid = mirror_page_table_store_locked(fault->notifier, fault->start, fault->pfns, count);
	return 0;
}

/*
 * Fills the device page table for [start, end), inside one chunk. pfns: scratch, one per page. flags:
 * HMM_MIRROR_WRITABLE, SNAPSHOT, NONBLOCK. Adds to *pages the valid entries and to *retries the attempts that had to
 * begin again.
 */
int mirror_populate_pages(struct mirror_notifier *notifier, unsigned long start, unsigned long end,
			  unsigned long *pfns, u32 flags, u64 *pages, u64 *retries)
{
	struct populate_run run = {
		.fault = {
			.notifier = notifier,
			.device = notifier->device,
			.start = start,
			.end = end,
			.pfns = pfns,
			.nonblock = flags & HMM_MIRROR_NONBLOCK,
			.prepare = populate_prepare,
			.commit_locked = populate_commit_locked,
		},
	};
	int ret;

	if (!(flags & HMM_MIRROR_SNAPSHOT)) {
		run.required = HMM_PFN_VALID;
		if (flags & HMM_MIRROR_WRITABLE)
			run.required |= HMM_PFN_WRITE;
		/*
		 * The request bits are the output bits. Nonblocking it can only look, and commit asks whether that was
		 * enough.
		 */
		if (!run.fault.nonblock)
			run.fault.default_flags = run.required;
	}
	ret = mirror_fault_run(&run.fault);
	*pages += run.valid;
	*retries += run.fault.retries;
	return ret;
}

/* HMM_MIRROR_POPULATE, chunk by chunk; the progress in args tells of whole chunks. */
int mirror_populate(struct mirror_notifier *notifier, struct hmm_mirror_populate *args)
{
	unsigned long start, end, *pfns;
	int ret = 0;

	pfns = kmalloc_array(MIRROR_CHUNK_PAGES, sizeof(*pfns), GFP_KERNEL_ACCOUNT);
	if (!pfns)
		return -ENOMEM;
	for (start = args->start; start < args->end; start = end) {
		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		end = mirror_chunk_end(start, args->end);
		ret = mirror_populate_pages(notifier, start, end, pfns, args->flags, &args->pages, &args->retries);
		if (ret)
			break;
		cond_resched();
	}
	kfree(pfns);
	return ret;
}
