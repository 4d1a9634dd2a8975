// SPDX-License-Identifier: GPL-2.0-only
/*
 * hmm_mirror: lets user space mirror the address space of a process as a device driver does, through
 * mmu_interval_notifier and hmm_range_fault(). The interface is uapi/hmm_mirror.h.
 */
#define pr_fmt(format) KBUILD_MODNAME ": " format

#include <linux/fs.h>
#include <linux/init.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

#include "mirror.h"

#define MIRROR_TIMEOUT_MS_MAX 60000
#define MIRROR_EVENT_CAPACITY_MIN 16
/* See queue_evict_locked(): 4 MiB, which are looked at in less than a millisecond. */
#define MIRROR_EVENT_CAPACITY_MAX (1u << 16)

unsigned int mirror_callback_timeout_ms = 1000;
unsigned int mirror_event_capacity = 4096;

static int mirror_set_timeout(const char *value, const struct kernel_param *parameter)
{
	return param_set_uint_minmax(value, parameter, 1, MIRROR_TIMEOUT_MS_MAX);
}

static int mirror_set_event_capacity(const char *value, const struct kernel_param *parameter)
{
	return param_set_uint_minmax(value, parameter, MIRROR_EVENT_CAPACITY_MIN, MIRROR_EVENT_CAPACITY_MAX);
}

static const struct kernel_param_ops mirror_timeout_ops = {
	.set = mirror_set_timeout,
	.get = param_get_uint,
};

static const struct kernel_param_ops mirror_event_capacity_ops = {
	.set = mirror_set_event_capacity,
	.get = param_get_uint,
};

module_param_cb(callback_timeout_ms, &mirror_timeout_ops, &mirror_callback_timeout_ms, 0644);
MODULE_PARM_DESC(callback_timeout_ms, "Longest that an invalidation waits for user space, in ms (1 to 60000, default 1000)");
/* Not writable later: every ring has the one size. */
module_param_cb(event_capacity, &mirror_event_capacity_ops, &mirror_event_capacity, 0444);
MODULE_PARM_DESC(event_capacity, "Records that the event queue of a context holds (16 to 65536, default 4096)");

static const struct file_operations mirror_file_operations = {
	.owner = THIS_MODULE,
	.open = mirror_open,
	.release = mirror_release,
	.read = mirror_read,
	.poll = mirror_poll,
	.unlocked_ioctl = mirror_ioctl,
	.compat_ioctl = compat_ptr_ioctl, /* every struct has the same layout for 32-bit callers */
};

static int __init mirror_init(void)
{
	int ret;

	ret = mirror_devices_init(&mirror_file_operations);
	if (ret)
		return ret;
	ret = dmirror_init();
	if (ret)
		goto exit_devices;
	pr_info("ABI %u, %u devices\n", HMM_MIRROR_ABI_VERSION, mirror_device_count);
	return 0;

exit_devices:
	mirror_devices_exit();
	return ret;
}

static void __exit mirror_exit(void)
{
	/*
	 * No file is open: each holds the module. So no context, no notifier and no callback is left. No page of device
	 * memory is in use: see evict.c.
	 */
	dmirror_exit();
	mirror_devices_exit();
}

module_init(mirror_init);
module_exit(mirror_exit);

MODULE_DESCRIPTION("Mirror the address space of a process from user space (HMM)");
MODULE_AUTHOR("The node-hmm maintainers");
MODULE_VERSION("0.1.0");
MODULE_LICENSE("GPL");
