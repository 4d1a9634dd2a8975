// SPDX-License-Identifier: GPL-2.0-only
/**
 * DOC: Waits of invalidations for user space
 *
 * An invalidation waits for user space in two places: for the answer to an event, and for the update lock. The
 * thread that invalidates may hold the mmap_lock of a process, may be exiting, or may reclaim memory for somebody
 * else. So there is one bound for each invalidation, not one for each notifier that it hits.
 *
 * The kernel calls the notifiers of one invalidation one after the other, and has no room for what they have in
 * common. This file keeps it: a table of invalidations with the time at which each began to wait. All waits of an
 * invalidation end at that time plus the notifier's bound. The teardown of an address space is one invalidation here,
 * although the kernel makes several of it.
 *
 * It also keeps a list of all waits, of all contexts. READ_BEGIN and NOTIFIER_REMOVE sleep uninterruptibly in the
 * kernel until an invalidation ends; they wait for the entries of this list first, killably.
 */
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/wait.h>

#include "mirror.h"

/* Tasks that wait for user space at the same time. One more does not wait at all. */
#define INVALIDATIONS 128

/* In reclaim the bound is divided by this: others wait for the memory. */
#define RECLAIM_DIVISOR 4

/* All fields are guarded by waits_lock. */
struct mirror_invalidation {
	const struct task_struct *task; /* an identity; NULL for the teardown of mm */
	const struct mm_struct *mm;     /* an identity; NULL: the entry is free */
	unsigned long sequence;
	unsigned long start, end;
	enum mmu_notifier_event event;
	unsigned long began; /* jiffies */
	u64 used;            /* the entry that was used longest ago is used again first */
	bool waiting;        /* its task waits now */
};

static struct mirror_invalidation invalidations[INVALIDATIONS];
static u64 invalidation_uses;
static u64 last_number;
static DEFINE_SPINLOCK(waits_lock);
static DECLARE_WAIT_QUEUE_HEAD(waits_changed);

LIST_HEAD(mirror_waits);

static bool invalidation_is(const struct mirror_invalidation *it, const struct mmu_notifier_range *range,
			    const struct task_struct *task, unsigned long sequence)
{
	if (it->mm != range->mm || it->task != task)
		return false;
	return !task || (it->sequence == sequence && it->start == range->start && it->end == range->end &&
			 it->event == range->event);
}

/* The entry of the invalidation that this thread is in. NULL: the table is full of threads that wait. */
static struct mirror_invalidation *invalidation_get(const struct mmu_notifier_range *range, unsigned long sequence)
{
	/* Nobody uses the address space any more: exit_mmap() is at work, in whatever thread. */
	const struct task_struct *task = atomic_read(&range->mm->mm_users) ? current : NULL;
	struct mirror_invalidation *it, *oldest = NULL;

	lockdep_assert_held(&waits_lock);
	for (it = invalidations; it < invalidations + INVALIDATIONS; it++) {
		if (invalidation_is(it, range, task, sequence))
			return it;
		if (!it->waiting && (!oldest || it->used < oldest->used))
			oldest = it;
	}
	if (oldest)
		*oldest = (struct mirror_invalidation) {
			.task = task,
			.mm = range->mm,
			.sequence = sequence,
			.start = range->start,
			.end = range->end,
			.event = range->event,
			.began = jiffies,
		};
	return oldest;
}

/**
 * mirror_wait_begin() - begin to wait for user space in an invalidate callback
 * @wait: on the stack; to be ended by mirror_wait_end()
 * @notifier: the one that was called
 * @range: what it was called with
 * @sequence: likewise
 *
 * Takes a spinlock. mirror_wait_remaining() then says how long the wait may be.
 */
void mirror_wait_begin(struct mirror_wait *wait, const struct mirror_notifier *notifier,
		       const struct mmu_notifier_range *range, unsigned long sequence)
{
	unsigned long bound = mirror_notifier_bound(notifier);

	if (current->flags & PF_MEMALLOC)
		bound /= RECLAIM_DIVISOR;
	wait->mm = range->mm;
	wait->sequence = sequence;
	spin_lock(&waits_lock);
	wait->invalidation = invalidation_get(range, sequence);
	wait->deadline = jiffies;
	if (wait->invalidation) {
		wait->invalidation->waiting = true;
		wait->deadline = wait->invalidation->began + bound;
	}
	wait->number = ++last_number;
	list_add_tail(&wait->link, &mirror_waits);
	spin_unlock(&waits_lock);
}

void mirror_wait_end(struct mirror_wait *wait)
{
	spin_lock(&waits_lock);
	list_del(&wait->link);
	if (wait->invalidation) {
		wait->invalidation->waiting = false;
		wait->invalidation->used = ++invalidation_uses;
	}
	spin_unlock(&waits_lock);
	wake_up_all(&waits_changed);
}

/* Jiffies for which the wait may go on; 0: it is over. */
long mirror_wait_remaining(const struct mirror_wait *wait)
{
	return max((long)(wait->deadline - jiffies), 0L);
}

/**
 * mirror_waits_forget() - forget the invalidations of an address space
 * @mm: of a context that is being destroyed; its address can be that of another one soon
 */
void mirror_waits_forget(const struct mm_struct *mm)
{
	struct mirror_invalidation *it;

	spin_lock(&waits_lock);
	for (it = invalidations; it < invalidations + INVALIDATIONS; it++)
		if (it->mm == mm && !it->waiting)
			it->mm = NULL;
	spin_unlock(&waits_lock);
}

static bool holds_up(const struct mm_struct *mm, struct mirror_notifier *hit, u64 last)
{
	struct mirror_wait *wait;
	bool found = false;

	spin_lock(&waits_lock);
	list_for_each_entry(wait, &mirror_waits, link) {
		/* In the order of their numbers. */
		if (wait->number > last)
			break;
		/* check_retry: whether the notifier's sequence is another than this one. */
		if (wait->mm != mm || (hit && mmu_interval_check_retry(&hit->interval, wait->sequence)))
			continue;
		found = true;
		break;
	}
	spin_unlock(&waits_lock);
	return found;
}

/**
 * mirror_waits_await() - wait until no invalidation of an address space waits for user space
 * @mm: the address space, of whose invalidations any context may hold one up
 * @hit: only invalidations that hit this notifier, i.e. whose sequence is the notifier's, as
 *       mmu_interval_read_begin() sleeps in exactly that case. NULL: any that wait now, as
 *       mmu_interval_notifier_remove() waits; those that begin later do not count, or a process that never stops
 *       would keep the caller here for ever.
 *
 * What is left to the kernel's own uninterruptible sleep is its own work, or a wait that begins just after this one
 * has ended; that wait is bounded.
 *
 * Return: 0, or -EINTR if the caller is being killed.
 */
int mirror_waits_await(const struct mm_struct *mm, struct mirror_notifier *hit)
{
	u64 last = U64_MAX;

	if (!hit) {
		spin_lock(&waits_lock);
		last = last_number;
		spin_unlock(&waits_lock);
	}
	return wait_event_killable(waits_changed, !holds_up(mm, hit, last)) ? -EINTR : 0;
}
