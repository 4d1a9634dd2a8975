// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ioctls: decode, check, call. The order of the checks is that of the header: the arguments in themselves, then
 * whether the context is bound, then the notifier, then the range in the notifier's interval.
 */
#include <linux/build_bug.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/sched.h>
#include <linux/uaccess.h>

#include "ioctl.h"

#define SYNC_TIMEOUT_MS_MAX 60000

/* No padding anywhere: nothing of the kernel's leaks, and 32-bit callers see the same layout. */
static_assert(sizeof(struct hmm_mirror_info) == 32 + 24 * HMM_MIRROR_MAX_DEVICES);
static_assert(sizeof(struct hmm_mirror_bind) == 8);
static_assert(sizeof(struct hmm_mirror_notifier_insert) == 32);
static_assert(sizeof(struct hmm_mirror_notifier_id) == 8);
static_assert(sizeof(struct hmm_mirror_sequence) == 24);
static_assert(sizeof(struct hmm_mirror_range_fault) == 64);
static_assert(sizeof(struct hmm_mirror_populate) == 40);
static_assert(sizeof(struct hmm_mirror_access) == 56);
static_assert(sizeof(struct hmm_mirror_query) == 56);
static_assert(sizeof(struct hmm_mirror_pages) == 48);
static_assert(sizeof(struct hmm_mirror_atomic) == 40);
static_assert(sizeof(struct hmm_mirror_evict) == 16);
static_assert(sizeof(struct hmm_mirror_device_access) == 56);
static_assert(sizeof(struct hmm_mirror_ack) == 16);
static_assert(sizeof(struct hmm_mirror_event) == 64);

/* The uapi names the kernel's events by value. */
static_assert(HMM_MIRROR_EVENT_UNMAP == MMU_NOTIFY_UNMAP && HMM_MIRROR_EVENT_CLEAR == MMU_NOTIFY_CLEAR);
static_assert(HMM_MIRROR_EVENT_PROTECTION_VMA == MMU_NOTIFY_PROTECTION_VMA);
static_assert(HMM_MIRROR_EVENT_PROTECTION_PAGE == MMU_NOTIFY_PROTECTION_PAGE);
static_assert(HMM_MIRROR_EVENT_SOFT_DIRTY == MMU_NOTIFY_SOFT_DIRTY && HMM_MIRROR_EVENT_RELEASE == MMU_NOTIFY_RELEASE);
static_assert(HMM_MIRROR_EVENT_MIGRATE == MMU_NOTIFY_MIGRATE && HMM_MIRROR_EVENT_EXCLUSIVE == MMU_NOTIFY_EXCLUSIVE);

static int do_info(struct mirror_context *context, union mirror_arguments *arguments)
{
	struct hmm_mirror_info *info = &arguments->info;
	unsigned int id;

	info->abi_version = HMM_MIRROR_ABI_VERSION;
	if (mirror_has_device_exclusive())
		info->features |= HMM_MIRROR_FEATURE_EXCLUSIVE;
	if (IS_ENABLED(CONFIG_HUGETLB_PAGE))
		info->features |= HMM_MIRROR_FEATURE_HUGETLB;
	if (IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE) && has_transparent_hugepage())
		info->features |= HMM_MIRROR_FEATURE_TRANSPARENT_HUGE_PAGES;
	info->page_shift = PAGE_SHIFT;
	info->max_pages = HMM_MIRROR_MAX_PAGES;
	info->callback_timeout_ms = READ_ONCE(mirror_callback_timeout_ms);
	info->default_device = context->device->id;
	info->device_count = mirror_device_count;
	info->event_capacity = mirror_event_capacity;
	for (id = 0; id < mirror_device_count; id++) {
		info->devices[id].kind = mirror_devices[id].kind;
		info->devices[id].capacity = mirror_devices[id].capacity;
		info->devices[id].used = mirror_device_used(&mirror_devices[id]);
		/* Of device memory the feature is that there is some. */
		if (info->devices[id].kind == HMM_MIRROR_DEVICE_PRIVATE)
			info->features |= HMM_MIRROR_FEATURE_DEVICE_PRIVATE;
		if (info->devices[id].kind == HMM_MIRROR_DEVICE_COHERENT)
			info->features |= HMM_MIRROR_FEATURE_DEVICE_COHERENT;
	}
	return 0;
}

static int do_bind(struct mirror_context *context, union mirror_arguments *arguments)
{
	int ret;

	if (arguments->bind.flags)
		return -EINVAL;
	ret = mirror_context_bind(context);
	if (!ret)
		arguments->bind.pid = task_tgid_vnr(current);
	return ret;
}

static int check_insert(const struct hmm_mirror_notifier_insert *args)
{
	const u32 known = HMM_MIRROR_NOTIFIER_SYNC | HMM_MIRROR_NOTIFIER_EVENTS | HMM_MIRROR_NOTIFIER_PAGE_TABLE;
	u64 last;

	if (args->flags & ~known)
		return -EINVAL;
	if (args->timeout_ms > SYNC_TIMEOUT_MS_MAX)
		return -EINVAL;
	/* Of a notifier that nobody waits for there is nothing to bound. */
	if (args->timeout_ms && !(args->flags & (HMM_MIRROR_NOTIFIER_SYNC | HMM_MIRROR_NOTIFIER_PAGE_TABLE)))
		return -EINVAL;
	if (!(args->flags & HMM_MIRROR_NOTIFIER_PAGE_TABLE)) {
		if (args->device != HMM_MIRROR_NO_DEVICE)
			return -EINVAL;
	} else {
		if (!PAGE_ALIGNED(args->start) || !PAGE_ALIGNED(args->length))
			return -EINVAL;
		if (!mirror_device_find(args->device))
			return -ENODEV;
	}
	/* As mmu_interval_notifier_insert() has it: an interval may end with the last byte of all. */
	if (!args->length || check_add_overflow(args->start, args->length - 1, &last))
		return -EOVERFLOW;
	return 0;
}

static int do_notifier_insert(struct mirror_context *context, union mirror_arguments *arguments)
{
	struct hmm_mirror_notifier_insert *args = &arguments->insert;
	struct mirror_notifier *notifier;
	int ret;

	args->id = 0;
	ret = check_insert(args);
	if (ret)
		return ret;
	ret = mirror_check_bound(context);
	if (ret)
		return ret;
	notifier = mirror_notifier_alloc(context, args->start, args->start + args->length - 1);
	if (!notifier)
		return -ENOMEM;
	notifier->flags = args->flags;
	if (notifier->flags & HMM_MIRROR_NOTIFIER_SYNC)
		notifier->flags |= HMM_MIRROR_NOTIFIER_EVENTS;
	notifier->timeout_ms = args->timeout_ms;
	if (args->flags & (HMM_MIRROR_NOTIFIER_SYNC | HMM_MIRROR_NOTIFIER_PAGE_TABLE))
		args->timeout_ms = mirror_timeout_ms(args->timeout_ms);
	notifier->device = mirror_device_find(args->device);
	ret = mirror_notifier_insert(context, notifier, &args->id);
	if (ret)
		mirror_notifier_put(notifier);
	return ret;
}

static int do_notifier_remove(struct mirror_context *context, union mirror_arguments *arguments)
{
	int ret;

	if (arguments->notifier.flags)
		return -EINVAL;
	ret = mirror_check_bound(context);
	return ret ?: mirror_notifier_remove(context, arguments->notifier.id);
}

static int do_read_begin(struct mirror_context *context, union mirror_arguments *arguments)
{
	struct hmm_mirror_sequence *args = &arguments->sequence;
	struct mirror_notifier *notifier;
	unsigned long sequence;
	int ret;

	if (args->flags & ~HMM_MIRROR_NONBLOCK || args->reserved || args->retry)
		return -EINVAL;
	ret = mirror_get_notifier(context, args->id, &notifier);
	if (ret)
		return ret;
	ret = mirror_notifier_begin(notifier, args->flags & HMM_MIRROR_NONBLOCK, &sequence);
	if (!ret)
		args->sequence = sequence;
	mirror_notifier_put(notifier);
	return ret;
}

static int do_read_retry(struct mirror_context *context, union mirror_arguments *arguments)
{
	struct hmm_mirror_sequence *args = &arguments->sequence;
	struct mirror_notifier *notifier;
	int ret;

	if (args->flags || args->reserved)
		return -EINVAL;
	ret = mirror_get_notifier(context, args->id, &notifier);
	if (ret)
		return ret;
	/*
	 * The comparison of mmu_interval_read_retry(), in the form for a caller without the lock: the lock that
	 * matters is the one that user space holds, and the callback of its own that it keeps out.
	 */
	args->retry = mmu_interval_check_retry(&notifier->interval, args->sequence);
	mirror_notifier_put(notifier);
	return 0;
}

static int do_ack(struct mirror_context *context, union mirror_arguments *arguments)
{
	const struct hmm_mirror_ack *args = &arguments->ack;
	int ret;

	if (args->result || args->reserved)
		return -EINVAL;
	ret = mirror_check_bound(context);
	return ret ?: mirror_events_ack(&context->events, args->ticket);
}

#define OUT_FROM(name, field) offsetof(struct hmm_mirror_##name, field)

static const struct {
	unsigned int command;
	int (*handler)(struct mirror_context *context, union mirror_arguments *arguments);
	unsigned int out; /* where the first field is that goes back */
} mirror_commands[] = {
	[_IOC_NR(HMM_MIRROR_INFO)] = { HMM_MIRROR_INFO, do_info },
	[_IOC_NR(HMM_MIRROR_BIND)] = { HMM_MIRROR_BIND, do_bind },
	[_IOC_NR(HMM_MIRROR_NOTIFIER_INSERT)] = { HMM_MIRROR_NOTIFIER_INSERT, do_notifier_insert },
	[_IOC_NR(HMM_MIRROR_NOTIFIER_REMOVE)] = { HMM_MIRROR_NOTIFIER_REMOVE, do_notifier_remove },
	[_IOC_NR(HMM_MIRROR_READ_BEGIN)] = { HMM_MIRROR_READ_BEGIN, do_read_begin },
	[_IOC_NR(HMM_MIRROR_READ_RETRY)] = { HMM_MIRROR_READ_RETRY, do_read_retry },
	[_IOC_NR(HMM_MIRROR_RANGE_FAULT)] = { HMM_MIRROR_RANGE_FAULT, mirror_ioctl_range_fault },
	[_IOC_NR(HMM_MIRROR_POPULATE)] = { HMM_MIRROR_POPULATE, mirror_ioctl_populate, OUT_FROM(populate, pages) },
	[_IOC_NR(HMM_MIRROR_READ)] = { HMM_MIRROR_READ, mirror_ioctl_read, OUT_FROM(access, done) },
	[_IOC_NR(HMM_MIRROR_WRITE)] = { HMM_MIRROR_WRITE, mirror_ioctl_write, OUT_FROM(access, done) },
	[_IOC_NR(HMM_MIRROR_QUERY)] = { HMM_MIRROR_QUERY, mirror_ioctl_query, OUT_FROM(query, retries) },
	[_IOC_NR(HMM_MIRROR_LOCK)] = { HMM_MIRROR_LOCK, mirror_ioctl_lock },
	[_IOC_NR(HMM_MIRROR_UNLOCK)] = { HMM_MIRROR_UNLOCK, mirror_ioctl_unlock },
	[_IOC_NR(HMM_MIRROR_DEVICE_READ)] = { HMM_MIRROR_DEVICE_READ, mirror_ioctl_device_read },
	[_IOC_NR(HMM_MIRROR_DEVICE_WRITE)] = { HMM_MIRROR_DEVICE_WRITE, mirror_ioctl_device_write },
	[_IOC_NR(HMM_MIRROR_ACK)] = { HMM_MIRROR_ACK, do_ack },
	[_IOC_NR(HMM_MIRROR_MIGRATE_TO_DEVICE)] = { HMM_MIRROR_MIGRATE_TO_DEVICE, mirror_ioctl_migrate_to_device },
	[_IOC_NR(HMM_MIRROR_MIGRATE_TO_SYSTEM)] = { HMM_MIRROR_MIGRATE_TO_SYSTEM, mirror_ioctl_migrate_to_system },
	[_IOC_NR(HMM_MIRROR_MAKE_EXCLUSIVE)] = { HMM_MIRROR_MAKE_EXCLUSIVE, mirror_ioctl_make_exclusive },
	[_IOC_NR(HMM_MIRROR_ATOMIC_ADD)] = { HMM_MIRROR_ATOMIC_ADD, mirror_ioctl_atomic_add },
	[_IOC_NR(HMM_MIRROR_EVICT)] = { HMM_MIRROR_EVICT, mirror_ioctl_evict },
};

long mirror_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	struct mirror_context *context = file->private_data;
	void __user *user = (void __user *)argument;
	union mirror_arguments arguments;
	unsigned int number = _IOC_NR(command), out;
	int ret;

	if (number >= ARRAY_SIZE(mirror_commands))
		return -ENOTTY;
	number = array_index_nospec(number, ARRAY_SIZE(mirror_commands));
	/* The number holds direction and size too, so what is copied below fits the union. */
	if (mirror_commands[number].command != command)
		return -ENOTTY;
	/* What a handler looks at, and what goes back: no more than that is set. */
	if (!(_IOC_DIR(command) & _IOC_WRITE))
		memset(&arguments, 0, _IOC_SIZE(command));
	else if (copy_from_user(&arguments, user, _IOC_SIZE(command)))
		return -EFAULT;
	ret = mirror_commands[number].handler(context, &arguments);
	/*
	 * Also after an error: the progress. What was inserted or bound stays so if its name cannot be told; release()
	 * knows it.
	 */
	out = mirror_commands[number].out;
	if ((_IOC_DIR(command) & _IOC_READ) &&
	    copy_to_user(user + out, (void *)&arguments + out, _IOC_SIZE(command) - out) && !ret)
		ret = -EFAULT;
	return ret;
}
