// SPDX-License-Identifier: GPL-2.0-only
/* The ioctls that move pages, or take them for the device: check, and call. Orders of checks as ioctl.c says. */
#include <linux/mm.h>

#include "ioctl.h"

static int ioctl_pages(struct mirror_context *context, struct hmm_mirror_pages *args,
		       int (*call)(struct mirror_notifier *notifier, unsigned long start, unsigned long end,
				   struct hmm_mirror_pages *result))
{
	struct mirror_notifier *notifier;
	int ret;

	args->pages = 0;
	args->address = 0;
	args->retries = 0;
	if (args->flags)
		return -EINVAL;
	ret = mirror_get_mirror_of_pages(context, args->id, args->start, args->end, &notifier);
	if (ret)
		return ret;
	ret = call(notifier, args->start, args->end, args);
	mirror_notifier_put(notifier);
	return ret;
}

int mirror_ioctl_migrate_to_device(struct mirror_context *context, union mirror_arguments *arguments)
{
	return ioctl_pages(context, &arguments->pages, mirror_migrate_to_device);
}

int mirror_ioctl_migrate_to_system(struct mirror_context *context, union mirror_arguments *arguments)
{
	return ioctl_pages(context, &arguments->pages, mirror_migrate_to_system);
}

int mirror_ioctl_make_exclusive(struct mirror_context *context, union mirror_arguments *arguments)
{
	return ioctl_pages(context, &arguments->pages, mirror_make_exclusive);
}

int mirror_ioctl_atomic_add(struct mirror_context *context, union mirror_arguments *arguments)
{
	struct hmm_mirror_atomic *args = &arguments->atomic;
	struct mirror_notifier *notifier;
	int ret;

	args->old = 0;
	args->retries = 0;
	if (args->flags & ~HMM_MIRROR_NONBLOCK || args->address % sizeof(args->value))
		return -EINVAL;
	/* Aligned, so the word's last byte is a number. */
	ret = mirror_get_mirror_of(context, args->id, args->address, args->address + sizeof(args->value) - 1, &notifier);
	if (ret)
		return ret;
	ret = mirror_atomic_add(notifier, args);
	mirror_notifier_put(notifier);
	return ret;
}

int mirror_ioctl_evict(struct mirror_context *context, union mirror_arguments *arguments)
{
	struct hmm_mirror_evict *args = &arguments->evict;
	struct mirror_device *device = mirror_device_find(args->device);

	args->pages = 0;
	if (args->flags || !device)
		return -EINVAL;
	return mirror_device_evict(device, &args->pages);
}
