// SPDX-License-Identifier: GPL-2.0-only
/*
 * hmm_mirror: lets user space mirror the address space of a process as a device driver does, through
 * mmu_interval_notifier and hmm_range_fault(). The interface is uapi/hmm_mirror.h.
 */
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

#include "mirror.h"

/* Devices without memory of their own: two, so that a test can tell the devices of two drivers apart. */
#define MIRROR_PLAIN_DEVICES 2

#define MIRROR_TIMEOUT_MS_MAX 60000
#define MIRROR_EVENT_CAPACITY_MIN 16
#define MIRROR_EVENT_CAPACITY_MAX (1u << 20)

struct mirror_device mirror_devices[HMM_MIRROR_MAX_DEVICES];
unsigned int mirror_device_count;
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
MODULE_PARM_DESC(callback_timeout_ms, "How long an invalidation waits for user space, in ms (1 to 60000, default 1000)");
/* Not writable later: every ring has the one size. */
module_param_cb(event_capacity, &mirror_event_capacity_ops, &mirror_event_capacity, 0444);
MODULE_PARM_DESC(event_capacity, "Records that the event queue of a context holds (16 to 1048576, default 4096)");

static const struct file_operations mirror_file_operations = {
	.owner = THIS_MODULE,
	.open = mirror_open,
	.release = mirror_release,
	.read = mirror_read,
	.poll = mirror_poll,
	.unlocked_ioctl = mirror_ioctl,
	.compat_ioctl = compat_ptr_ioctl, /* every struct has the same layout for 32-bit callers */
};

struct mirror_device *mirror_device_find(u32 id)
{
	return id < mirror_device_count ? &mirror_devices[id] : NULL;
}

/* The device that a notifier event or a pgmap names as its owner; HMM_MIRROR_NO_DEVICE if it is none of ours. */
u32 mirror_device_id_of_owner(const void *owner)
{
	unsigned int id;

	for (id = 0; id < mirror_device_count; id++)
		if (owner == &mirror_devices[id])
			return id;
	return HMM_MIRROR_NO_DEVICE;
}

static int mirror_device_register(struct mirror_device *device, u32 id, u32 kind)
{
	device->id = id;
	device->kind = kind;
	device->capacity = 0;
	snprintf(device->name, sizeof(device->name), "hmm_mirror%u", id);
	device->misc.minor = MISC_DYNAMIC_MINOR;
	device->misc.name = device->name;
	device->misc.fops = &mirror_file_operations;
	device->misc.mode = 0600;
	return misc_register(&device->misc);
}

static void mirror_devices_unregister(unsigned int count)
{
	while (count--)
		misc_deregister(&mirror_devices[count].misc);
}

static int __init mirror_init(void)
{
	unsigned int id;
	int ret;

	/* The count first: a node can be opened as soon as it is registered, and INFO tells of all devices. */
	mirror_device_count = MIRROR_PLAIN_DEVICES;
	for (id = 0; id < mirror_device_count; id++) {
		ret = mirror_device_register(&mirror_devices[id], id, HMM_MIRROR_DEVICE_NONE);
		if (ret)
			goto unregister_devices;
	}
	pr_info("hmm_mirror: ABI %u, %u devices\n", HMM_MIRROR_ABI_VERSION, mirror_device_count);
	return 0;

unregister_devices:
	mirror_devices_unregister(id);
	return ret;
}

static void __exit mirror_exit(void)
{
	/* No file is open: each holds the module. So no context, no notifier and no callback is left. */
	mirror_devices_unregister(mirror_device_count);
}

module_init(mirror_init);
module_exit(mirror_exit);

MODULE_DESCRIPTION("Mirror the address space of a process from user space (HMM)");
MODULE_AUTHOR("node-hmm");
MODULE_LICENSE("GPL");
