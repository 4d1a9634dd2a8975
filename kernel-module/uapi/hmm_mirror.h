/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * hmm_mirror: the binary interface between hmm_mirror.ko and user space.
 *
 * One open file of /dev/hmm_mirrorN is one context. A context is bound, once, to the address space of
 * the process that issues HMM_MIRROR_BIND on it; whoever holds the same open file (inherited, or
 * received over a socket) may then mirror that address space, and nobody else.
 *
 * Rules that hold for every ioctl:
 *  - All addresses and lengths are bytes; every range is [start, end), multiples of the page size
 *    unless the field says otherwise.
 *  - Unknown flag bits and non-zero reserved fields: EINVAL. start >= end, unaligned: EINVAL.
 *    A length that overflows: EOVERFLOW. More than HMM_MIRROR_MAX_PAGES pages: EINVAL. All of this is
 *    checked before anything is allocated or done.
 *  - Out fields are written back on success and on error, so that a caller sees the progress made.
 *  - Not bound yet: ENOTCONN. The process has gone (mmget_not_zero fails): EFAULT, where the ioctl needs
 *    its page tables. No such notifier: ENOENT.
 *  - HMM_MIRROR_NONBLOCK: never sleep on the mirrored process's mmap_lock, on an invalidation that is under
 *    way, or on a lock that an invalidation holds; do not fault pages of the mirrored process. EAGAIN
 *    says that the same call without the flag could sleep.
 */
#ifndef _UAPI_HMM_MIRROR_H
#define _UAPI_HMM_MIRROR_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define HMM_MIRROR_ABI_VERSION 2

#define HMM_MIRROR_MAX_DEVICES 8
/* Pages in one call: 4 GiB of addresses, 8 MiB of entries. */
#define HMM_MIRROR_MAX_PAGES (1u << 20)

/*
 * Page frame entries, in and out. Fixed here, whatever the kernel's own encoding is: the module
 * translates on kernels that differ.
 */
#define HMM_MIRROR_PFN_VALID (1ULL << 63)
#define HMM_MIRROR_PFN_WRITE (1ULL << 62)
#define HMM_MIRROR_PFN_ERROR (1ULL << 61)
#define HMM_MIRROR_PFN_REQ_FAULT HMM_MIRROR_PFN_VALID
#define HMM_MIRROR_PFN_REQ_WRITE HMM_MIRROR_PFN_WRITE
#define HMM_MIRROR_PFN_ORDER_SHIFT 56
#define HMM_MIRROR_PFN_ORDER_MASK 0x1fULL
#define HMM_MIRROR_PFN_FRAME_MASK ((1ULL << 56) - 1)
/* In an entry of a device page table, which has no order: exclusive to the device, which may do atomics there. */
#define HMM_MIRROR_ENTRY_EXCLUSIVE (1ULL << 60)

/* Where a page is (HMM_MIRROR_QUERY). */
#define HMM_MIRROR_LOCATION_NONE 0 /* not valid: nothing there, or another device's private memory */
#define HMM_MIRROR_LOCATION_SYSTEM 1
#define HMM_MIRROR_LOCATION_ZERO 2 /* the zero page of 4 KiB */
#define HMM_MIRROR_LOCATION_DEVICE 16 /* plus the id of the device whose memory it is */

/* Kinds of device (struct hmm_mirror_device_info.kind). */
#define HMM_MIRROR_DEVICE_NONE 0     /* no memory of its own */
#define HMM_MIRROR_DEVICE_PRIVATE 1  /* MEMORY_DEVICE_PRIVATE */
#define HMM_MIRROR_DEVICE_COHERENT 2 /* MEMORY_DEVICE_COHERENT */

/* What this kernel and this build of the module can do (struct hmm_mirror_info.features). */
#define HMM_MIRROR_FEATURE_DEVICE_PRIVATE (1u << 0)
#define HMM_MIRROR_FEATURE_DEVICE_COHERENT (1u << 1)
#define HMM_MIRROR_FEATURE_EXCLUSIVE (1u << 2)
#define HMM_MIRROR_FEATURE_TRANSPARENT_HUGE_PAGES (1u << 3)
#define HMM_MIRROR_FEATURE_HUGETLB (1u << 4)

/* Flags; which call takes which is said at the call. */
#define HMM_MIRROR_NONBLOCK (1u << 0)
#define HMM_MIRROR_WRITABLE (1u << 1)
#define HMM_MIRROR_SNAPSHOT (1u << 2)
#define HMM_MIRROR_NOTIFIER_SYNC (1u << 3)
#define HMM_MIRROR_NOTIFIER_EVENTS (1u << 4)
#define HMM_MIRROR_NOTIFIER_PAGE_TABLE (1u << 5)

/* No device: "owner" of events that have none, "owner" of a fault that knows no private memory. */
#define HMM_MIRROR_NO_DEVICE 0xffffffffu

struct hmm_mirror_device_info {
	__u32 kind;
	__u32 reserved;
	__u64 capacity; /* pages of device memory */
	__u64 used;     /* of these */
};

/* HMM_MIRROR_INFO. Works on an unbound context. */
struct hmm_mirror_info {
	__u32 abi_version;
	__u32 features;
	__u32 page_shift;
	__u32 max_pages;           /* HMM_MIRROR_MAX_PAGES */
	__u32 callback_timeout_ms; /* the module parameter */
	__u32 default_device;      /* the N of the /dev/hmm_mirrorN that was opened */
	__u32 device_count;
	__u32 event_capacity;      /* records that the queue of a context holds */
	struct hmm_mirror_device_info devices[HMM_MIRROR_MAX_DEVICES];
};

/*
 * HMM_MIRROR_BIND: the caller's own address space becomes the context's. Once only: a second time is
 * EBUSY. The context holds the mm_struct (mm_count), never the address space itself (mm_users).
 */
struct hmm_mirror_bind {
	__u32 flags; /* none yet */
	__u32 pid;   /* out: the caller's thread group, in the caller's pid namespace */
};

/*
 * HMM_MIRROR_NOTIFIER_INSERT: mmu_interval_notifier_insert on [start, start + length). No alignment is
 * asked for, as the kernel asks for none; length 0 or an overflow: EOVERFLOW, as the kernel's.
 *  NOTIFIER_SYNC        a blockable invalidation waits until HMM_MIRROR_ACK answers its event
 *  NOTIFIER_EVENTS      invalidations are queued as events (implied by SYNC)
 *  NOTIFIER_PAGE_TABLE  a mirror: the module keeps a device page table for it; start and length must be
 *                       multiples of the page size (EINVAL)
 * An invalidation waits for user space where it waits for an ACK (SYNC) or for the update lock (PAGE_TABLE); without
 * either flag timeout_ms must be 0 (EINVAL).
 */
struct hmm_mirror_notifier_insert {
	__u64 start;
	__u64 length;
	__u32 flags;
	__u32 device;     /* PAGE_TABLE: the device that accesses; else HMM_MIRROR_NO_DEVICE */
	__u32 timeout_ms; /* bound of an invalidation's wait for user space, 1 to 60000, no more than the module parameter's;
			   * 0: the module parameter's. out: the bound */
	__u32 id;         /* out */
};

/*
 * HMM_MIRROR_NOTIFIER_REMOVE: mmu_interval_notifier_remove. Sleeps while an invalidation is under way;
 * returns when no callback runs and none will. The id is gone at once, also for a second caller (ENOENT).
 */
struct hmm_mirror_notifier_id {
	__u32 id;
	__u32 flags; /* none yet */
};

/*
 * HMM_MIRROR_READ_BEGIN: mmu_interval_read_begin. flags: NONBLOCK.
 * HMM_MIRROR_READ_RETRY: mmu_interval_read_retry; never sleeps; flags: none; retry out: 0 or 1.
 */
struct hmm_mirror_sequence {
	__u32 id;
	__u32 flags;
	__u64 sequence; /* READ_BEGIN: out. READ_RETRY: in */
	__u32 retry;    /* READ_RETRY: out */
	__u32 reserved;
};

/*
 * HMM_MIRROR_RANGE_FAULT: hmm_range_fault, one call, no retry. flags: NONBLOCK (EAGAIN at once if
 * pfn_flags_mask has REQ_FAULT, and if default_flags requests what is not there; pfns is then untouched). The range must lie inside the notifier's interval
 * (EINVAL), which is what makes its sequence mean anything. pfns is read and, whatever the outcome of the
 * walk, written back: entries before the one that failed hold outputs. Errors: hmm_range_fault's (EBUSY,
 * EFAULT, EPERM, EINVAL, ENOMEM), and EFAULT if the process has gone (pfns is then untouched).
 */
struct hmm_mirror_range_fault {
	__u32 id;
	__u32 flags;
	__u64 start;
	__u64 end;
	__u64 sequence;
	__u64 default_flags;
	__u64 pfn_flags_mask;
	__u64 pfns;         /* user pointer to (end - start) >> page_shift entries */
	__u32 owner_device; /* dev_private_owner: a device, or HMM_MIRROR_NO_DEVICE */
	__u32 reserved;
};

/*
 * HMM_MIRROR_POPULATE: the loop of Documentation/mm/hmm.rst, into the mirror's device page table.
 * flags: WRITABLE (entries must be writable), SNAPSHOT (take what is present, fault nothing; not with WRITABLE),
 * NONBLOCK. The range must lie inside the mirror's span (EINVAL). A loop that is restarted for longer than
 * its deadline gives up with EBUSY (the progress is in pages). Errors: those of hmm_range_fault except EBUSY.
 */
struct hmm_mirror_populate {
	__u32 id;
	__u32 flags;
	__u64 start;
	__u64 end;
	__u64 pages;   /* out: valid entries in the device page table for the part that was done */
	__u64 retries; /* out: times that the loop began again, EBUSY and read_retry together */
};

/*
 * HMM_MIRROR_READ, HMM_MIRROR_WRITE: the device loads or stores [address, address + length), any alignment,
 * through the mirror's page table, and faults what is missing. flags: NONBLOCK. The bytes must lie inside
 * the mirror's span (EINVAL). Errors: EFAULT no mapping or process gone, EPERM write to a read-only
 * mapping; done tells how many bytes were moved before.
 */
struct hmm_mirror_access {
	__u32 id;
	__u32 flags;
	__u64 address;
	__u64 length;
	__u64 buffer;  /* user pointer */
	__u64 done;    /* out: bytes */
	__u64 faults;  /* out: pages that were missing in the device page table */
	__u64 retries; /* out */
};

/*
 * HMM_MIRROR_QUERY: what is known of each page of [start, end), inside the mirror's span. flags: NONBLOCK.
 *  pfns     what a snapshot by hmm_range_fault says now, with the mirror's device as owner (0: not asked for)
 *  entries  the mirror's device page table: PFN_VALID, PFN_WRITE, ENTRY_EXCLUSIVE and the frame, or 0 (0: not asked for)
 *  locations  one __u8 per page, HMM_MIRROR_LOCATION_*; only together with pfns, of which it is (0: not asked for)
 * Both are taken under one sequence: no invalidation lies between them. One of them must be asked for (EINVAL).
 * If pfns is not asked for nothing is walked, and the process may have gone.
 */
struct hmm_mirror_query {
	__u32 id;
	__u32 flags;
	__u64 start;
	__u64 end;
	__u64 pfns;
	__u64 entries;
	__u64 locations;
	__u64 retries; /* out */
};

/*
 * HMM_MIRROR_MIGRATE_TO_DEVICE, HMM_MIRROR_MIGRATE_TO_SYSTEM: migrate_vma of [start, end), inside the mirror's span, to the
 * memory of the mirror's device, or of its own pages back; VMA by VMA, in parts of 512 naturally aligned pages. pages: those that
 * moved (to the device also those that held nothing yet). What cannot move stays, without an error: file pages, busy pages,
 * another device's private memory, what the device has no room for. Its MIGRATE events have the device as owner, and empty
 * the device page table as all do; TO_DEVICE then fills it again for what is mapped (a populate with SNAPSHOT).
 *  EOPNOTSUPP the device has no memory. EFAULT no mapping, or the process has gone; EINVAL a mapping that is never migrated
 *  (hugetlb, VM_SPECIAL, DAX): both with address, and what lies before it is done.
 * HMM_MIRROR_MAKE_EXCLUSIVE: make_device_exclusive_range, owner the device; under the pattern, what is had gets entries
 * with PFN_WRITE and ENTRY_EXCLUSIVE in the device page table, until an invalidation. pages: how many. EFAULT (with address)
 * as the kernel says it: a page cannot be faulted for writing; EOPNOTSUPP: this kernel has no device-exclusive entries.
 * flags: none.
 */
struct hmm_mirror_pages {
	__u32 id;
	__u32 flags;
	__u64 start;
	__u64 end;
	__u64 pages;   /* out */
	__u64 address; /* out: of the first page that failed, on error */
	__u64 retries; /* out */
};

/*
 * HMM_MIRROR_ATOMIC_ADD: adds value to the __u64 at address, a multiple of 8 (EINVAL) inside the mirror's span, with exclusive
 * access, which is taken if the device has it not. flags: NONBLOCK (EAGAIN if it has not). EOPNOTSUPP also for a page that can never
 * be exclusive (file or shared memory); EBUSY if it is taken away again and again; errors else as of MAKE_EXCLUSIVE.
 */
struct hmm_mirror_atomic {
	__u32 id;
	__u32 flags;
	__u64 address;
	__u64 value;   /* in */
	__u64 old;     /* out: what was there before */
	__u64 retries; /* out */
};

/*
 * HMM_MIRROR_EVICT: moves what the device's memory holds, for whatever process, back to system memory
 * (migrate_device_range). Works on an unbound context. pages: those that moved; what is busy stays. EINVAL no such device,
 * EOPNOTSUPP it has no memory. flags: none.
 */
struct hmm_mirror_evict {
	__u32 device;
	__u32 flags;
	__u64 pages; /* out */
};

/*
 * HMM_MIRROR_LOCK: takes the mirror's update lock for this context: until HMM_MIRROR_UNLOCK every
 * populate, device access that must fault, and invalidation of this mirror waits. flags: NONBLOCK. An
 * invalidation waits no longer than its notifier's bound: it then takes the lock away, and UNLOCK answers
 * ETIMEDOUT. A non-blockable invalidation is refused meanwhile. UNLOCK of a lock not held: EINVAL. Sleeps
 * are killable; closing the file releases.
 */

/*
 * HMM_MIRROR_DEVICE_READ, HMM_MIRROR_DEVICE_WRITE: access for a driver that keeps its page table in user
 * space. entries is what that driver believes, one per page touched: an entry must have PFN_VALID, and
 * PFN_WRITE for a write (EINVAL). The module looks again, under a notifier of its own for just that range
 * and its lock; if the process's page table says otherwise for any page, nothing of the chunk is moved and the answer is
 * ESTALE with stale_address; otherwise the bytes are moved before an invalidation can begin. flags: none.
 * More than HMM_MIRROR_MAX_PAGES pages: EINVAL. done: bytes moved before an error.
 */
struct hmm_mirror_device_access {
	__u32 device;
	__u32 flags;
	__u64 address;
	__u64 length;
	__u64 entries; /* user pointer */
	__u64 buffer;  /* user pointer */
	__u64 done;    /* out: bytes */
	__u64 stale_address; /* out: page address of the first wrong entry */
};

/*
 * HMM_MIRROR_ACK: user space has handled a SYNC event. result: 0 done. An unknown or timed-out ticket: ENOENT.
 */
struct hmm_mirror_ack {
	__u64 ticket;
	__u32 result; /* must be 0 */
	__u32 reserved;
};

/* enum mmu_notifier_event, by value the kernel's. */
#define HMM_MIRROR_EVENT_UNMAP 0
#define HMM_MIRROR_EVENT_CLEAR 1
#define HMM_MIRROR_EVENT_PROTECTION_VMA 2
#define HMM_MIRROR_EVENT_PROTECTION_PAGE 3
#define HMM_MIRROR_EVENT_SOFT_DIRTY 4
#define HMM_MIRROR_EVENT_RELEASE 5
#define HMM_MIRROR_EVENT_MIGRATE 6
#define HMM_MIRROR_EVENT_EXCLUSIVE 7

/* struct hmm_mirror_event.flags */
#define HMM_MIRROR_EVENT_BLOCKABLE (1u << 0)
/* Reports that the wait for an earlier event (ticket, notifier) ran out or was killed; all else as in that event. */
#define HMM_MIRROR_EVENT_TIMED_OUT (1u << 1)
/*
 * A blockable event of a SYNC notifier whose invalidation did not wait: its bound had run out for another notifier, or a
 * wait for this context had run out and nothing was read since, or its thread is the one that would answer. ticket is 0.
 */
#define HMM_MIRROR_EVENT_NOT_AWAITED (1u << 2)

/*
 * read() gives whole records only (a buffer too small for one: EINVAL) and never mixes order; nothing
 * there: EAGAIN with O_NONBLOCK, else it sleeps. poll(): EPOLLIN when there is a record. Events that are
 * waited for (ticket != 0) take the place of others; where all records are such, the next one waits for room, within
 * its bound. Of the others the oldest are kept, and the first record after a gap counts what was lost.
 * end is exclusive; an event over the whole address space ends at 2^64 - 1, as the kernel says it.
 */
struct hmm_mirror_event {
	__u64 ticket;    /* answer it by HMM_MIRROR_ACK; 0: nobody waits */
	__u64 start;
	__u64 end;
	__u64 sequence;  /* cur_seq */
	__u64 timestamp; /* CLOCK_MONOTONIC, ns */
	__u32 notifier;
	__u32 event;
	__u32 flags;
	__u32 owner;     /* device, or HMM_MIRROR_NO_DEVICE; defined for MIGRATE and EXCLUSIVE only */
	__u32 thread;    /* whose operation it was, in the initial pid namespace */
	__u32 lost;      /* records lost just before this one */
};

#define HMM_MIRROR_IOC 0xB4
#define HMM_MIRROR_INFO _IOR(HMM_MIRROR_IOC, 0x00, struct hmm_mirror_info)
#define HMM_MIRROR_BIND _IOWR(HMM_MIRROR_IOC, 0x01, struct hmm_mirror_bind)
#define HMM_MIRROR_NOTIFIER_INSERT _IOWR(HMM_MIRROR_IOC, 0x02, struct hmm_mirror_notifier_insert)
#define HMM_MIRROR_NOTIFIER_REMOVE _IOW(HMM_MIRROR_IOC, 0x03, struct hmm_mirror_notifier_id)
#define HMM_MIRROR_READ_BEGIN _IOWR(HMM_MIRROR_IOC, 0x04, struct hmm_mirror_sequence)
#define HMM_MIRROR_READ_RETRY _IOWR(HMM_MIRROR_IOC, 0x05, struct hmm_mirror_sequence)
#define HMM_MIRROR_RANGE_FAULT _IOW(HMM_MIRROR_IOC, 0x06, struct hmm_mirror_range_fault)
#define HMM_MIRROR_POPULATE _IOWR(HMM_MIRROR_IOC, 0x07, struct hmm_mirror_populate)
#define HMM_MIRROR_READ _IOWR(HMM_MIRROR_IOC, 0x08, struct hmm_mirror_access)
#define HMM_MIRROR_WRITE _IOWR(HMM_MIRROR_IOC, 0x09, struct hmm_mirror_access)
#define HMM_MIRROR_QUERY _IOWR(HMM_MIRROR_IOC, 0x0a, struct hmm_mirror_query)
#define HMM_MIRROR_LOCK _IOW(HMM_MIRROR_IOC, 0x0b, struct hmm_mirror_notifier_id)
#define HMM_MIRROR_UNLOCK _IOW(HMM_MIRROR_IOC, 0x0c, struct hmm_mirror_notifier_id)
#define HMM_MIRROR_DEVICE_READ _IOWR(HMM_MIRROR_IOC, 0x0d, struct hmm_mirror_device_access)
#define HMM_MIRROR_DEVICE_WRITE _IOWR(HMM_MIRROR_IOC, 0x0e, struct hmm_mirror_device_access)
#define HMM_MIRROR_ACK _IOW(HMM_MIRROR_IOC, 0x0f, struct hmm_mirror_ack)
#define HMM_MIRROR_MIGRATE_TO_DEVICE _IOWR(HMM_MIRROR_IOC, 0x10, struct hmm_mirror_pages)
#define HMM_MIRROR_MIGRATE_TO_SYSTEM _IOWR(HMM_MIRROR_IOC, 0x11, struct hmm_mirror_pages)
#define HMM_MIRROR_MAKE_EXCLUSIVE _IOWR(HMM_MIRROR_IOC, 0x12, struct hmm_mirror_pages)
#define HMM_MIRROR_ATOMIC_ADD _IOWR(HMM_MIRROR_IOC, 0x13, struct hmm_mirror_atomic)
#define HMM_MIRROR_EVICT _IOWR(HMM_MIRROR_IOC, 0x14, struct hmm_mirror_evict)

#endif /* _UAPI_HMM_MIRROR_H */
