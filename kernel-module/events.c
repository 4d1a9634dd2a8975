// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events: invalidations as records that user space reads, and the waits of those that it must answer.
 *
 * The producers are invalidate callbacks, perhaps in reclaim: nothing here allocates but mirror_events_allocate().
 */
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "mirror.h"

/* Records that one copy to user space moves; they are on the reader's stack. */
#define MIRROR_READ_BATCH 8

/* An invalidation that waits for an answer. On the stack of its thread; all fields are the queue's lock's. */
struct mirror_event_wait {
	struct list_head link;
	u64 ticket;
	bool answered;
	bool abandoned; /* the queue was closed before the wait began */
	struct completion done;
};

void mirror_events_init(struct mirror_event_queue *queue)
{
	spin_lock_init(&queue->lock);
	INIT_LIST_HEAD(&queue->waits);
	mutex_init(&queue->read_lock);
	init_waitqueue_head(&queue->readable);
	init_waitqueue_head(&queue->changed);
}

/*
 * Gives the queue its ring, once; the caller serializes. Before the first notifier that wants events is registered,
 * so no producer ever sees a queue without one.
 */
int mirror_events_allocate(struct mirror_event_queue *queue)
{
	struct hmm_mirror_event *ring;

	if (queue->ring)
		return 0;
	ring = kvmalloc_array(mirror_event_capacity, sizeof(*ring), GFP_KERNEL_ACCOUNT);
	if (!ring)
		return -ENOMEM;
	spin_lock(&queue->lock);
	queue->ring = ring;
	spin_unlock(&queue->lock);
	return 0;
}

/* Ends every wait, and lets none begin. */
void mirror_events_close(struct mirror_event_queue *queue)
{
	struct mirror_event_wait *wait;

	spin_lock(&queue->lock);
	queue->closed = true;
	list_for_each_entry(wait, &queue->waits, link)
		complete(&wait->done);
	spin_unlock(&queue->lock);
	wake_up_all(&queue->changed);
}

/* No notifier of the context is left, so no producer. */
void mirror_events_free(struct mirror_event_queue *queue)
{
	kvfree(queue->ring);
}

static struct hmm_mirror_event *queue_slot_locked(struct mirror_event_queue *queue, unsigned int index)
{
	lockdep_assert_held(&queue->lock);
	return &queue->ring[(queue->head + index) % mirror_event_capacity];
}

static void count_lost(u32 *lost, u32 more)
{
	if (check_add_overflow(*lost, more, lost))
		*lost = U32_MAX;
}

/*
 * Drops the newest record that nobody waits for, and tells its successor. In the worst case it looks at the whole
 * ring under the spinlock: a queue that user space does not read, while it answers nothing. That is why main.c keeps
 * the ring below 2^16 records.
 */
static bool queue_evict_locked(struct mirror_event_queue *queue)
{
	unsigned int victim, index;
	u32 lost;

	for (victim = queue->count; victim > queue->pinned; victim--)
		if (!queue_slot_locked(queue, victim - 1)->ticket)
			break;
	if (victim == queue->pinned)
		return false;
	victim--;

	lost = queue_slot_locked(queue, victim)->lost;
	count_lost(&lost, 1);
	for (index = victim + 1; index < queue->count; index++)
		*queue_slot_locked(queue, index - 1) = *queue_slot_locked(queue, index);
	WRITE_ONCE(queue->count, queue->count - 1);
	count_lost(victim < queue->count ? &queue_slot_locked(queue, victim)->lost : &queue->lost, lost);
	return true;
}

/* False: no room. The caller decides whether the record is lost. */
static bool queue_push_locked(struct mirror_event_queue *queue, const struct hmm_mirror_event *event)
{
	struct hmm_mirror_event *slot;

	lockdep_assert_held(&queue->lock);
	if (queue->count == mirror_event_capacity && !(event->ticket && queue_evict_locked(queue)))
		return false;
	slot = queue_slot_locked(queue, queue->count);
	WRITE_ONCE(queue->count, queue->count + 1);
	*slot = *event;
	slot->lost = queue->lost;
	queue->lost = 0;
	return true;
}

static void queue_push_or_lose(struct mirror_event_queue *queue, const struct hmm_mirror_event *event)
{
	bool pushed;

	spin_lock(&queue->lock);
	pushed = queue_push_locked(queue, event);
	if (!pushed)
		count_lost(&queue->lost, 1);
	spin_unlock(&queue->lock);
	if (pushed)
		wake_up_interruptible_poll(&queue->readable, EPOLLIN | EPOLLRDNORM);
}

/* Queues the event and begins to wait for its answer; false while there is no room for it. */
static bool queue_begin_wait(struct mirror_event_queue *queue, struct hmm_mirror_event *event,
			     struct mirror_event_wait *wait)
{
	bool begun = true;

	spin_lock(&queue->lock);
	if (queue->closed) {
		wait->abandoned = true;
	} else {
		event->ticket = queue->last_ticket + 1;
		begun = queue_push_locked(queue, event);
		if (begun) {
			wait->ticket = event->ticket;
			queue->last_ticket = event->ticket;
			list_add_tail(&wait->link, &queue->waits);
		}
	}
	spin_unlock(&queue->lock);
	return begun;
}

/*
 * Whether there is a point in waiting: not for a listener that has let a wait run out and has not read since, and not
 * for this very thread. A thread that is late with an answer still reads; one that does not read is stopped or gone.
 */
static bool queue_would_answer(struct mirror_event_queue *queue)
{
	return !READ_ONCE(queue->silent) && READ_ONCE(queue->reader) != task_pid_nr(current);
}

/* Nobody waits for the answer, and the listener is told so. */
static void queue_notify_unawaited(struct mirror_event_queue *queue, struct hmm_mirror_event *event)
{
	event->ticket = 0;
	event->flags |= HMM_MIRROR_EVENT_NOT_AWAITED;
	queue_push_or_lose(queue, event);
}

/*
 * Delivers the event and waits for its answer, until the wait's deadline, and not after a fatal signal. Only when the
 * ring holds nothing but unread records with tickets does it first wait for room.
 */
static void queue_notify_wait(struct mirror_event_queue *queue, struct hmm_mirror_event *event,
			      const struct mirror_wait *bound)
{
	struct mirror_event_wait wait = {};
	long remaining;
	bool timed_out;

	init_completion(&wait.done);
	remaining = wait_event_killable_timeout(queue->changed, queue_begin_wait(queue, event, &wait),
						mirror_wait_remaining(bound));
	if (remaining <= 0) {
		/* Killed: that says nothing of the listener. */
		if (!remaining)
			WRITE_ONCE(queue->silent, true);
		queue_notify_unawaited(queue, event);
		return;
	}
	if (wait.abandoned)
		return;

	wake_up_interruptible_poll(&queue->readable, EPOLLIN | EPOLLRDNORM);
	remaining = wait_for_completion_killable_timeout(&wait.done, remaining);

	/* complete() is called under this lock, so when we have it nobody touches our stack any more. */
	spin_lock(&queue->lock);
	list_del(&wait.link);
	/* An answer may have come until the lock was taken, and then it counts. */
	timed_out = remaining <= 0 && !wait.answered && !queue->closed;
	if (timed_out) {
		if (!remaining)
			WRITE_ONCE(queue->silent, true);
		event->flags |= HMM_MIRROR_EVENT_TIMED_OUT;
		if (!queue_push_locked(queue, event))
			count_lost(&queue->lost, 1);
	}
	spin_unlock(&queue->lock);
	if (timed_out)
		wake_up_interruptible_poll(&queue->readable, EPOLLIN | EPOLLRDNORM);
}

static void queue_notify_sync(struct mirror_notifier *notifier, const struct mmu_notifier_range *range,
			      unsigned long sequence, struct hmm_mirror_event *event)
{
	struct mirror_event_queue *queue = &notifier->context->events;
	struct mirror_wait wait;

	if (!queue_would_answer(queue)) {
		queue_notify_unawaited(queue, event);
		return;
	}
	mirror_wait_begin(&wait, notifier, range, sequence);
	if (mirror_wait_remaining(&wait))
		queue_notify_wait(queue, event, &wait);
	else
		queue_notify_unawaited(queue, event);
	mirror_wait_end(&wait);
}

/*
 * Tells user space of an invalidation, after the notifier's page table has been emptied and its sequence set, with
 * none of our locks held. Returns what the invalidate callback returns.
 */
bool mirror_events_notify(struct mirror_notifier *notifier, const struct mmu_notifier_range *range,
			  unsigned long sequence)
{
	bool blockable = mmu_notifier_range_blockable(range);
	struct hmm_mirror_event event = {
		.start = range->start,
		.end = range->end,
		.sequence = sequence,
		.timestamp = ktime_get_ns(),
		.notifier = notifier->id,
		.event = range->event,
		.flags = blockable ? HMM_MIRROR_EVENT_BLOCKABLE : 0,
		.owner = HMM_MIRROR_NO_DEVICE,
		.thread = task_pid_nr(current),
	};

	/* For other events mmu_notifier_range_init() leaves owner as the stack had it. */
	if (range->event == MMU_NOTIFY_MIGRATE || range->event == MMU_NOTIFY_EXCLUSIVE)
		event.owner = mirror_device_id_of_owner(range->owner);

	if (blockable && (notifier->flags & HMM_MIRROR_NOTIFIER_SYNC)) {
		queue_notify_sync(notifier, range, sequence, &event);
		return true;
	}
	queue_push_or_lose(&notifier->context->events, &event);
	/* Who may not sleep cannot have the answer of a driver in user space: it must try again, blockable. */
	return !(notifier->flags & HMM_MIRROR_NOTIFIER_SYNC);
}

int mirror_events_ack(struct mirror_event_queue *queue, u64 ticket)
{
	struct mirror_event_wait *wait;
	int ret = -ENOENT;

	spin_lock(&queue->lock);
	list_for_each_entry(wait, &queue->waits, link) {
		if (wait->ticket != ticket || wait->answered)
			continue;
		wait->answered = true;
		complete(&wait->done);
		ret = 0;
		break;
	}
	spin_unlock(&queue->lock);
	return ret;
}

/* Moves up to MIRROR_READ_BATCH records; returns how many, or -EFAULT. */
static int queue_deliver(struct mirror_event_queue *queue, char __user *buffer, size_t room)
{
	struct hmm_mirror_event batch[MIRROR_READ_BATCH];
	unsigned int index, count;
	unsigned long failed;

	lockdep_assert_held(&queue->read_lock);
	spin_lock(&queue->lock);
	count = min3((size_t)queue->count, room, (size_t)MIRROR_READ_BATCH);
	for (index = 0; index < count; index++)
		batch[index] = *queue_slot_locked(queue, index);
	queue->pinned = count;
	spin_unlock(&queue->lock);
	if (!count)
		return 0;

	failed = copy_to_user(buffer, batch, count * sizeof(*batch));

	spin_lock(&queue->lock);
	queue->pinned = 0;
	count -= DIV_ROUND_UP(failed, sizeof(*batch));
	queue->head = (queue->head + count) % mirror_event_capacity;
	WRITE_ONCE(queue->count, queue->count - count);
	/* The listener is there again: the next invalidation waits for it. */
	WRITE_ONCE(queue->silent, false);
	WRITE_ONCE(queue->reader, task_pid_nr(current));
	spin_unlock(&queue->lock);
	wake_up_all(&queue->changed);
	return count ? (int)count : -EFAULT;
}

static bool queue_readable(struct mirror_event_queue *queue)
{
	return READ_ONCE(queue->count);
}

/* Sleeps until there may be a record, and takes read_lock; nonblock: -EAGAIN if another reader is at it. */
static int queue_begin_read(struct mirror_event_queue *queue, bool nonblock)
{
	int ret;

	if (nonblock)
		return mutex_trylock(&queue->read_lock) ? 0 : -EAGAIN;
	ret = wait_event_interruptible(queue->readable, queue_readable(queue));
	return ret ?: mutex_lock_interruptible(&queue->read_lock);
}

ssize_t mirror_read(struct file *file, char __user *buffer, size_t size, loff_t *position)
{
	struct mirror_context *context = file->private_data;
	struct mirror_event_queue *queue = &context->events;
	bool nonblock = file->f_flags & O_NONBLOCK;
	size_t room = size / sizeof(struct hmm_mirror_event);
	size_t done = 0;
	int ret;

	if (!room)
		return -EINVAL;
	/* What there can be at one moment: or a large buffer would be filled for as long as there are new ones. */
	room = min(room, (size_t)mirror_event_capacity);
	/* Again, when another reader took what there was. */
	do {
		ret = queue_begin_read(queue, nonblock);
		if (ret)
			return ret == -EINTR ? -ERESTARTSYS : ret;
		do {
			ret = queue_deliver(queue, buffer + done * sizeof(struct hmm_mirror_event), room - done);
			if (ret > 0)
				done += ret;
			cond_resched();
		} while (ret > 0 && done < room);
		mutex_unlock(&queue->read_lock);
	} while (!done && !ret && !nonblock);

	if (done)
		return done * sizeof(struct hmm_mirror_event);
	return ret ?: -EAGAIN;
}

__poll_t mirror_poll(struct file *file, struct poll_table_struct *table)
{
	struct mirror_context *context = file->private_data;

	poll_wait(file, &context->events.readable, table);
	return queue_readable(&context->events) ? EPOLLIN | EPOLLRDNORM : 0;
}
