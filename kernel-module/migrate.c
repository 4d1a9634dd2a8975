// SPDX-License-Identifier: GPL-2.0-only
/*
 * migrate_vma: HMM_MIRROR_MIGRATE_TO_DEVICE, HMM_MIRROR_MIGRATE_TO_SYSTEM, and the CPU's access to private memory.
 *
 * The events of a migration are treated as all others are, its own too: they empty the device page table and step the
 * sequence. So there is no moment at which a device page table could be filled between pages and finalize: a
 * MADV_DONTNEED of another thread, which needs the mmap_lock for reading only, would leave a stale entry there. It is
 * filled afterwards, under the pattern.
 */
#include <linux/highmem.h>
#include <linux/ksm.h>
#include <linux/migrate.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "device_memory.h"

/* A migration in parts that lie inside one chunk. */
struct migrate_run {
	struct mirror_notifier *notifier;
	struct migrate_vma migration;      /* src and dst hold a chunk */
	struct mirror_device_page **taken; /* scratch, to the device: as many */
	void (*prepare)(struct migrate_run *run);
	unsigned long (*settle)(struct migrate_run *run); /* how many pages moved */
	u64 pages;                                        /* out */
};

/*
 * Can move: a hole, or anonymous memory. The kernel would drop file pages later, after they have been copied. A page
 * that KSM has merged stays: folio_migrate_flags() makes its new frame the stable node's, and ksmd then compares the
 * bytes of frames that no CPU can read.
 */
static inline bool moves_to_device(unsigned long src)
{
	struct page *page = migrate_pfn_to_page(src);

	return (src & MIGRATE_PFN_MIGRATE) && (!page || (PageAnon(page) && !folio_test_ksm(page_folio(page))));
}

/* Gives what moves a page of the device, with the bytes, as far as there is room and memory. */
static void to_device_prepare(struct migrate_run *run)
{
	struct migrate_vma *migration = &run->migration;
	unsigned long index, wanted = 0, taken, backed, used = 0;
	struct mirror_device_page *to;
	struct page *from;

	/* Not 0 means here: a page of the device is wanted for it. */
	for (index = 0; index < migration->npages; index++) {
		migration->dst[index] = moves_to_device(migration->src[index]);
		wanted += migration->dst[index];
	}
	taken = mirror_device_memory_take(run->notifier->device->memory, run->notifier->context, run->taken, wanted);
	backed = mirror_device_pages_back(run->taken, taken);

	for (index = 0; index < migration->npages; index++) {
		if (!migration->dst[index])
			continue;
		if (used == backed) {
			migration->dst[index] = 0;
			continue;
		}
		to = run->taken[used++];
		from = migrate_pfn_to_page(migration->src[index]);
		if (from)
			copy_highpage(mirror_device_page_bytes(to), from);
		else
			clear_highpage(mirror_device_page_bytes(to));
		mirror_zone_device_page_init(pfn_to_page(mirror_device_page_frame(to)));
		migration->dst[index] = migrate_pfn(mirror_device_page_frame(to));
	}
	while (used < taken)
		mirror_device_page_give_back(run->taken[used++]);
}

static unsigned long to_device_settle(struct migrate_run *run)
{
	unsigned long index, moved = 0;

	for (index = 0; index < run->migration.npages; index++)
		if (run->migration.src[index] & MIGRATE_PFN_MIGRATE)
			moved++;
	return moved;
}

static void to_system_prepare(struct migrate_run *run)
{
	mirror_system_pages_prepare(run->migration.src, run->migration.dst, run->migration.npages);
}

static unsigned long to_system_settle(struct migrate_run *run)
{
	return mirror_system_pages_settle(run->migration.src, run->migration.dst, run->migration.npages);
}

/*
 * [start, end) inside one chunk; *done: where it ended, which is where it failed. The mmap_lock is held for one
 * chunk.
 */
static int migrate_chunk(struct migrate_run *run, unsigned long start, unsigned long end, unsigned long *done)
{
	struct migrate_vma *migration = &run->migration;
	struct vm_area_struct *vma;
	struct mm_struct *mm;
	int ret;

	*done = start;
	ret = mirror_context_lock_mm(run->notifier->context, &mm);
	if (ret)
		return ret;
	while (*done < end) {
		vma = vma_lookup(mm, *done);
		if (!vma) {
			ret = -EFAULT;
			break;
		}
		migration->vma = vma;
		migration->start = *done;
		migration->end = min(end, vma->vm_end);
		*done = migration->end;
		ret = migrate_vma_setup(migration);
		if (ret) {
			*done = migration->start;
			break;
		}
		if (!migration->cpages)
			continue;
		run->prepare(run);
		migrate_vma_pages(migration);
		run->pages += run->settle(run);
		migrate_vma_finalize(migration);
	}
	mirror_mm_unlock(mm);
	return ret;
}

/* Chunk by chunk. to_device also fills the device page table of what is done, of the last chunk its part. */
static int migrate_run(struct migrate_run *run, unsigned long start, unsigned long end, bool to_device,
		       struct hmm_mirror_pages *result)
{
	unsigned long next, done;
	u64 valid = 0;
	int ret, filled;

	for (; start < end; start = next) {
		next = mirror_chunk_end(start, end);
		done = start;
		ret = fatal_signal_pending(current) ? -EINTR : migrate_chunk(run, start, next, &done);
		if (to_device && done > start) {
			filled = mirror_populate_pages(run->notifier, start, done, run->migration.src,
						       HMM_MIRROR_SNAPSHOT, &valid, &result->retries);
			if (filled && !ret) {
				ret = filled;
				done = start;
			}
		}
		if (ret) {
			result->address = done;
			return ret;
		}
		cond_resched();
	}
	return 0;
}

static int migrate_range(struct migrate_run *run, unsigned long start, unsigned long end, bool to_device,
			 struct hmm_mirror_pages *result)
{
	unsigned long count = min((end - start) >> PAGE_SHIFT, MIRROR_CHUNK_PAGES);
	unsigned long *scratch;
	int ret;

	scratch = kmalloc_array(count, 2 * sizeof(*scratch) + (to_device ? sizeof(*run->taken) : 0), GFP_KERNEL_ACCOUNT);
	if (!scratch) {
		result->address = start;
		return -ENOMEM;
	}
	run->migration.pgmap_owner = run->notifier->device;
	run->migration.src = scratch;
	run->migration.dst = scratch + count;
	run->taken = to_device ? (struct mirror_device_page **)(scratch + 2 * count) : NULL;
	ret = migrate_run(run, start, end, to_device, result);
	result->pages += run->pages;
	kfree(scratch);
	return ret;
}

/*
 * [start, end): whole pages inside the mirror's interval. Adds to result->pages what moved, also on error, and to
 * result->retries; result->address: where an error came up. Errors as uapi/hmm_mirror.h has them, and -EINTR.
 */
int mirror_migrate_to_device(struct mirror_notifier *notifier, unsigned long start, unsigned long end,
			     struct hmm_mirror_pages *result)
{
	struct migrate_run run = {
		.notifier = notifier,
		.migration.flags = MIGRATE_VMA_SELECT_SYSTEM,
		.prepare = to_device_prepare,
		.settle = to_device_settle,
	};

	if (!notifier->device->memory) {
		result->address = start;
		return -EOPNOTSUPP;
	}
	return migrate_range(&run, start, end, true, result);
}

/* The same for the way back. */
int mirror_migrate_to_system(struct mirror_notifier *notifier, unsigned long start, unsigned long end,
			     struct hmm_mirror_pages *result)
{
	struct migrate_run run = {
		.notifier = notifier,
		.prepare = to_system_prepare,
		.settle = to_system_settle,
	};

	if (!notifier->device->memory) {
		result->address = start;
		return -EOPNOTSUPP;
	}
	run.migration.flags = notifier->device->kind == HMM_MIRROR_DEVICE_PRIVATE ? MIGRATE_VMA_SELECT_DEVICE_PRIVATE :
										    MIGRATE_VMA_SELECT_DEVICE_COHERENT;
	return migrate_range(&run, start, end, false, result);
}

/*
 * The CPU accesses a page of private memory: it comes back, alone. Called by the fault handler with the mmap_lock
 * for reading. A page that somebody else is moving right now is left to them; the CPU faults again.
 */
vm_fault_t mirror_device_fault(struct vm_fault *vmf)
{
	struct mirror_device_page *resident = vmf->page->zone_device_data;
	unsigned long address = vmf->address & PAGE_MASK, src = 0, dst = 0;
	struct migrate_vma migration = {
		.vma = vmf->vma,
		.src = &src,
		.dst = &dst,
		.start = address,
		.end = address + PAGE_SIZE,
		.pgmap_owner = resident->memory->device,
		.flags = MIGRATE_VMA_SELECT_DEVICE_PRIVATE,
		.fault_page = vmf->page,
	};

	if (migrate_vma_setup(&migration))
		return VM_FAULT_SIGBUS;
	if (migration.cpages) {
		mirror_system_pages_prepare(&src, &dst, 1);
		migrate_vma_pages(&migration);
		mirror_system_pages_settle(&src, &dst, 1);
		migrate_vma_finalize(&migration);
	}
	return 0;
}
