// SPDX-License-Identifier: GPL-2.0-only
/* HMM_DMIRROR_READ and HMM_DMIRROR_WRITE: the device copies whole pages. */
#include <linux/jiffies.h>
#include <linux/mm.h>

#include "dmirror.h"

/*
 * A missing entry is one fault of the device, and that fault fills the page table for the whole rest of the command:
 * this is what cmd->faults counts, and why it is not mirror_access() that faults here.
 */
static int dmirror_access(struct mirror_notifier *notifier, struct hmm_dmirror_cmd *cmd, bool write)
{
	struct hmm_mirror_access access = {
		.address = cmd->addr,
		.length = cmd->npages << PAGE_SHIFT,
		.buffer = cmd->ptr,
	};
	struct hmm_mirror_populate populate = {
		.flags = write ? HMM_MIRROR_WRITABLE : 0,
		.end = dmirror_end(cmd),
	};
	unsigned long deadline = jiffies + MIRROR_RETRY_DEADLINE;
	u64 before;
	int ret;

	for (;;) {
		before = access.done;
		ret = mirror_access_present(notifier, &access, write);
		if (ret != -ENOENT)
			break;
		/* Invalidated again before it was used: any number of times. */
		if (access.done != before) {
			deadline = jiffies + MIRROR_RETRY_DEADLINE;
		} else if (time_after(jiffies, deadline)) {
			ret = -EBUSY;
			break;
		}
		cmd->faults++;
		populate.start = (cmd->addr + access.done) & PAGE_MASK;
		ret = mirror_populate(notifier, &populate);
		/* That failed for some page of the rest. The pages before it are copied all the same. */
		if (ret == -EFAULT || ret == -EPERM) {
			ret = mirror_access(notifier, &access, write);
			break;
		}
		if (ret)
			break;
	}
	cmd->cpages = access.done >> PAGE_SHIFT;
	return ret;
}

int dmirror_read(struct mirror_notifier *notifier, struct hmm_dmirror_cmd *cmd)
{
	return dmirror_access(notifier, cmd, false);
}

int dmirror_write(struct mirror_notifier *notifier, struct hmm_dmirror_cmd *cmd)
{
	return dmirror_access(notifier, cmd, true);
}

/*
 * Copies [cmd->addr, end) to the buffer, through entries that are there, and counts the pages. -ENOENT at the first
 * that is not.
 */
int dmirror_read_back(struct mirror_notifier *notifier, struct hmm_dmirror_cmd *cmd, unsigned long end)
{
	struct hmm_mirror_access access = {
		.address = cmd->addr,
		.length = end - cmd->addr,
		.buffer = cmd->ptr,
	};
	int ret;

	ret = mirror_access_present(notifier, &access, false);
	cmd->cpages = access.done >> PAGE_SHIFT;
	return ret;
}
