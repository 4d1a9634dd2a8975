// SPDX-License-Identifier: GPL-2.0-only
/* HMM_MIRROR_QUERY: the process's page table and the device's, side by side. */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "mirror.h"

/* More are on the heap. */
#define QUERY_INLINE_PAGES 16

/* Pages that are looked at together. */
#define QUERY_GROUP 32

struct query_run {
	struct mirror_fault fault;
	u64 *entries;  /* NULL: not asked for */
	u8 *locations; /* likewise */
};

static int query_commit_locked(struct mirror_fault *fault)
{
	struct query_run *run = container_of(fault, struct query_run, fault);

	mirror_page_table_read_locked(fault->notifier, fault->start, fault->end, run->entries);
	return 0;
}

/* The device page table alone: nothing is walked, so nothing is asked of the process. */
static int query_entries(struct query_run *run)
{
	struct mirror_fault *fault = &run->fault;
	int ret;

	ret = mirror_notifier_lock(fault->notifier, fault->nonblock);
	if (ret)
		return ret;
	mirror_page_table_read_locked(fault->notifier, fault->start, fault->end, run->entries);
	mutex_unlock(&fault->notifier->lock);
	return 0;
}

static void query_each_location(const unsigned long *pfns, u8 *locations, unsigned long count,
				struct mirror_stretch *stretch)
{
	unsigned long index;

	for (index = 0; index < count; index++)
		locations[index] = pfns[index] & HMM_PFN_VALID ? mirror_location(stretch, pfns[index] & ~HMM_PFN_FLAGS) :
								 HMM_MIRROR_LOCATION_NONE;
}

/*
 * Of pfns in the kernel's encoding. A frame's place does not change, so it is as true of the moment of the walk as they
 * are, without the lock.
 *
 * What is looked at is mostly all present, and in one stretch. So a group is asked about as a whole: no frame of it is below
 * the AND of all its frames or above their OR.
 */
static void query_locations(const unsigned long *pfns, u8 *locations, unsigned long count)
{
	struct mirror_stretch stretch = {};
	unsigned long all, any, index;

	if (pfns[0] & HMM_PFN_VALID)
		mirror_location(&stretch, pfns[0] & ~HMM_PFN_FLAGS);
	for (; count >= QUERY_GROUP; count -= QUERY_GROUP, pfns += QUERY_GROUP, locations += QUERY_GROUP) {
		all = any = pfns[0];
#pragma GCC unroll 32
		for (index = 1; index < QUERY_GROUP; index++) {
			all &= pfns[index];
			any |= pfns[index];
		}
		if ((all & HMM_PFN_VALID) && (all & ~HMM_PFN_FLAGS) >= stretch.first &&
		    (any & ~HMM_PFN_FLAGS) - stretch.first < stretch.count)
			memset(locations, stretch.location, QUERY_GROUP);
		else
			query_each_location(pfns, locations, QUERY_GROUP, &stretch);
	}
	query_each_location(pfns, locations, count, &stretch);
}

/*
 * copy_to_user() of an array of words or of bytes. For a few of them the call would cost more than the copy.
 * size: of an element, sizeof(u64) or sizeof(u8), constant where it is called.
 */
static __always_inline int query_out(u64 to, const void *from, unsigned long count, size_t size)
{
	void __user *user = u64_to_user_ptr(to);
	unsigned long index;

	if (count > QUERY_INLINE_PAGES)
		return copy_to_user(user, from, count * size) ? -EFAULT : 0;
	if (!user_write_access_begin(user, count * size))
		return -EFAULT;
	for (index = 0; index < count; index++) {
		if (size == sizeof(u64))
			unsafe_put_user(((const u64 *)from)[index], (u64 __user *)user + index, fault);
		else
			unsafe_put_user(((const u8 *)from)[index], (u8 __user *)user + index, fault);
	}
	user_write_access_end();
	return 0;

fault:
	user_write_access_end();
	return -EFAULT;
}

static int query_copy_out(const struct query_run *run, const struct hmm_mirror_query *args, unsigned long count)
{
	int ret = 0;

	if (run->locations) {
		query_locations(run->fault.pfns, run->locations, count);
		ret = query_out(args->locations, run->locations, count, sizeof(u8));
	}
	if (!ret && args->pfns) {
		mirror_pfns_from_kernel(run->fault.pfns, count);
		ret = query_out(args->pfns, run->fault.pfns, count, sizeof(u64));
	}
	if (!ret && run->entries)
		ret = query_out(args->entries, run->entries, count, sizeof(u64));
	return ret;
}

/* args: checked, inside the mirror's interval. The whole range is one run of the loop, hence of one sequence. */
int mirror_query(struct mirror_notifier *notifier, struct hmm_mirror_query *args)
{
	unsigned long count = (args->end - args->start) >> PAGE_SHIFT;
	/* What is asked for of each page, one array after the other: words, then bytes. */
	u64 inline_scratch[QUERY_INLINE_PAGES * 2 + QUERY_INLINE_PAGES / sizeof(u64)];
	struct query_run run = {
		.fault = {
			.notifier = notifier,
			.device = notifier->device,
			.start = args->start,
			.end = args->end,
			.nonblock = args->flags & HMM_MIRROR_NONBLOCK,
			/* What the walk alone saw is as old under the lock as without it. */
			.commit_locked = args->entries ? query_commit_locked : NULL,
		},
	};
	u64 *scratch = inline_scratch, *next;
	size_t each;
	int ret;

	if (count > QUERY_INLINE_PAGES) {
		each = (args->pfns ? sizeof(u64) : 0) + (args->entries ? sizeof(u64) : 0) + !!args->locations;
		scratch = kvmalloc_array(count, each, GFP_KERNEL_ACCOUNT);
		if (!scratch)
			return -ENOMEM;
	}
	next = scratch;
	if (args->pfns) {
		run.fault.pfns = (unsigned long *)next;
		next += count;
	}
	if (args->entries) {
		run.entries = next;
		next += count;
	}
	if (args->locations)
		run.locations = (u8 *)next;
	ret = args->pfns ? mirror_fault_run(&run.fault) : query_entries(&run);
	args->retries = run.fault.retries;
	ret = ret ?: query_copy_out(&run, args, count);
	if (scratch != inline_scratch)
		kvfree(scratch);
	return ret;
}
