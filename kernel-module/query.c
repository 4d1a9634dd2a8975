// SPDX-License-Identifier: GPL-2.0-only
/* HMM_MIRROR_QUERY: the process's page table and the device's, side by side. */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "mirror.h"

/* More are on the heap. */
#define QUERY_INLINE_PAGES 16

struct query_run {
	struct mirror_fault fault;
	u64 *entries;  /* NULL: not asked for */
	u8 *locations; /* likewise */
};

static int query_commit_locked(struct mirror_fault *fault)
{
	struct query_run *run = container_of(fault, struct query_run, fault);

	if (run->entries)
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

/* NULL: no memory. Not on the heap if it is that small: a look at one page costs no allocation. */
static void *query_array(void *small, unsigned long count, size_t size)
{
	return count <= QUERY_INLINE_PAGES ? small : kvmalloc_array(count, size, GFP_KERNEL);
}

static void query_array_free(void *array, const void *small)
{
	if (array != small)
		kvfree(array);
}

/*
 * Of pfns in the kernel's encoding. A frame's place does not change, so it is as true of the moment of the walk as they
 * are, without the lock.
 */
static void query_locations(const unsigned long *pfns, u8 *locations, unsigned long count)
{
	struct mirror_stretch stretch = {};
	unsigned long index;

	for (index = 0; index < count; index++)
		locations[index] = pfns[index] & HMM_PFN_VALID ? mirror_location(&stretch, pfns[index] & ~HMM_PFN_FLAGS) :
								 HMM_MIRROR_LOCATION_NONE;
}

static int query_copy_out(const struct query_run *run, const struct hmm_mirror_query *args, unsigned long count)
{
	if (args->locations)
		query_locations(run->fault.pfns, run->locations, count);
	if (args->pfns) {
		mirror_pfns_from_kernel(run->fault.pfns, count);
		if (copy_to_user(u64_to_user_ptr(args->pfns), run->fault.pfns, count * sizeof(*run->fault.pfns)))
			return -EFAULT;
	}
	if (args->entries && copy_to_user(u64_to_user_ptr(args->entries), run->entries, count * sizeof(*run->entries)))
		return -EFAULT;
	if (args->locations &&
	    copy_to_user(u64_to_user_ptr(args->locations), run->locations, count * sizeof(*run->locations)))
		return -EFAULT;
	return 0;
}

/* args: checked, inside the mirror's interval. The whole range is one run of the loop, hence of one sequence. */
int mirror_query(struct mirror_notifier *notifier, struct hmm_mirror_query *args)
{
	unsigned long count = (args->end - args->start) >> PAGE_SHIFT;
	unsigned long inline_pfns[QUERY_INLINE_PAGES];
	u64 inline_entries[QUERY_INLINE_PAGES];
	u8 inline_locations[QUERY_INLINE_PAGES];
	struct query_run run = {
		.fault = {
			.notifier = notifier,
			.device = notifier->device,
			.start = args->start,
			.end = args->end,
			.nonblock = args->flags & HMM_MIRROR_NONBLOCK,
			.commit_locked = query_commit_locked,
		},
	};
	int ret = -ENOMEM;

	if (args->pfns) {
		run.fault.pfns = query_array(inline_pfns, count, sizeof(*inline_pfns));
		if (!run.fault.pfns)
			return -ENOMEM;
	}
	if (args->entries) {
		run.entries = query_array(inline_entries, count, sizeof(*inline_entries));
		if (!run.entries)
			goto free_pfns;
	}
	if (args->locations) {
		run.locations = query_array(inline_locations, count, sizeof(*inline_locations));
		if (!run.locations)
			goto free_entries;
	}
	ret = args->pfns ? mirror_fault_run(&run.fault) : query_entries(&run);
	args->retries = run.fault.retries;
	ret = ret ?: query_copy_out(&run, args, count);
	query_array_free(run.locations, inline_locations);
free_entries:
	query_array_free(run.entries, inline_entries);
free_pfns:
	query_array_free(run.fault.pfns, inline_pfns);
	return ret;
}
