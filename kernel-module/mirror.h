/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * hmm_mirror: what its files share.
 *
 * Lock order, outermost first:
 *
 *	mirror_notifier.exclusive_lock
 *	  mmap_lock of the mirrored process
 *	    i_mmap_rwsem, anon_vma and folio locks of the mirrored process
 *	      mirror_notifier.lock	taken by the invalidate callback under any of mmap_lock and the above
 *	        mirror_event_queue.lock	spinlock
 *	          waits_lock (waits.c)	spinlock
 *	page table locks, and any other lock under which a page can be freed
 *	  mirror_device_memory.lock	spinlock, interrupts off
 *
 * mirror_exclusive_gate is only tried, never waited for.
 *
 * The callback may run in reclaim. So nothing under mirror_notifier.lock allocates in a way that can reclaim,
 * takes an mmap_lock, or touches user memory with page faults enabled. mirror_context.lock and
 * mirror_event_queue.read_lock are outermost: the callback never takes them.
 *
 * No wait for user space is unbounded. An invalidation waits for one bound in all, however many notifiers it hits, and
 * killably (waits.c). An ioctl waits killably. What an ioctl waits for uninterruptibly (the end of an invalidation that
 * is under way) is the kernel's own work, and a bounded wait that began after the ioctl had looked.
 */
#ifndef HMM_MIRROR_MIRROR_H
#define HMM_MIRROR_MIRROR_H

#include <linux/completion.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include "compat.h"

/* How long a loop that is restarted again and again by invalidations goes on, without any progress. */
#define MIRROR_RETRY_DEADLINE (10 * HZ)

struct mirror_device_memory; /* device_memory.h */

/* A /dev/hmm_mirrorN. Constant once registered; its address is the owner of its memory (pgmap owner). */
struct mirror_device {
	struct miscdevice misc;
	char name[16];
	u32 id;
	u32 kind;     /* HMM_MIRROR_DEVICE_* */
	u64 capacity; /* pages */
	struct mirror_device_memory *memory; /* NULL: kind is HMM_MIRROR_DEVICE_NONE */
};

/*
 * The records of a context, in the order in which they happened. One ring holds all of them: a record that
 * somebody waits for (ticket != 0) finds room by evicting the newest that nobody waits for.
 */
struct mirror_event_queue {
	spinlock_t lock;               /* guards what follows, up to waits */
	struct hmm_mirror_event *ring; /* mirror_event_capacity records; NULL until a notifier wants events */
	unsigned int head;             /* index of the oldest */
	unsigned int count;
	unsigned int pinned; /* that many of the oldest are being read: not to be moved */
	u32 lost;            /* since the newest record was queued */
	u64 last_ticket;
	bool closed; /* the file is being released: nobody waits any more */
	bool silent; /* a wait has run out, and nothing has been read since: nobody waits */
	pid_t reader; /* the thread that has read last, which would answer; 0: none has */
	struct list_head waits; /* of struct mirror_event_wait, on stacks of invalidations */

	struct mutex read_lock;   /* one reader at a time, so that a failed copy consumes nothing */
	wait_queue_head_t readable; /* count > 0 */
	wait_queue_head_t changed;  /* room in the ring, or closed */
};

/* One open file. */
struct mirror_context {
	struct mirror_device *device;
	struct mm_struct *mm; /* set once, by bind; holds mm_count */
	struct mutex lock;    /* guards last_id and orphans; serializes bind, and the allocation of the ring */
	u32 last_id;
	struct list_head orphans; /* notifiers whose remover was killed, for release() */
	struct xarray notifiers; /* id to struct mirror_notifier; its xa_lock makes lookup and get one step */
	struct mirror_notifier *recent; /* what was looked up last, mostly what is next; NULL or in notifiers; under their xa_lock */
	struct mirror_event_queue events;
	/*
	 * Of each device the pages that hold memory which this context has migrated there; the lock is that memory's.
	 */
	struct list_head residents[HMM_MIRROR_MAX_DEVICES];
};

enum mirror_update_lock {
	MIRROR_UPDATE_FREE,
	MIRROR_UPDATE_HELD,  /* by user space */
	MIRROR_UPDATE_TAKEN, /* away from user space, which has not unlocked yet */
};

/* An interval notifier, and the device page table of one that is a mirror. */
struct mirror_notifier {
	struct mmu_interval_notifier interval;
	struct mirror_context *context; /* outlives it: release() removes every notifier */
	struct kref ref;
	u32 id;
	u32 flags; /* HMM_MIRROR_NOTIFIER_* */
	u32 timeout_ms; /* how long an invalidation waits for user space; 0: as long as it may */
	struct mirror_device *device; /* NULL if it is no mirror */
	unsigned long start;
	unsigned long last; /* inclusive: an interval may end with the address space */

	/*
	 * What the mmu_interval_read_begin() that completed last returned; 0, which is never a sequence of a notifier
	 * (those are odd), before the first. Read and written with READ_ONCE() and WRITE_ONCE() alone.
	 */
	unsigned long begun;

	/*
	 * The driver's lock of hmm.rst. Guards the page table, update_lock and update_waiters, every
	 * mmu_interval_set_seq(), and the step from mmu_interval_read_retry() to the use of its answer.
	 */
	struct mutex lock;
	struct xarray chunks; /* of struct mirror_page_table_chunk; inserted without, used and freed with the lock */
	enum mirror_update_lock update_lock;
	pid_t update_holder; /* the thread that took it */
	unsigned int update_waiters; /* invalidations that wait for user space to unlock */
	wait_queue_head_t update_changed;

	/* Outermost: held by who makes pages exclusive, through all of the loop. */
	struct mutex exclusive_lock;
	/*
	 * Who makes pages exclusive at this moment, and so has the invalidations of that in its own thread. Written
	 * under exclusive_lock; the callback only asks whether it is its own thread, and then the answer cannot
	 * change.
	 */
	struct task_struct *exclusive_task;

	/* No use of the page table any more, and no events. Set under the lock. */
	bool removed;
	struct list_head orphan; /* in the context's orphans, under its lock */
};

/* main.c */
extern unsigned int mirror_callback_timeout_ms;
extern unsigned int mirror_event_capacity;

/* device.c */
extern struct mirror_device mirror_devices[HMM_MIRROR_MAX_DEVICES];
extern unsigned int mirror_device_count;
struct mirror_device *mirror_device_find(u32 id);
u32 mirror_device_id_of_owner(const void *owner);
u64 mirror_device_used(const struct mirror_device *device);
int mirror_devices_init(const struct file_operations *operations);
void mirror_devices_exit(void);

/* location.c */

/* Frames that follow each other and are in the same place, HMM_MIRROR_LOCATION_*, never NONE. */
struct mirror_stretch {
	unsigned long first;
	unsigned long count;
	u32 location;
};

void mirror_location_add(unsigned long first, unsigned long count, u32 location);
void mirror_location_add_zero(void);
const struct mirror_stretch *mirror_location_find(unsigned long frame);

/* stretch: where the frame before was, zeroed for the first. A frame near it costs one comparison. */
static inline u32 mirror_location(struct mirror_stretch *stretch, unsigned long frame)
{
	/* A copy, so that the caller's can stay in registers. */
	if (frame - stretch->first >= stretch->count)
		*stretch = *mirror_location_find(frame);
	return stretch->location;
}

/* In ms, with what user space asked for (0: nothing). The administrator's parameter is the cap, also of notifiers that exist. */
static inline u32 mirror_timeout_ms(u32 asked)
{
	u32 cap = READ_ONCE(mirror_callback_timeout_ms);

	return asked ? min(asked, cap) : cap;
}

/* In jiffies: how long an invalidation waits for user space, be it for an answer or for the update lock. */
static inline unsigned long mirror_notifier_bound(const struct mirror_notifier *notifier)
{
	return msecs_to_jiffies(mirror_timeout_ms(notifier->timeout_ms)) + 1;
}

/* context.c */
struct mirror_context *mirror_context_create(struct mirror_device *device);
void mirror_context_destroy(struct mirror_context *context);
int mirror_open(struct inode *inode, struct file *file);
int mirror_release(struct inode *inode, struct file *file);
int mirror_context_bind(struct mirror_context *context);
int mirror_context_lock_mm(struct mirror_context *context, struct mm_struct **mm);
void mirror_mm_unlock(struct mm_struct *mm);

/* The mm that the context is bound to, as an address and no more: it may be dead. -ENOTCONN. */
static inline int mirror_context_mm(struct mirror_context *context, struct mm_struct **mm)
{
	/* Pairs with the release in mirror_context_bind(). */
	*mm = smp_load_acquire(&context->mm);
	return *mm ? 0 : -ENOTCONN;
}

/* waits.c */

/* A wait for user space, on the stack of the invalidation's thread. */
struct mirror_wait {
	struct list_head link; /* in mirror_waits */
	const struct mm_struct *mm;
	unsigned long sequence;
	u64 number;
	struct mirror_invalidation *invalidation; /* NULL: there was no room for it */
	unsigned long deadline; /* jiffies */
};

extern struct list_head mirror_waits;

void mirror_wait_begin(struct mirror_wait *wait, const struct mirror_notifier *notifier,
		       const struct mmu_notifier_range *range, unsigned long sequence);
void mirror_wait_end(struct mirror_wait *wait);
long mirror_wait_remaining(const struct mirror_wait *wait);
void mirror_waits_forget(const struct mm_struct *mm);
int mirror_waits_await(const struct mm_struct *mm, struct mirror_notifier *hit);

/* Nothing to await, which is mostly so; old as soon as it is said, as mirror_waits_await()'s own answer. */
static inline bool mirror_waits_none(void)
{
	return list_empty(&mirror_waits);
}

/* events.c */
void mirror_events_init(struct mirror_event_queue *queue);
int mirror_events_allocate(struct mirror_event_queue *queue);
void mirror_events_close(struct mirror_event_queue *queue);
void mirror_events_free(struct mirror_event_queue *queue);
bool mirror_events_notify(struct mirror_notifier *notifier, const struct mmu_notifier_range *range,
			  unsigned long sequence);
int mirror_events_ack(struct mirror_event_queue *queue, u64 ticket);
ssize_t mirror_read(struct file *file, char __user *buffer, size_t size, loff_t *position);
__poll_t mirror_poll(struct file *file, struct poll_table_struct *table);

/* notifier.c */
struct mirror_notifier *mirror_notifier_alloc(struct mirror_context *context, unsigned long start, unsigned long last);
int mirror_notifier_register(struct mirror_notifier *notifier);
int mirror_notifier_retire(struct mirror_notifier *notifier);
int mirror_notifier_insert(struct mirror_context *context, struct mirror_notifier *notifier, u32 *id);
struct mirror_notifier *mirror_notifier_get(struct mirror_context *context, u32 id);
void mirror_notifier_put(struct mirror_notifier *notifier);
int mirror_notifier_remove(struct mirror_context *context, u32 id);
void mirror_notifiers_release(struct mirror_context *context);
int mirror_notifier_begin(struct mirror_notifier *notifier, bool nonblock, unsigned long *sequence);

/* update_lock.c */
int mirror_update_lock(struct mirror_notifier *notifier, bool nonblock);
int mirror_update_unlock(struct mirror_notifier *notifier);
int mirror_update_begin(struct mirror_notifier *notifier, bool nonblock);
int mirror_update_begin_short(struct mirror_notifier *notifier);
bool mirror_update_begin_invalidation(struct mirror_notifier *notifier, const struct mmu_notifier_range *range,
				      unsigned long sequence);
int mirror_notifier_lock(struct mirror_notifier *notifier, bool nonblock);

/* page_table.c */
#define MIRROR_CHUNK_PAGES 512UL
#define MIRROR_CHUNK_SIZE (MIRROR_CHUNK_PAGES << PAGE_SHIFT)

/*
 * One chunk: the entries of MIRROR_CHUNK_PAGES naturally aligned pages, HMM_MIRROR_PFN_VALID, HMM_MIRROR_PFN_WRITE,
 * HMM_MIRROR_ENTRY_EXCLUSIVE and the frame, or 0. No page reference stands behind an entry: it is valid because the
 * invalidation that would free the page has to clear it first.
 */
struct mirror_page_table_chunk {
	u64 entries[MIRROR_CHUNK_PAGES];
};

/*
 * Where the chunk that holds address ends, or end where that comes first; the last chunk of all ends at 2^64, so no
 * sum.
 */
static inline unsigned long mirror_chunk_end(unsigned long address, unsigned long end)
{
	return min(end - 1, address | (MIRROR_CHUNK_SIZE - 1)) + 1;
}

static inline unsigned long mirror_chunk_slot(unsigned long address)
{
	return (address >> PAGE_SHIFT) % MIRROR_CHUNK_PAGES;
}

int mirror_page_table_prepare(struct mirror_notifier *notifier, unsigned long address);
unsigned long mirror_page_table_store_locked(struct mirror_notifier *notifier, unsigned long address,
					     const unsigned long *pfns, unsigned long count);
unsigned long mirror_page_table_store_exclusive_locked(struct mirror_notifier *notifier, unsigned long address,
						       struct page *const *pages, unsigned long count);
struct mirror_page_table_chunk *mirror_page_table_chunk_locked(struct mirror_notifier *notifier,
							       unsigned long address);
unsigned long mirror_page_table_missing_locked(struct mirror_notifier *notifier, unsigned long start,
					       unsigned long end, u64 needed);
void mirror_page_table_read_locked(struct mirror_notifier *notifier, unsigned long start, unsigned long end,
				   u64 *entries);
void mirror_page_table_clear_locked(struct mirror_notifier *notifier, unsigned long start, unsigned long last);
void mirror_page_table_destroy(struct mirror_notifier *notifier);

/* walk.c */
int mirror_walk_range(struct mm_struct *mm, const struct hmm_range *range);

/* fault.c */

/* One run of the loop of Documentation/mm/hmm.rst over [start, end). Of the steps those that are NULL are left out. */
struct mirror_fault {
	struct mirror_notifier *notifier;
	struct mirror_device *device; /* that accesses: whose private memory need not be faulted back */
	unsigned long start;
	unsigned long end;
	unsigned long *pfns;         /* scratch, one per page; in the kernel's encoding */
	unsigned long default_flags; /* HMM_PFN_REQ_* */
	bool nonblock;
	u64 retries; /* out, added to */
	/* Before the sequence begins. */
	int (*settle)(struct mirror_fault *fault);
	/* Instead of hmm_range_fault() into pfns. -EBUSY: begin again. */
	int (*walk)(struct mirror_fault *fault, unsigned long sequence);
	/* Between the walk and the lock; may allocate. */
	int (*prepare)(struct mirror_fault *fault);
	/* With the notifier's lock held, while the sequence is valid. NULL (prepare too then): nothing changes, no lock is taken. */
	int (*commit_locked)(struct mirror_fault *fault);
	/*
	 * After a walk that succeeded, whatever came of it: lets go of what that holds. Who has it holds locks of the
	 * mirrored process, and so does not wait for user space's update lock, but begins again.
	 */
	void (*release)(struct mirror_fault *fault);
};

int mirror_fault_run(struct mirror_fault *fault);
int mirror_range_fault_once(struct mm_struct *mm, struct hmm_range *range, bool nonblock);
int mirror_populate(struct mirror_notifier *notifier, struct hmm_mirror_populate *args);
int mirror_populate_pages(struct mirror_notifier *notifier, unsigned long start, unsigned long end,
			  unsigned long *pfns, u32 flags, u64 *pages, u64 *retries);

/* range_fault.c */
int mirror_range_fault(struct mirror_notifier *notifier, const struct hmm_mirror_range_fault *args,
		       struct mirror_device *owner);

/* query.c */
int mirror_query(struct mirror_notifier *notifier, struct hmm_mirror_query *args);

/* access.c */
int mirror_access(struct mirror_notifier *notifier, struct hmm_mirror_access *args, bool write);
int mirror_access_present(struct mirror_notifier *notifier, struct hmm_mirror_access *args, bool write);

/* device_access.c */
int mirror_device_access(struct mirror_context *context, struct mirror_device *device,
			 struct hmm_mirror_device_access *args, const u64 *entries, bool write);

/* copy.c */
unsigned long mirror_copy_frame(u64 entry, unsigned long address, unsigned long end, void __user *buffer, bool write);
int mirror_copy_fault_in(void __user *buffer, unsigned long size, bool write, unsigned int *attempts);

#if IS_ENABLED(CONFIG_DEVICE_MIGRATION)
/* migrate.c */
int mirror_migrate_to_device(struct mirror_notifier *notifier, unsigned long start, unsigned long end,
			     struct hmm_mirror_pages *result);
int mirror_migrate_to_system(struct mirror_notifier *notifier, unsigned long start, unsigned long end,
			     struct hmm_mirror_pages *result);

/* evict.c */
int mirror_device_evict(struct mirror_device *device, u64 *pages);
void mirror_residents_init(struct mirror_context *context);
void mirror_residents_release(struct mirror_context *context);
#else
/* No device has memory: nothing migrates. */
static inline int mirror_migrate_to_device(struct mirror_notifier *notifier, unsigned long start, unsigned long end,
					   struct hmm_mirror_pages *result)
{
	result->address = start;
	return -EOPNOTSUPP;
}

static inline int mirror_migrate_to_system(struct mirror_notifier *notifier, unsigned long start, unsigned long end,
					   struct hmm_mirror_pages *result)
{
	result->address = start;
	return -EOPNOTSUPP;
}

static inline int mirror_device_evict(struct mirror_device *device, u64 *pages)
{
	return -EOPNOTSUPP;
}

static inline void mirror_residents_init(struct mirror_context *context)
{
}

static inline void mirror_residents_release(struct mirror_context *context)
{
}
#endif

/* exclusive.c */
extern struct rw_semaphore mirror_exclusive_gate;
int mirror_make_exclusive(struct mirror_notifier *notifier, unsigned long start, unsigned long end,
			  struct hmm_mirror_pages *result);
int mirror_make_exclusive_page(struct mirror_notifier *notifier, unsigned long address, u64 *retries);

/* atomic.c */
int mirror_atomic_add(struct mirror_notifier *notifier, struct hmm_mirror_atomic *args);

/* ioctl.c */
long mirror_ioctl(struct file *file, unsigned int command, unsigned long argument);

/* dmirror.c */
int dmirror_init(void);
void dmirror_exit(void);

#endif /* HMM_MIRROR_MIRROR_H */
