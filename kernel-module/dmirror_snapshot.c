// SPDX-License-Identifier: GPL-2.0-only
/* HMM_DMIRROR_SNAPSHOT: the CPU's page table, one byte per page. */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "dmirror.h"

struct snapshot_run {
	struct mirror_fault fault;
	unsigned long pfns[MIRROR_CHUNK_PAGES];
	u8 protections[MIRROR_CHUNK_PAGES];
};

static u8 place_of(u32 location, const struct mirror_device *local)
{
	const struct mirror_device *device;

	if (location == HMM_MIRROR_LOCATION_ZERO)
		return HMM_DMIRROR_PROT_ZERO;
	if (location < HMM_MIRROR_LOCATION_DEVICE)
		return 0;
	device = mirror_device_find(location - HMM_MIRROR_LOCATION_DEVICE);
	if (!device)
		return 0;
	if (device->kind == HMM_MIRROR_DEVICE_PRIVATE)
		return device == local ? HMM_DMIRROR_PROT_DEV_PRIVATE_LOCAL : HMM_DMIRROR_PROT_DEV_PRIVATE_REMOTE;
	return device == local ? HMM_DMIRROR_PROT_DEV_COHERENT_LOCAL : HMM_DMIRROR_PROT_DEV_COHERENT_REMOTE;
}

static u8 protection_of(unsigned long pfn, const struct mirror_device *local, struct mirror_stretch *stretch)
{
	u8 protection;

	if (pfn & HMM_PFN_ERROR)
		return HMM_DMIRROR_PROT_ERROR;
	if (!(pfn & HMM_PFN_VALID))
		return HMM_DMIRROR_PROT_NONE;
	protection = place_of(mirror_location(stretch, pfn & ~HMM_PFN_FLAGS), local);
	protection |= pfn & HMM_PFN_WRITE ? HMM_DMIRROR_PROT_WRITE : HMM_DMIRROR_PROT_READ;
	if (hmm_pfn_to_map_order(pfn) == PMD_SHIFT - PAGE_SHIFT)
		protection |= HMM_DMIRROR_PROT_PMD;
	else if (hmm_pfn_to_map_order(pfn) == PUD_SHIFT - PAGE_SHIFT)
		protection |= HMM_DMIRROR_PROT_PUD;
	return protection;
}

/* While the sequence is valid, as the pages are looked at: afterwards they may be freed. */
static int snapshot_commit_locked(struct mirror_fault *fault)
{
	struct snapshot_run *run = container_of(fault, struct snapshot_run, fault);
	unsigned long index, count = (fault->end - fault->start) >> PAGE_SHIFT;
	struct mirror_stretch stretch = {};

	lockdep_assert_held(&fault->notifier->lock);
	for (index = 0; index < count; index++)
		run->protections[index] = protection_of(run->pfns[index], fault->device, &stretch);
	return 0;
}

int dmirror_snapshot(struct mirror_notifier *notifier, struct hmm_dmirror_cmd *cmd)
{
	unsigned long address, end = dmirror_end(cmd), count, left;
	struct snapshot_run *run;
	int ret = 0;

	run = kzalloc(sizeof(*run), GFP_KERNEL_ACCOUNT);
	if (!run)
		return -ENOMEM;
	run->fault.notifier = notifier;
	run->fault.device = notifier->device;
	run->fault.pfns = run->pfns;
	run->fault.commit_locked = snapshot_commit_locked;

	for (address = cmd->addr; address < end; address = run->fault.end) {
		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		run->fault.start = address;
		run->fault.end = mirror_chunk_end(address, end);
		ret = mirror_fault_run(&run->fault);
		if (ret)
			break;
		count = (run->fault.end - address) >> PAGE_SHIFT;
		left = copy_to_user(u64_to_user_ptr(cmd->ptr) + cmd->cpages, run->protections, count);
		cmd->cpages += count - left;
		if (left) {
			ret = -EFAULT;
			break;
		}
		cond_resched();
	}
	kfree(run);
	return ret;
}
