// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/hmm_dmirrorN: the commands of the kernel's HMM test driver, on this module's mirror. One node per device; one
 * open file is one context, bound to the opener, with one mirror over the whole address space.
 */
#include <linux/build_bug.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "dmirror.h"

/* No padding: nothing of the kernel's leaks, and 32-bit callers see the same layout. */
static_assert(sizeof(struct hmm_dmirror_cmd) == 40);
static_assert(HMM_DMIRROR_MAX_PAGES <= HMM_MIRROR_MAX_PAGES);

/* What that driver mirrors: everything but the last page, of which the end would not be a number. */
#define DMIRROR_LENGTH (ULONG_MAX & PAGE_MASK)

struct dmirror_node {
	struct miscdevice misc;
	char name[16];
	struct mirror_device *device; /* NULL: no node */
};

/* One open file. */
struct dmirror {
	struct mirror_context *context;
	struct mirror_notifier *notifier; /* the context's, which keeps it until release */
};

static struct dmirror_node dmirror_nodes[HMM_MIRROR_MAX_DEVICES];

/* devtmpfs gives a name to who asks first, and tells nobody else: beside CONFIG_TEST_HMM's nodes ours would be lost. */
static bool dmirror_enabled = true;
module_param_named(dmirror, dmirror_enabled, bool, 0444);
MODULE_PARM_DESC(dmirror, "Make /dev/hmm_dmirrorN, as the kernel's test_hmm does (default Y; N to load beside it)");

static int dmirror_mirror_all(struct dmirror *dmirror)
{
	struct mirror_notifier *notifier;
	u32 id;
	int ret;

	ret = mirror_context_bind(dmirror->context);
	if (ret)
		return ret;
	notifier = mirror_notifier_alloc(dmirror->context, 0, DMIRROR_LENGTH - 1);
	if (!notifier)
		return -ENOMEM;
	/* No events, no update lock: nothing here waits for user space. */
	notifier->flags = HMM_MIRROR_NOTIFIER_PAGE_TABLE;
	notifier->device = dmirror->context->device;
	ret = mirror_notifier_insert(dmirror->context, notifier, &id);
	if (ret) {
		mirror_notifier_put(notifier);
		return ret;
	}
	dmirror->notifier = notifier;
	return 0;
}

/*
 * mirror_context_create() asks for CAP_SYS_ADMIN. No page frame number can be had here, and it is the opener's own
 * memory; but device memory and its eviction are shared by all, and migration at will is not for everyone.
 */
static int dmirror_open(struct inode *inode, struct file *file)
{
	/* misc_open() leaves the device there. */
	struct dmirror_node *node = container_of(file->private_data, struct dmirror_node, misc);
	struct dmirror *dmirror;
	int ret;

	dmirror = kzalloc(sizeof(*dmirror), GFP_KERNEL_ACCOUNT);
	if (!dmirror)
		return -ENOMEM;
	dmirror->context = mirror_context_create(node->device);
	if (IS_ERR(dmirror->context)) {
		ret = PTR_ERR(dmirror->context);
		goto free_dmirror;
	}
	ret = dmirror_mirror_all(dmirror);
	if (ret)
		goto destroy_context;
	file->private_data = dmirror;
	return nonseekable_open(inode, file);

destroy_context:
	mirror_context_destroy(dmirror->context);
free_dmirror:
	kfree(dmirror);
	return ret;
}

static int dmirror_release(struct inode *inode, struct file *file)
{
	struct dmirror *dmirror = file->private_data;

	mirror_context_destroy(dmirror->context);
	kfree(dmirror);
	return 0;
}

/*
 * A mapping full of zeroed pages that are no anonymous memory and of no file either (VM_MIXEDMAP): what a program looks
 * at with SNAPSHOT and cannot migrate. All are there at once, since a snapshot faults nothing in.
 */
static int dmirror_mmap(struct file *file, struct vm_area_struct *vma)
{
	unsigned long address;
	struct page *page;
	int ret;

	if (vma_pages(vma) > HMM_DMIRROR_MAX_PAGES)
		return -EINVAL;
	for (address = vma->vm_start; address < vma->vm_end; address += PAGE_SIZE) {
		if (fatal_signal_pending(current))
			return -EINTR;
		page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
		if (!page)
			return -ENOMEM;
		ret = vm_insert_page(vma, address, page);
		/* The mapping has its own reference; one that fails is unmapped by the core. */
		put_page(page);
		if (ret)
			return ret;
		cond_resched();
	}
	return 0;
}

static int dmirror_check(const struct mirror_notifier *notifier, const struct hmm_dmirror_cmd *cmd)
{
	u64 last;

	if (!PAGE_ALIGNED(cmd->addr) || !cmd->npages || cmd->npages > HMM_DMIRROR_MAX_PAGES)
		return -EINVAL;
	/* Only now: the shift of a larger number would lose bits. */
	if (check_add_overflow(cmd->addr, (cmd->npages << PAGE_SHIFT) - 1, &last) || last > notifier->last)
		return -EINVAL;
	return 0;
}

static const struct {
	unsigned int command;
	int (*handler)(struct mirror_notifier *notifier, struct hmm_dmirror_cmd *cmd);
} dmirror_commands[] = {
	[_IOC_NR(HMM_DMIRROR_READ)] = { HMM_DMIRROR_READ, dmirror_read },
	[_IOC_NR(HMM_DMIRROR_WRITE)] = { HMM_DMIRROR_WRITE, dmirror_write },
	[_IOC_NR(HMM_DMIRROR_MIGRATE_TO_DEV)] = { HMM_DMIRROR_MIGRATE_TO_DEV, dmirror_migrate_to_device },
	[_IOC_NR(HMM_DMIRROR_MIGRATE_TO_SYS)] = { HMM_DMIRROR_MIGRATE_TO_SYS, dmirror_migrate_to_system },
	[_IOC_NR(HMM_DMIRROR_SNAPSHOT)] = { HMM_DMIRROR_SNAPSHOT, dmirror_snapshot },
	[_IOC_NR(HMM_DMIRROR_EXCLUSIVE)] = { HMM_DMIRROR_EXCLUSIVE, dmirror_exclusive },
	[_IOC_NR(HMM_DMIRROR_CHECK_EXCLUSIVE)] = { HMM_DMIRROR_CHECK_EXCLUSIVE, dmirror_check_exclusive },
	[_IOC_NR(HMM_DMIRROR_RELEASE)] = { HMM_DMIRROR_RELEASE, dmirror_evict },
};

static long dmirror_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	struct dmirror *dmirror = file->private_data;
	void __user *user = (void __user *)argument;
	unsigned int number = _IOC_NR(command);
	struct hmm_dmirror_cmd cmd;
	int ret;

	if (number >= ARRAY_SIZE(dmirror_commands))
		return -ENOTTY;
	number = array_index_nospec(number, ARRAY_SIZE(dmirror_commands));
	if (dmirror_commands[number].command != command)
		return -ENOTTY;
	if (copy_from_user(&cmd, user, sizeof(cmd)))
		return -EFAULT;
	cmd.cpages = 0;
	cmd.faults = 0;
	ret = dmirror_check(dmirror->notifier, &cmd);
	if (!ret)
		ret = dmirror_commands[number].handler(dmirror->notifier, &cmd);
	/* Also after an error: the progress. */
	if (copy_to_user(user, &cmd, sizeof(cmd)) && !ret)
		ret = -EFAULT;
	return ret;
}

static const struct file_operations dmirror_file_operations = {
	.owner = THIS_MODULE,
	.open = dmirror_open,
	.release = dmirror_release,
	.mmap = dmirror_mmap,
	.unlocked_ioctl = dmirror_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

void dmirror_exit(void)
{
	unsigned int id;

	for (id = 0; id < ARRAY_SIZE(dmirror_nodes); id++)
		if (dmirror_nodes[id].device)
			misc_deregister(&dmirror_nodes[id].misc);
}

/* After mirror_devices_init(): a node can be opened, and its device's memory used, as soon as it is registered. */
int __init dmirror_init(void)
{
	struct mirror_device *device;
	struct dmirror_node *node;
	unsigned int id;
	int ret;

	if (!dmirror_enabled)
		return 0;
	for (id = 0; id < ARRAY_SIZE(dmirror_nodes); id++) {
		device = mirror_device_find(id);
		if (!device)
			continue;
		node = &dmirror_nodes[id];
		snprintf(node->name, sizeof(node->name), "hmm_dmirror%u", id);
		node->misc.minor = MISC_DYNAMIC_MINOR;
		node->misc.name = node->name;
		node->misc.fops = &dmirror_file_operations;
		node->misc.mode = 0600;
		node->device = device;
		ret = misc_register(&node->misc);
		if (ret) {
			node->device = NULL;
			dmirror_exit();
			return ret;
		}
	}
	return 0;
}
