// SPDX-License-Identifier: GPL-2.0-only
/* Interval notifiers: their life, their sequence, and the callback. */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "mirror.h"

/*
 * Whether this thread is making pages exclusive, and this is the invalidation that does it: the entries go, but it is
 * what the sequence was begun for and does not make it begin again. Others may have seen the pages present a moment ago
 * and store that: the same frames, of which the next access by a CPU will tell. All other invalidations in this thread
 * count.
 */
static bool invalidation_is_own(struct mirror_notifier *notifier, const struct mmu_notifier_range *range)
{
	return range->event == MMU_NOTIFY_EXCLUSIVE && READ_ONCE(notifier->exclusive_task) == current &&
	       range->owner == notifier->device;
}

/*
 * The invalidate callback. In this order: the driver's lock, under it the sequence and the device page table, and only
 * then user space. So whatever user space does or fails to do, no device access goes through a translation that the
 * CPU is about to lose.
 */
static bool notifier_invalidate(struct mmu_interval_notifier *interval, const struct mmu_notifier_range *range,
				unsigned long sequence)
{
	struct mirror_notifier *notifier = container_of(interval, struct mirror_notifier, interval);
	bool tell;

	if (!mirror_update_begin_invalidation(notifier, range, sequence))
		return false;
	if (!invalidation_is_own(notifier, range))
		mmu_interval_set_seq(interval, sequence);
	if (notifier->flags & HMM_MIRROR_NOTIFIER_PAGE_TABLE)
		mirror_page_table_clear_locked(notifier, range->start, range->end - 1);
	/* One that is being removed has nobody left who would answer. */
	tell = (notifier->flags & HMM_MIRROR_NOTIFIER_EVENTS) && !READ_ONCE(notifier->removed);
	mutex_unlock(&notifier->lock);

	return tell ? mirror_events_notify(notifier, range, sequence) : true;
}

static const struct mmu_interval_notifier_ops notifier_ops = {
	.invalidate = notifier_invalidate,
};

struct mirror_notifier *mirror_notifier_alloc(struct mirror_context *context, unsigned long start, unsigned long last)
{
	struct mirror_notifier *notifier;

	notifier = kzalloc(sizeof(*notifier), GFP_KERNEL_ACCOUNT);
	if (!notifier)
		return NULL;
	notifier->context = context;
	notifier->start = start;
	notifier->last = last;
	kref_init(&notifier->ref);
	mutex_init(&notifier->lock);
	mutex_init(&notifier->exclusive_lock);
	xa_init(&notifier->chunks);
	init_waitqueue_head(&notifier->update_changed);
	return notifier;
}

static void notifier_free(struct kref *ref)
{
	struct mirror_notifier *notifier = container_of(ref, struct mirror_notifier, ref);

	mirror_page_table_destroy(notifier);
	kfree(notifier);
}

void mirror_notifier_put(struct mirror_notifier *notifier)
{
	kref_put(&notifier->ref, notifier_free);
}

/*
 * mmu_interval_notifier_insert() on the context's mm. Callbacks may run before it returns. It sleeps (on mmap_lock, for
 * writing) for the first notifier of an mm only, so never on an invalidation that waits for this context's user.
 */
int mirror_notifier_register(struct mirror_notifier *notifier)
{
	struct mm_struct *mm;
	int ret;

	ret = mirror_context_mm(notifier->context, &mm);
	if (ret)
		return ret;
	if (!mmget_not_zero(mm))
		return -EFAULT;
	ret = mmu_interval_notifier_insert(&notifier->interval, mm, notifier->start,
					   notifier->last - notifier->start + 1, &notifier_ops);
	/*
	 * Were ours the last reference, mmput() would tear the address space down here, and this thread would wait in
	 * its own callbacks for an answer that perhaps only this thread can give.
	 */
	mmput_async(mm);
	return ret;
}

/*
 * Registers the notifier under an id of its own. On error the caller still owns it; on success the context does, and
 * another thread that guessed the id may have removed it again.
 */
int mirror_notifier_insert(struct mirror_context *context, struct mirror_notifier *notifier, u32 *id)
{
	int ret = 0;

	if (mutex_lock_killable(&context->lock))
		return -EINTR;
	/* Counted up and never again down, so an id that is gone stays gone. */
	if (context->last_id == U32_MAX)
		ret = -ENOSPC;
	else
		notifier->id = ++context->last_id;
	if (!ret && (notifier->flags & HMM_MIRROR_NOTIFIER_EVENTS))
		ret = mirror_events_allocate(&context->events);
	mutex_unlock(&context->lock);
	if (ret)
		return ret;

	/* The id has to be known to the callback before anybody can look it up; what is reserved is not found. */
	ret = xa_reserve(&context->notifiers, notifier->id, GFP_KERNEL_ACCOUNT);
	if (ret)
		return ret;
	ret = mirror_notifier_register(notifier);
	if (ret)
		goto release_id;
	*id = notifier->id;
	/* Reserved, hence without allocation, hence without failure. */
	xa_store(&context->notifiers, notifier->id, notifier, GFP_KERNEL_ACCOUNT);
	return 0;

release_id:
	xa_release(&context->notifiers, notifier->id);
	return ret;
}

struct mirror_notifier *mirror_notifier_get(struct mirror_context *context, u32 id)
{
	struct mirror_notifier *notifier;

	/*
	 * A reference can be taken as long as the notifier is found: the context's own goes after the entry, under
	 * this lock.
	 */
	xa_lock(&context->notifiers);
	notifier = context->recent;
	if (!notifier || notifier->id != id)
		notifier = xa_load(&context->notifiers, id);
	if (notifier) {
		context->recent = notifier;
		kref_get(&notifier->ref);
	}
	xa_unlock(&context->notifiers);
	return notifier;
}

/*
 * Stops every use of the notifier but by callbacks, and these tell nobody any more. Once the lock has been had,
 * nothing is put into the page table: after the notifier has left the interval tree nothing would take it out again.
 */
static void notifier_quiesce(struct mirror_notifier *notifier)
{
	mutex_lock(&notifier->lock);
	WRITE_ONCE(notifier->removed, true);
	mirror_page_table_clear_locked(notifier, notifier->start, notifier->last);
	mutex_unlock(&notifier->lock);
	wake_up_all(&notifier->update_changed);
}

/* Takes the notifier out of the interval tree; no callback runs when that is done. Drops the reference. */
static void notifier_unregister(struct mirror_notifier *notifier)
{
	mmu_interval_notifier_remove(&notifier->interval);
	mirror_notifier_put(notifier);
}

/*
 * Ends a registered notifier that is in no table (any more), and drops the caller's reference. -EINTR: the caller is
 * being killed while an invalidation waits for user space, perhaps for the caller itself; release() does the rest
 * then.
 */
int mirror_notifier_retire(struct mirror_notifier *notifier)
{
	struct mirror_context *context = notifier->context;
	int ret = 0;

	notifier_quiesce(notifier);
	/*
	 * One that was inserted during the invalidation that is under way is not in the tree yet, and its removal does not
	 * wait. Read without the lock of mm/mmu_notifier.c: if it has just entered the tree, its removal waits all the same,
	 * only not killably.
	 */
	if (!RB_EMPTY_NODE(&notifier->interval.interval_tree.rb))
		ret = mirror_waits_await(context->mm, NULL);
	if (ret) {
		mutex_lock(&context->lock);
		list_add(&notifier->orphan, &context->orphans);
		mutex_unlock(&context->lock);
		return ret;
	}
	notifier_unregister(notifier);
	return 0;
}

int mirror_notifier_remove(struct mirror_context *context, u32 id)
{
	struct mirror_notifier *notifier;

	/*
	 * Of two callers one gets the entry, and with it the context's reference. Not simply xa_erase(): that would
	 * also erase the reservation of an id that is being inserted.
	 */
	xa_lock(&context->notifiers);
	notifier = xa_load(&context->notifiers, id);
	if (notifier)
		__xa_erase(&context->notifiers, id);
	if (notifier == context->recent)
		context->recent = NULL;
	xa_unlock(&context->notifiers);
	return notifier ? mirror_notifier_retire(notifier) : -ENOENT;
}

/* From release(): no ioctl runs, and the queue of events is closed. */
void mirror_notifiers_release(struct mirror_context *context)
{
	struct mirror_notifier *notifier, *next;
	unsigned long id;

	/*
	 * All before the first is unregistered: the invalidation that this waits for may be waiting for the lock of
	 * another.
	 */
	xa_for_each(&context->notifiers, id, notifier)
		notifier_quiesce(notifier);
	context->recent = NULL;
	xa_for_each(&context->notifiers, id, notifier) {
		xa_erase(&context->notifiers, id);
		notifier_unregister(notifier);
	}
	list_for_each_entry_safe(notifier, next, &context->orphans, orphan) {
		list_del(&notifier->orphan);
		notifier_unregister(notifier);
	}
}

/*
 * mmu_interval_read_begin(). The result of one that has returned was, at that moment, not the mm's sequence, or had
 * been waited out; and the mm's only grows. So as long as the notifier still has that sequence, asking again would
 * give it again, at once. This is how nonblock gets an answer: the mm's own sequence is private to mm/mmu_notifier.c,
 * and read_begin sleeps when the two are equal. Otherwise -EAGAIN.
 *
 * Two that run at the same time may store their results in the wrong order: then begun is the older, no longer equal,
 * and the answer is -EAGAIN, which is always allowed.
 */
int mirror_notifier_begin(struct mirror_notifier *notifier, bool nonblock, unsigned long *sequence)
{
	int ret;

	if (nonblock) {
		*sequence = READ_ONCE(notifier->begun);
		return mmu_interval_check_retry(&notifier->interval, *sequence) ? -EAGAIN : 0;
	}
	if (!mirror_waits_none()) {
		ret = mirror_waits_await(notifier->context->mm, notifier);
		if (ret)
			return ret;
	}
	*sequence = mmu_interval_read_begin(&notifier->interval);
	WRITE_ONCE(notifier->begun, *sequence);
	return 0;
}
