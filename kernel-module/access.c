// SPDX-License-Identifier: GPL-2.0-only
/* Loads and stores of the device through the mirror's page table: HMM_MIRROR_READ and HMM_MIRROR_WRITE. */
#include <linux/jiffies.h>
#include <linux/minmax.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "mirror.h"

/* Faults of that many pages need no allocation. */
#define ACCESS_INLINE_PAGES 16

struct access_run {
	struct mirror_notifier *notifier;
	struct hmm_mirror_access *args;
	bool write;
	bool present; /* only what the page table has; -ENOENT where it has nothing */
	unsigned long single_until; /* fault page by page up to there: a fault of more has failed */
	unsigned int buffer_faults; /* in a row, without a byte that moved */
	unsigned long counted_until; /* faults has counted the missing pages below */
	unsigned long inline_pfns[ACCESS_INLINE_PAGES];
	unsigned long *pfns; /* inline_pfns, or MIRROR_CHUNK_PAGES of them */
};

enum access_outcome {
	ACCESS_DONE,      /* up to the end of the stretch */
	ACCESS_MISSING,   /* an entry is not there, or not writable */
	ACCESS_BUFFER,    /* the caller's buffer is not resident */
};

static void __user *access_buffer(const struct access_run *run)
{
	return u64_to_user_ptr(run->args->buffer) + run->args->done;
}

static unsigned long access_page_end(unsigned long address, unsigned long end)
{
	return min(end - 1, address | ~PAGE_MASK) + 1;
}

/* Moves what it can of [address, end), inside one chunk, as a device with a TLB full of these entries would. */
static enum access_outcome access_chunk_locked(struct access_run *run, unsigned long address, unsigned long end)
{
	u64 needed = HMM_MIRROR_PFN_VALID | (run->write ? HMM_MIRROR_PFN_WRITE : 0);
	struct mirror_page_table_chunk *chunk;
	unsigned long next, moved, missing;
	u64 entry;

	lockdep_assert_held(&run->notifier->lock);
	chunk = mirror_page_table_chunk_locked(run->notifier, address);
	for (; address < end; address = next) {
		next = access_page_end(address, end);
		entry = chunk ? chunk->entries[mirror_chunk_slot(address)] : 0;
		if ((entry & needed) != needed)
			break;
		moved = mirror_copy_frame(entry, address, next, access_buffer(run), run->write);
		run->args->done += moved;
		if (moved < next - address)
			return ACCESS_BUFFER;
	}
	if (address >= end)
		return ACCESS_DONE;

	if (end > run->counted_until) {
		address = max(address & PAGE_MASK, run->counted_until);
		missing = mirror_page_table_missing_locked(run->notifier, address, PAGE_ALIGN(end), needed);
		run->args->faults += missing;
		run->counted_until = PAGE_ALIGN(end);
	}
	return ACCESS_MISSING;
}

/*
 * Fills the page table for the rest of the stretch. If that fails for the whole of it, page by page, so that the bytes
 * before the page that is really at fault are moved.
 */
static int access_fault(struct access_run *run, unsigned long address, unsigned long end)
{
	unsigned long first = address & PAGE_MASK, last_end = PAGE_ALIGN(end);
	u32 flags = run->write ? HMM_MIRROR_WRITABLE : 0;
	u64 valid = 0;
	int ret;

	if (first < run->single_until)
		last_end = first + PAGE_SIZE;
	if (last_end - first > ACCESS_INLINE_PAGES << PAGE_SHIFT && run->pfns == run->inline_pfns) {
		run->pfns = kmalloc_array(MIRROR_CHUNK_PAGES, sizeof(*run->pfns), GFP_KERNEL_ACCOUNT);
		if (!run->pfns)
			return -ENOMEM;
	}
	ret = mirror_populate_pages(run->notifier, first, last_end, run->pfns, flags, &valid, &run->args->retries);
	if ((ret == -EFAULT || ret == -EPERM) && last_end - first > PAGE_SIZE) {
		run->single_until = last_end;
		ret = 0;
	}
	return ret;
}

static int access_run(struct access_run *run)
{
	struct hmm_mirror_access *args = run->args;
	bool nonblock = args->flags & HMM_MIRROR_NONBLOCK;
	unsigned long deadline = jiffies + MIRROR_RETRY_DEADLINE;
	unsigned long address, end;
	enum access_outcome outcome;
	u64 before;
	int ret;

	while (args->done < args->length) {
		address = args->address + args->done;
		end = mirror_chunk_end(address, args->address + args->length);
		before = args->done;

		ret = mirror_notifier_lock(run->notifier, nonblock);
		if (ret)
			return ret;
		outcome = access_chunk_locked(run, address, end);
		mutex_unlock(&run->notifier->lock);

		address = args->address + args->done;
		switch (outcome) {
		case ACCESS_DONE:
			break;
		case ACCESS_MISSING:
			if (run->present)
				return -ENOENT;
			if (nonblock)
				return -EAGAIN;
			ret = access_fault(run, address, end);
			if (ret)
				return ret;
			break;
		case ACCESS_BUFFER:
			ret = mirror_copy_fault_in(access_buffer(run), end - address, run->write, &run->buffer_faults);
			if (ret)
				return ret;
			break;
		}

		/*
		 * Entries that were faulted in, or a buffer, can be gone again before they are used: any number of
		 * times.
		 */
		if (args->done != before) {
			deadline = jiffies + MIRROR_RETRY_DEADLINE;
			run->buffer_faults = 0;
		} else if (time_after(jiffies, deadline)) {
			return -EBUSY;
		}
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

static int access_start(struct access_run *run)
{
	int ret;

	/* The copies cannot ask: they run with page faults off. */
	if (!access_ok(u64_to_user_ptr(run->args->buffer), run->args->length))
		return -EFAULT;
	run->pfns = run->inline_pfns;
	ret = access_run(run);
	if (run->pfns != run->inline_pfns)
		kfree(run->pfns);
	return ret;
}

/*
 * args: checked, inside the mirror's interval. Nonblocking it moves what needs neither a sleep nor a fault, and
 * then answers -EAGAIN; done tells how far it came.
 */
int mirror_access(struct mirror_notifier *notifier, struct hmm_mirror_access *args, bool write)
{
	struct access_run run = {
		.notifier = notifier,
		.args = args,
		.write = write,
	};

	return access_start(&run);
}

/*
 * The same without a fault of the mirrored process's pages, for a driver that decides itself what a fault covers:
 * -ENOENT at the first page that the page table lacks, done tells how far it came. It may sleep for the caller's buffer.
 */
int mirror_access_present(struct mirror_notifier *notifier, struct hmm_mirror_access *args, bool write)
{
	struct access_run run = {
		.notifier = notifier,
		.args = args,
		.write = write,
		.present = true,
	};

	return access_start(&run);
}
