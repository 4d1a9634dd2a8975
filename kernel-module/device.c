// SPDX-License-Identifier: GPL-2.0-only
/*
 * The devices: which there are, with which memory.
 *
 * 0 and 1 have private memory where the kernel has it, else none of their own; two, so that a test can tell the devices
 * of two drivers apart. 2 and 3 have coherent memory and are there if some was reserved for them.
 */
#define pr_fmt(format) KBUILD_MODNAME ": " format

#include <linux/err.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/nospec.h>
#include <linux/sizes.h>

#include "device_memory.h"

#define PRIVATE_DEVICES 2
#define COHERENT_DEVICES 2

/*
 * 64 GiB: what is given out is limited by the system's memory, but 2.5 percent of this goes for the struct pages at
 * once.
 */
#define PRIVATE_PAGES_MAX (1ul << 24)
/* 128 GiB: more would take tables of more than INT_MAX bytes, which kvcalloc() refuses with a warning in the log. */
#define COHERENT_MB_MAX (1u << 17)
static_assert((u64)COHERENT_MB_MAX * (SZ_1M / PAGE_SIZE) * sizeof(struct mirror_device_page) <= INT_MAX);
static_assert((u64)PRIVATE_PAGES_MAX * sizeof(struct mirror_device_page) <= INT_MAX);

struct mirror_device mirror_devices[HMM_MIRROR_MAX_DEVICES];
unsigned int mirror_device_count;

static unsigned int private_pages = 16384;
static unsigned long coherent[COHERENT_DEVICES];
static unsigned int coherent_mb = 256;

static int set_private_pages(const char *value, const struct kernel_param *parameter)
{
	return param_set_uint_minmax(value, parameter, 0, PRIVATE_PAGES_MAX);
}

static int set_coherent_mb(const char *value, const struct kernel_param *parameter)
{
	return param_set_uint_minmax(value, parameter, 1, COHERENT_MB_MAX);
}

static const struct kernel_param_ops private_pages_ops = {
	.set = set_private_pages,
	.get = param_get_uint,
};

static const struct kernel_param_ops coherent_mb_ops = {
	.set = set_coherent_mb,
	.get = param_get_uint,
};

module_param_cb(private_pages, &private_pages_ops, &private_pages, 0444);
MODULE_PARM_DESC(private_pages, "Pages of private memory of devices 0 and 1 each (0: none, to 16777216, default 16384)");
module_param_named(coherent0, coherent[0], ulong, 0444);
MODULE_PARM_DESC(coherent0, "Physical address of memory reserved for device 2, which is coherent then (default 0: no such device)");
module_param_named(coherent1, coherent[1], ulong, 0444);
MODULE_PARM_DESC(coherent1, "The same for device 3; needs coherent0");
module_param_cb(coherent_mb, &coherent_mb_ops, &coherent_mb, 0444);
MODULE_PARM_DESC(coherent_mb, "MiB of memory at coherent0 and coherent1 each (1 to 131072, default 256)");

struct mirror_device *mirror_device_find(u32 id)
{
	if (id >= mirror_device_count)
		return NULL;
	/* The id is user space's: no speculation beyond the array. */
	return &mirror_devices[array_index_nospec(id, mirror_device_count)];
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

/* Pages of its memory that are in use now. */
u64 mirror_device_used(const struct mirror_device *device)
{
	return device->memory ? READ_ONCE(device->memory->used) : 0;
}

static int device_create_memory(struct mirror_device *device)
{
	unsigned long capacity = (unsigned long)coherent_mb * SZ_1M >> PAGE_SHIFT;
	struct mirror_device_memory *memory;

	if (device->id < PRIVATE_DEVICES) {
		if (!mirror_has_device_private() || !private_pages)
			return 0;
		device->kind = HMM_MIRROR_DEVICE_PRIVATE;
		capacity = private_pages;
		memory = mirror_device_memory_create_private(device, capacity);
	} else {
		device->kind = HMM_MIRROR_DEVICE_COHERENT;
		memory = mirror_device_memory_create_coherent(device, coherent[device->id - PRIVATE_DEVICES], capacity);
	}
	if (IS_ERR(memory))
		return PTR_ERR(memory);
	device->capacity = capacity;
	device->memory = memory;
	mirror_location_add(memory->first, capacity, HMM_MIRROR_LOCATION_DEVICE + device->id);
	return 0;
}

static int mirror_device_create(struct mirror_device *device, u32 id, const struct file_operations *operations)
{
	int ret;

	device->id = id;
	device->kind = HMM_MIRROR_DEVICE_NONE;
	snprintf(device->name, sizeof(device->name), "hmm_mirror%u", id);
	device->misc.minor = MISC_DYNAMIC_MINOR;
	device->misc.name = device->name;
	device->misc.fops = operations;
	device->misc.mode = 0600;
	ret = device_create_memory(device);
	if (ret)
		pr_err("no memory for device %u: %d\n", id, ret);
	return ret;
}

static void mirror_device_destroy(struct mirror_device *device)
{
	if (IS_ENABLED(CONFIG_DEVICE_MIGRATION) && device->memory)
		mirror_device_memory_destroy(device->memory);
	device->memory = NULL;
}

/* How many devices the parameters ask for; -EINVAL. */
static int count_devices(void)
{
	const u64 size = (u64)coherent_mb * SZ_1M;
	unsigned int index, count = 0;
	u64 end;

	for (index = 0; index < COHERENT_DEVICES && coherent[index]; index++) {
		if (!mirror_has_device_coherent() || !mirror_is_memremap_aligned(coherent[index] | size) ||
		    check_add_overflow((u64)coherent[index], size, &end)) {
			pr_err("coherent%u=%#lx coherent_mb=%u: unaligned, or not with this kernel\n", index,
			       coherent[index], coherent_mb);
			return -EINVAL;
		}
		count++;
	}
	/* Ids have no gaps. */
	for (; index < COHERENT_DEVICES; index++) {
		if (coherent[index]) {
			pr_err("coherent%u is set, and coherent%u is not\n", index, index - 1);
			return -EINVAL;
		}
	}
	return PRIVATE_DEVICES + count;
}

/*
 * All memory before the first node: a node can be opened as soon as it is registered, and what can still fail then is
 * registering the others.
 */
int mirror_devices_init(const struct file_operations *operations)
{
	int id, count, ret;

	count = count_devices();
	if (count < 0)
		return count;
	mirror_location_add_zero();
	for (id = 0; id < count; id++) {
		ret = mirror_device_create(&mirror_devices[id], id, operations);
		if (ret)
			goto destroy_devices;
	}
	mirror_device_count = count;
	for (id = 0; id < count; id++) {
		ret = misc_register(&mirror_devices[id].misc);
		if (ret)
			goto deregister_nodes;
	}
	return 0;

deregister_nodes:
	while (id--)
		misc_deregister(&mirror_devices[id].misc);
	id = count;
destroy_devices:
	while (id--)
		mirror_device_destroy(&mirror_devices[id]);
	return ret;
}

void mirror_devices_exit(void)
{
	unsigned int id;

	for (id = 0; id < mirror_device_count; id++)
		misc_deregister(&mirror_devices[id].misc);
	for (id = 0; id < mirror_device_count; id++)
		mirror_device_destroy(&mirror_devices[id]);
}
