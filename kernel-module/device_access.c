// SPDX-License-Identifier: GPL-2.0-only
/*
 * Access for a driver that keeps its page table in user space: HMM_MIRROR_DEVICE_READ and HMM_MIRROR_DEVICE_WRITE.
 *
 * The frames come from the page table of the process, never from the caller: its entries are only compared. That the
 * comparison still holds while the bytes move is what the notifier is for.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "mirror.h"

struct device_access_run {
	struct mirror_fault fault;
	struct hmm_mirror_device_access *args;
	const u64 *entries; /* of the pages of the whole access */
	unsigned long address; /* of the bytes to move now */
	unsigned long end;
	bool write;
};

/* What the driver believes is true of the page: the same frame, and not more permission. */
static bool entry_holds(u64 believed, u64 actual)
{
	const u64 identity = HMM_MIRROR_PFN_VALID | HMM_MIRROR_PFN_FRAME_MASK;

	return (believed & identity) == (actual & identity) && !(believed & ~actual & HMM_MIRROR_PFN_WRITE);
}

static int device_access_commit_locked(struct mirror_fault *fault)
{
	struct device_access_run *run = container_of(fault, struct device_access_run, fault);
	unsigned long pages = (fault->end - fault->start) >> PAGE_SHIFT;
	unsigned long first = (fault->start - (run->args->address & PAGE_MASK)) >> PAGE_SHIFT;
	unsigned long index, address, next, moved;

	lockdep_assert_held(&fault->notifier->lock);
	mirror_pfns_from_kernel(fault->pfns, pages);
	for (index = 0; index < pages; index++) {
		if (entry_holds(run->entries[first + index], fault->pfns[index]))
			continue;
		run->args->stale_address = fault->start + (index << PAGE_SHIFT);
		return -ESTALE;
	}

	for (address = run->address, index = 0; address < run->end; address = next, index++) {
		next = min(run->end - 1, address | ~PAGE_MASK) + 1;
		moved = mirror_copy_frame(fault->pfns[index], address, next,
					  u64_to_user_ptr(run->args->buffer) + run->args->done, run->write);
		run->args->done += moved;
		if (moved < next - address)
			break; /* the buffer is not resident; what was moved is done */
	}
	return 0;
}

static int device_access_run(struct device_access_run *run)
{
	struct hmm_mirror_device_access *args = run->args;
	unsigned int buffer_faults = 0;
	u64 done;
	int ret;

	while (args->done < args->length) {
		run->address = args->address + args->done;
		run->end = mirror_chunk_end(run->address, args->address + args->length);
		run->fault.start = run->address & PAGE_MASK;
		run->fault.end = PAGE_ALIGN(run->end);
		done = args->done;
		ret = mirror_fault_run(&run->fault);
		if (ret)
			return ret;
		/* Less than the chunk: the rest is looked up anew, with the buffer resident. */
		done = args->done - done;
		if (done)
			buffer_faults = 0;
		if (done < run->end - run->address) {
			ret = mirror_copy_fault_in(u64_to_user_ptr(args->buffer) + args->done,
						   run->end - run->address - done, run->write, &buffer_faults);
			if (ret)
				return ret;
		}
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/* args: checked. entries: one per page touched, each valid, and writable for a write. */
int mirror_device_access(struct mirror_context *context, struct mirror_device *device,
			 struct hmm_mirror_device_access *args, const u64 *entries, bool write)
{
	unsigned long last = (args->address + args->length - 1) | ~PAGE_MASK;
	struct device_access_run run = {
		.fault = {
			.device = device,
			.commit_locked = device_access_commit_locked,
		},
		.args = args,
		.entries = entries,
		.write = write,
	};
	int ret;

	if (!access_ok(u64_to_user_ptr(args->buffer), args->length))
		return -EFAULT;
	run.fault.pfns = kmalloc_array(MIRROR_CHUNK_PAGES, sizeof(*run.fault.pfns), GFP_KERNEL_ACCOUNT);
	if (!run.fault.pfns)
		return -ENOMEM;
	run.fault.notifier = mirror_notifier_alloc(context, args->address & PAGE_MASK, last);
	if (!run.fault.notifier) {
		ret = -ENOMEM;
		goto free_pfns;
	}
	ret = mirror_notifier_register(run.fault.notifier);
	if (ret) {
		mirror_notifier_put(run.fault.notifier);
		goto free_pfns;
	}
	ret = device_access_run(&run);
	/* The bytes have been moved, or not: that the caller is being killed meanwhile does not change it. */
	mirror_notifier_retire(run.fault.notifier);
free_pfns:
	kfree(run.fault.pfns);
	return ret;
}
