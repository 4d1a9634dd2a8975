// SPDX-License-Identifier: GPL-2.0-only
/* The ioctls that work on memory: check, and call. Orders of checks as ioctl.c says. */
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "ioctl.h"

/* [start, end) in whole pages, of which one call takes HMM_MIRROR_MAX_PAGES. */
static int check_pages(u64 start, u64 end)
{
	if (start >= end || !PAGE_ALIGNED(start) || !PAGE_ALIGNED(end))
		return -EINVAL;
	return (end - start) >> PAGE_SHIFT > HMM_MIRROR_MAX_PAGES ? -EINVAL : 0;
}

/* [address, address + length) in bytes; the pages that it touches are counted, and their end too must be a number. */
static int check_bytes(u64 address, u64 length)
{
	u64 end;

	if (!length)
		return -EINVAL;
	if (check_add_overflow(address, length, &end) || end > (u64)PAGE_MASK)
		return -EOVERFLOW;
	return (PAGE_ALIGN(end) - (address & PAGE_MASK)) >> PAGE_SHIFT > HMM_MIRROR_MAX_PAGES ? -EINVAL : 0;
}

/* A notifier that has a device page table, with a reference: of one that has none, EINVAL. */
static int get_mirror(struct mirror_context *context, u32 id, struct mirror_notifier **notifier)
{
	int ret;

	ret = mirror_get_notifier(context, id, notifier);
	if (ret)
		return ret;
	if ((*notifier)->flags & HMM_MIRROR_NOTIFIER_PAGE_TABLE)
		return 0;
	mirror_notifier_put(*notifier);
	return -EINVAL;
}

static int check_inside(const struct mirror_notifier *notifier, u64 start, u64 last)
{
	return start >= notifier->start && last <= notifier->last ? 0 : -EINVAL;
}

/* A mirror, with a reference, inside whose interval [start, last] is. */
int mirror_get_mirror_of(struct mirror_context *context, u32 id, u64 start, u64 last, struct mirror_notifier **notifier)
{
	int ret;

	ret = get_mirror(context, id, notifier);
	if (ret)
		return ret;
	ret = check_inside(*notifier, start, last);
	if (ret)
		mirror_notifier_put(*notifier);
	return ret;
}

/* The same for whole pages [start, end), which are checked first. */
int mirror_get_mirror_of_pages(struct mirror_context *context, u32 id, u64 start, u64 end,
			       struct mirror_notifier **notifier)
{
	return check_pages(start, end) ?: mirror_get_mirror_of(context, id, start, end - 1, notifier);
}

int mirror_ioctl_range_fault(struct mirror_context *context, union mirror_arguments *arguments)
{
	struct hmm_mirror_range_fault *args = &arguments->range_fault;
	struct mirror_device *owner = mirror_device_find(args->owner_device);
	struct mirror_notifier *notifier;
	int ret;

	if (args->flags & ~HMM_MIRROR_NONBLOCK || args->reserved)
		return -EINVAL;
	if (!owner && args->owner_device != HMM_MIRROR_NO_DEVICE)
		return -ENODEV;
	ret = check_pages(args->start, args->end);
	if (ret)
		return ret;
	ret = mirror_get_notifier(context, args->id, &notifier);
	if (ret)
		return ret;
	ret = check_inside(notifier, args->start, args->end - 1) ?: mirror_range_fault(notifier, args, owner);
	mirror_notifier_put(notifier);
	return ret;
}

int mirror_ioctl_populate(struct mirror_context *context, union mirror_arguments *arguments)
{
	struct hmm_mirror_populate *args = &arguments->populate;
	struct mirror_notifier *notifier;
	int ret;

	args->pages = 0;
	args->retries = 0;
	if (args->flags & ~(HMM_MIRROR_NONBLOCK | HMM_MIRROR_WRITABLE | HMM_MIRROR_SNAPSHOT))
		return -EINVAL;
	if ((args->flags & HMM_MIRROR_WRITABLE) && (args->flags & HMM_MIRROR_SNAPSHOT))
		return -EINVAL;
	ret = mirror_get_mirror_of_pages(context, args->id, args->start, args->end, &notifier);
	if (ret)
		return ret;
	ret = mirror_populate(notifier, args);
	mirror_notifier_put(notifier);
	return ret;
}

static int access_mirror(struct mirror_context *context, struct hmm_mirror_access *args, bool write)
{
	struct mirror_notifier *notifier;
	int ret;

	args->done = 0;
	args->faults = 0;
	args->retries = 0;
	if (args->flags & ~HMM_MIRROR_NONBLOCK)
		return -EINVAL;
	ret = check_bytes(args->address, args->length) ?:
	      mirror_get_mirror_of(context, args->id, args->address, args->address + args->length - 1, &notifier);
	if (ret)
		return ret;
	ret = mirror_access(notifier, args, write);
	mirror_notifier_put(notifier);
	return ret;
}

int mirror_ioctl_read(struct mirror_context *context, union mirror_arguments *arguments)
{
	return access_mirror(context, &arguments->access, false);
}

int mirror_ioctl_write(struct mirror_context *context, union mirror_arguments *arguments)
{
	return access_mirror(context, &arguments->access, true);
}

int mirror_ioctl_query(struct mirror_context *context, union mirror_arguments *arguments)
{
	struct hmm_mirror_query *args = &arguments->query;
	struct mirror_notifier *notifier;
	int ret;

	args->retries = 0;
	if (args->flags & ~HMM_MIRROR_NONBLOCK || (!args->pfns && !args->entries))
		return -EINVAL;
	if (args->locations && !args->pfns)
		return -EINVAL;
	ret = mirror_get_mirror_of_pages(context, args->id, args->start, args->end, &notifier);
	if (ret)
		return ret;
	ret = mirror_query(notifier, args);
	mirror_notifier_put(notifier);
	return ret;
}

int mirror_ioctl_lock(struct mirror_context *context, union mirror_arguments *arguments)
{
	struct hmm_mirror_notifier_id *args = &arguments->notifier;
	struct mirror_notifier *notifier;
	int ret;

	if (args->flags & ~HMM_MIRROR_NONBLOCK)
		return -EINVAL;
	ret = get_mirror(context, args->id, &notifier);
	if (ret)
		return ret;
	ret = mirror_update_lock(notifier, args->flags & HMM_MIRROR_NONBLOCK);
	mirror_notifier_put(notifier);
	return ret;
}

int mirror_ioctl_unlock(struct mirror_context *context, union mirror_arguments *arguments)
{
	struct hmm_mirror_notifier_id *args = &arguments->notifier;
	struct mirror_notifier *notifier;
	int ret;

	if (args->flags)
		return -EINVAL;
	ret = get_mirror(context, args->id, &notifier);
	if (ret)
		return ret;
	ret = mirror_update_unlock(notifier);
	mirror_notifier_put(notifier);
	return ret;
}

static int check_entries(const u64 *entries, u64 count, bool write)
{
	u64 needed = HMM_MIRROR_PFN_VALID | (write ? HMM_MIRROR_PFN_WRITE : 0);

	for (; count; count--, entries++)
		if ((*entries & needed) != needed)
			return -EINVAL;
	return 0;
}

static int access_device(struct mirror_context *context, struct hmm_mirror_device_access *args, bool write)
{
	struct mirror_device *device = mirror_device_find(args->device);
	u64 count, *entries;
	int ret;

	args->done = 0;
	args->stale_address = 0;
	if (args->flags)
		return -EINVAL;
	if (!device)
		return -ENODEV;
	ret = check_bytes(args->address, args->length);
	if (ret)
		return ret;
	ret = mirror_check_bound(context);
	if (ret)
		return ret;
	/* One copy, checked and then used: user space cannot change its mind in between. */
	count = (PAGE_ALIGN(args->address + args->length) - (args->address & PAGE_MASK)) >> PAGE_SHIFT;
	entries = kvmalloc_array(count, sizeof(*entries), GFP_KERNEL_ACCOUNT);
	if (!entries)
		return -ENOMEM;
	if (copy_from_user(entries, u64_to_user_ptr(args->entries), count * sizeof(*entries)))
		ret = -EFAULT;
	else
		ret = check_entries(entries, count, write) ?:
		      mirror_device_access(context, device, args, entries, write);
	kvfree(entries);
	return ret;
}

int mirror_ioctl_device_read(struct mirror_context *context, union mirror_arguments *arguments)
{
	return access_device(context, &arguments->device_access, false);
}

int mirror_ioctl_device_write(struct mirror_context *context, union mirror_arguments *arguments)
{
	return access_device(context, &arguments->device_access, true);
}
