// SPDX-License-Identifier: GPL-2.0-only
/* The commands about where memory is and who may use it: migration, exclusive access, release. */
#include <linux/minmax.h>
#include <linux/mm.h>

#include "dmirror.h"

/*
 * Where the part of [start, end) that the process can read ends: at the first address without a mapping, or with one
 * that may not be read. It can change as soon as this returns; who works on the pages finds that out.
 */
static int readable_end(struct mirror_notifier *notifier, unsigned long start, unsigned long end,
			unsigned long *readable)
{
	struct vm_area_struct *vma;
	struct mm_struct *mm;
	int ret;

	ret = mirror_context_lock_mm(notifier->context, &mm);
	if (ret)
		return ret;
	while (start < end) {
		vma = vma_lookup(mm, start);
		if (!vma || !(vma->vm_flags & VM_READ))
			break;
		start = min(end, vma->vm_end);
	}
	*readable = start;
	mirror_mm_unlock(mm);
	return 0;
}

/* The address up to which every page of [start, end) has an entry of which holds() is true. */
static int holds_until(struct mirror_notifier *notifier, unsigned long start, unsigned long end,
		       bool (*holds)(const struct mirror_notifier *notifier, u64 entry), unsigned long *until)
{
	struct mirror_page_table_chunk *chunk;
	unsigned long next;
	int ret;

	for (*until = start; *until < end;) {
		next = mirror_chunk_end(*until, end);
		ret = mirror_notifier_lock(notifier, false);
		if (ret)
			return ret;
		chunk = mirror_page_table_chunk_locked(notifier, *until);
		while (*until < next && holds(notifier, chunk ? chunk->entries[mirror_chunk_slot(*until)] : 0))
			*until += PAGE_SIZE;
		mutex_unlock(&notifier->lock);
		if (*until < next)
			break;
		cond_resched();
	}
	return 0;
}

static bool entry_is_local(const struct mirror_notifier *notifier, u64 entry)
{
	const struct mirror_stretch *stretch;

	if (!(entry & HMM_MIRROR_PFN_VALID))
		return false;
	stretch = mirror_location_find(entry & HMM_MIRROR_PFN_FRAME_MASK);
	return stretch->location == HMM_MIRROR_LOCATION_DEVICE + notifier->device->id;
}

static bool entry_is_exclusive(const struct mirror_notifier *notifier, u64 entry)
{
	return entry & HMM_MIRROR_ENTRY_EXCLUSIVE;
}

static bool entry_is_not_exclusive(const struct mirror_notifier *notifier, u64 entry)
{
	return !(entry & HMM_MIRROR_ENTRY_EXCLUSIVE);
}

/*
 * Reads back what the device has of [cmd->addr, end): 0 if that is all. The first page that it has not ends it, with
 * the error of that. Between the look and the copy a page may leave; then the copy ends there.
 */
static int read_back_held(struct mirror_notifier *notifier, struct hmm_dmirror_cmd *cmd, unsigned long end,
			  bool (*holds)(const struct mirror_notifier *notifier, u64 entry), int error)
{
	unsigned long until;
	int ret;

	ret = holds_until(notifier, cmd->addr, end, holds, &until);
	if (ret)
		return ret;
	if (until > cmd->addr) {
		ret = dmirror_read_back(notifier, cmd, until);
		if (ret)
			return ret == -ENOENT ? error : ret;
	}
	return until < end ? error : 0;
}

int dmirror_migrate_to_device(struct mirror_notifier *notifier, struct hmm_dmirror_cmd *cmd)
{
	unsigned long end = dmirror_end(cmd), readable, done;
	struct hmm_mirror_pages pages = {};
	int ret, back;

	ret = readable_end(notifier, cmd->addr, end, &readable);
	if (ret)
		return ret;
	if (readable == cmd->addr)
		return -EINVAL;
	ret = mirror_migrate_to_device(notifier, cmd->addr, readable, &pages);
	/* Of what failed, the part before has moved. */
	done = ret ? clamp_t(u64, pages.address, cmd->addr, readable) : readable;
	back = read_back_held(notifier, cmd, done, entry_is_local, -ENOENT);
	if (!ret)
		ret = back;
	if (!ret && readable < end)
		ret = -EINVAL;
	return ret;
}

int dmirror_migrate_to_system(struct mirror_notifier *notifier, struct hmm_dmirror_cmd *cmd)
{
	unsigned long end = dmirror_end(cmd), readable;
	struct hmm_mirror_pages pages = {};
	int ret;

	ret = readable_end(notifier, cmd->addr, end, &readable);
	if (ret)
		return ret;
	if (readable == cmd->addr)
		return -EINVAL;
	ret = mirror_migrate_to_system(notifier, cmd->addr, readable, &pages);
	cmd->cpages = pages.pages;
	if (!ret && readable < end)
		ret = -EINVAL;
	return ret;
}

int dmirror_exclusive(struct mirror_notifier *notifier, struct hmm_dmirror_cmd *cmd)
{
	unsigned long end = dmirror_end(cmd), done;
	struct hmm_mirror_pages pages = {};
	int ret, back;

	ret = mirror_make_exclusive(notifier, cmd->addr, end, &pages);
	done = ret ? clamp_t(u64, pages.address, cmd->addr, end) : end;
	back = read_back_held(notifier, cmd, done, entry_is_exclusive, -EBUSY);
	return ret ?: back;
}

int dmirror_check_exclusive(struct mirror_notifier *notifier, struct hmm_dmirror_cmd *cmd)
{
	unsigned long end = dmirror_end(cmd), until;
	int ret;

	ret = holds_until(notifier, cmd->addr, end, entry_is_not_exclusive, &until);
	if (ret)
		return ret;
	cmd->cpages = (until - cmd->addr) >> PAGE_SHIFT;
	return until < end ? -EPERM : 0;
}

int dmirror_evict(struct mirror_notifier *notifier, struct hmm_dmirror_cmd *cmd)
{
	return mirror_device_evict(notifier->device, &cmd->cpages);
}
