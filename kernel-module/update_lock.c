// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lock that hmm.rst calls the driver's: a mutex, and over it the update lock that user space can hold
 * from one ioctl to another. The mutex alone is never held across a return to user space or a wait.
 *
 * HELD is set and left only under the mutex, so whoever has the mutex and does not find HELD is alone with the
 * page table.
 */
#include <linux/sched/signal.h>

#include "mirror.h"

/* For what only uses the page table: not kept out by user space's lock. -ENOENT: removed meanwhile. */
int mirror_notifier_lock(struct mirror_notifier *notifier, bool nonblock)
{
	if (nonblock) {
		if (!mutex_trylock(&notifier->lock))
			return -EAGAIN;
	} else if (mutex_lock_killable(&notifier->lock)) {
		return -EINTR;
	}
	if (!notifier->removed)
		return 0;
	mutex_unlock(&notifier->lock);
	return -ENOENT;
}

static bool update_lock_is_held(struct mirror_notifier *notifier)
{
	return READ_ONCE(notifier->update_lock) == MIRROR_UPDATE_HELD && !READ_ONCE(notifier->removed);
}

/* For what changes the page table, other than invalidations: also waits until user space's lock is free. */
int mirror_update_begin(struct mirror_notifier *notifier, bool nonblock)
{
	int ret;

	for (;;) {
		ret = mirror_notifier_lock(notifier, nonblock);
		if (ret)
			return ret;
		if (notifier->update_lock != MIRROR_UPDATE_HELD)
			return 0;
		mutex_unlock(&notifier->lock);
		if (nonblock)
			return -EAGAIN;
		if (wait_event_killable(notifier->update_changed, !update_lock_is_held(notifier)))
			return -EINTR;
	}
}

/*
 * The same for who holds locks of the mirrored process: the mutex alone is waited for, which nobody keeps for long.
 * -EBUSY: user space has the lock.
 */
int mirror_update_begin_short(struct mirror_notifier *notifier)
{
	int ret;

	ret = mirror_notifier_lock(notifier, false);
	if (ret || notifier->update_lock != MIRROR_UPDATE_HELD)
		return ret;
	mutex_unlock(&notifier->lock);
	return -EBUSY;
}

/* Waits for user space to unlock, or takes the lock away from it. Called with the mutex held, which it drops meanwhile. */
static void update_lock_outwait(struct mirror_notifier *notifier, struct mirror_wait *wait)
{
	/* The holder cannot unlock while it is here. */
	bool over = notifier->update_holder == task_pid_nr(current);
	long remaining;

	while (update_lock_is_held(notifier)) {
		remaining = mirror_wait_remaining(wait);
		if (over || !remaining) {
			WRITE_ONCE(notifier->update_lock, MIRROR_UPDATE_TAKEN);
			/* The loser may never unlock. Those that wait for it get the mutex after us. */
			wake_up_all(&notifier->update_changed);
			break;
		}
		WRITE_ONCE(notifier->update_waiters, notifier->update_waiters + 1);
		mutex_unlock(&notifier->lock);
		remaining = wait_event_killable_timeout(notifier->update_changed, !update_lock_is_held(notifier),
							remaining);
		over = remaining < 0;
		mutex_lock(&notifier->lock);
		WRITE_ONCE(notifier->update_waiters, notifier->update_waiters - 1);
		if (!notifier->update_waiters)
			wake_up_all(&notifier->update_changed);
	}
}

/*
 * Like mirror_update_begin(), for an invalidation: when its bound has run out, or when its thread is being killed, it
 * takes the lock away from user space. While it waits it goes before all others in user space that want the lock.
 * False, and the mutex is not held: not blockable, and it would have to wait.
 */
bool mirror_update_begin_invalidation(struct mirror_notifier *notifier, const struct mmu_notifier_range *range,
				      unsigned long sequence)
{
	struct mirror_wait wait;

	if (!mmu_notifier_range_blockable(range)) {
		if (!mutex_trylock(&notifier->lock))
			return false;
		if (!update_lock_is_held(notifier))
			return true;
		mutex_unlock(&notifier->lock);
		return false;
	}

	mutex_lock(&notifier->lock);
	if (update_lock_is_held(notifier)) {
		mirror_wait_begin(&wait, notifier, range, sequence);
		update_lock_outwait(notifier, &wait);
		mirror_wait_end(&wait);
	}
	return true;
}

/* TAKEN is not free: the holder who lost the lock would unlock that of the next. */
static bool update_lock_is_free(struct mirror_notifier *notifier)
{
	return READ_ONCE(notifier->update_lock) == MIRROR_UPDATE_FREE && !READ_ONCE(notifier->update_waiters);
}

/* HMM_MIRROR_LOCK. */
int mirror_update_lock(struct mirror_notifier *notifier, bool nonblock)
{
	int ret;

	for (;;) {
		ret = mirror_notifier_lock(notifier, nonblock);
		if (ret)
			return ret;
		if (update_lock_is_free(notifier)) {
			WRITE_ONCE(notifier->update_lock, MIRROR_UPDATE_HELD);
			notifier->update_holder = task_pid_nr(current);
			mutex_unlock(&notifier->lock);
			return 0;
		}
		mutex_unlock(&notifier->lock);
		if (nonblock)
			return -EAGAIN;
		if (wait_event_killable(notifier->update_changed,
					update_lock_is_free(notifier) || READ_ONCE(notifier->removed)))
			return -EINTR;
	}
}

/* HMM_MIRROR_UNLOCK. */
int mirror_update_unlock(struct mirror_notifier *notifier)
{
	int ret;

	/* Not killable: the mutex is held for short, and a lock that could not be given back would be kept. */
	mutex_lock(&notifier->lock);
	switch (notifier->update_lock) {
	case MIRROR_UPDATE_HELD:
		ret = 0;
		break;
	case MIRROR_UPDATE_TAKEN:
		ret = -ETIMEDOUT;
		break;
	default:
		ret = -EINVAL;
		break;
	}
	WRITE_ONCE(notifier->update_lock, MIRROR_UPDATE_FREE);
	mutex_unlock(&notifier->lock);
	wake_up_all(&notifier->update_changed);
	return ret;
}
