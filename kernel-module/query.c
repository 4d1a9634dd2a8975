// SPDX-License-Identifier: GPL-2.0-only
/* HMM_MIRROR_QUERY: the process's page table and the device's, side by side. */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "mirror.h"

struct query_run {
	struct mirror_fault fault;
	u64 *entries; /* NULL: not asked for */
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

/* args: checked, inside the mirror's interval. The whole range is one run of the loop, hence of one sequence. */
int mirror_query(struct mirror_notifier *notifier, struct hmm_mirror_query *args)
{
	unsigned long count = (args->end - args->start) >> PAGE_SHIFT;
	size_t size = count * sizeof(u64);
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
		run.fault.pfns = kvmalloc(size, GFP_KERNEL);
		if (!run.fault.pfns)
			return -ENOMEM;
	}
	if (args->entries) {
		run.entries = kvmalloc(size, GFP_KERNEL);
		if (!run.entries)
			goto free_pfns;
	}
	ret = args->pfns ? mirror_fault_run(&run.fault) : query_entries(&run);
	args->retries = run.fault.retries;
	if (ret)
		goto free_entries;
	if (args->pfns) {
		mirror_pfns_from_kernel(run.fault.pfns, count);
		if (copy_to_user(u64_to_user_ptr(args->pfns), run.fault.pfns, size))
			ret = -EFAULT;
	}
	if (args->entries && copy_to_user(u64_to_user_ptr(args->entries), run.entries, size))
		ret = -EFAULT;
free_entries:
	kvfree(run.entries);
free_pfns:
	kvfree(run.fault.pfns);
	return ret;
}
