// SPDX-License-Identifier: GPL-2.0-only
/* HMM_MIRROR_RANGE_FAULT: hmm_range_fault() for a driver in user space. */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "mirror.h"

/* A call of that many pages allocates nothing: a driver's device fault asks for one. */
#define RANGE_FAULT_INLINE_PAGES 32

/*
 * Whether every entry has what was requested of it, so that a faulting walk would have found nothing to fault. It asks for
 * the request bits, which are the output bits; what can only fail (an error entry, a read-only mapping) has them not.
 */
static bool requests_are_met(const unsigned long *pfns, unsigned long count, unsigned long requests)
{
	unsigned long index;

	for (index = 0; index < count; index++)
		if ((pfns[index] & requests) != requests)
			return false;
	return true;
}

/*
 * args: checked, inside the notifier's interval. The entries go through an array of the kernel's own, because user
 * memory cannot be touched under the mmap_lock, and all of them both ways: what the walk does not reach must come back
 * unchanged.
 */
int mirror_range_fault(struct mirror_notifier *notifier, const struct hmm_mirror_range_fault *args,
		       struct mirror_device *owner)
{
	bool nonblock = args->flags & HMM_MIRROR_NONBLOCK;
	unsigned long count = (args->end - args->start) >> PAGE_SHIFT;
	unsigned long inline_pfns[RANGE_FAULT_INLINE_PAGES];
	u64 __user *user_pfns = u64_to_user_ptr(args->pfns);
	struct hmm_range range = {
		.notifier = &notifier->interval,
		.notifier_seq = args->sequence,
		.start = args->start,
		.end = args->end,
		.hmm_pfns = inline_pfns,
		.default_flags = mirror_pfn_to_kernel(args->default_flags),
		.pfn_flags_mask = mirror_pfn_to_kernel(args->pfn_flags_mask),
		.dev_private_owner = owner,
	};
	unsigned long requests = 0;
	struct mm_struct *mm;
	int ret;

	/* By page: with REQ_FAULT of the page's own, or REQ_WRITE beside one that is for all. */
	if (nonblock && ((args->pfn_flags_mask & HMM_MIRROR_PFN_REQ_FAULT) ||
			 ((args->pfn_flags_mask & HMM_MIRROR_PFN_REQ_WRITE) &&
			  (args->default_flags & HMM_MIRROR_PFN_REQ_FAULT))))
		return -EAGAIN;
	/* Without REQ_FAULT nothing is requested. Nonblocking the walk only looks, and whether that was enough is seen after. */
	if (nonblock && (range.default_flags & HMM_PFN_REQ_FAULT)) {
		requests = range.default_flags & (HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE);
		range.default_flags = 0;
	}
	ret = mirror_context_mm(notifier->context, &mm);
	if (ret)
		return ret;
	if (count > RANGE_FAULT_INLINE_PAGES) {
		range.hmm_pfns = kvmalloc_array(count, sizeof(*range.hmm_pfns), GFP_KERNEL_ACCOUNT);
		if (!range.hmm_pfns)
			return -ENOMEM;
	}
	if (copy_from_user(range.hmm_pfns, user_pfns, count * sizeof(*user_pfns))) {
		ret = -EFAULT;
		goto free_pfns;
	}
	mirror_pfns_to_kernel(range.hmm_pfns, count);
	ret = mirror_range_fault_once(mm, &range, nonblock);
	if (!ret && !requests_are_met(range.hmm_pfns, count, requests)) {
		ret = -EAGAIN;
		goto free_pfns;
	}
	mirror_pfns_from_kernel(range.hmm_pfns, count);
	/* The walk's error says more than the buffer's. */
	if (copy_to_user(user_pfns, range.hmm_pfns, count * sizeof(*user_pfns)) && !ret)
		ret = -EFAULT;
free_pfns:
	if (range.hmm_pfns != inline_pfns)
		kvfree(range.hmm_pfns);
	return ret;
}
