// SPDX-License-Identifier: GPL-2.0-only
/* An open file: its life, and the address space that it is bound to. */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "mirror.h"

/* An unbound context, or an ERR_PTR(). */
struct mirror_context *mirror_context_create(struct mirror_device *device)
{
	struct mirror_context *context;

	/* Page frame numbers are not for everyone, and neither is holding up another process's munmap. */
	if (!capable(CAP_SYS_ADMIN))
		return ERR_PTR(-EPERM);

	context = kzalloc(sizeof(*context), GFP_KERNEL_ACCOUNT);
	if (!context)
		return ERR_PTR(-ENOMEM);
	context->device = device;
	mutex_init(&context->lock);
	xa_init(&context->notifiers);
	INIT_LIST_HEAD(&context->orphans);
	mirror_events_init(&context->events);
	mirror_residents_init(context);
	return context;
}

/*
 * The last reference to the file is gone, so no ioctl, read or poll of it runs. Invalidations do: whoever of them waits
 * for user space is let go first, or the removal of the notifiers would wait for them in turn.
 */
void mirror_context_destroy(struct mirror_context *context)
{
	mirror_events_close(&context->events);
	mirror_notifiers_release(context);
	/* After the notifiers, so that this waits for no callback of ours. */
	mirror_residents_release(context);
	mirror_events_free(&context->events);
	xa_destroy(&context->notifiers);
	if (context->mm) {
		mirror_waits_forget(context->mm);
		mmdrop(context->mm);
	}
	kfree(context);
}

int mirror_open(struct inode *inode, struct file *file)
{
	/* misc_open() leaves the device there. */
	struct mirror_device *device = container_of(file->private_data, struct mirror_device, misc);
	struct mirror_context *context;

	context = mirror_context_create(device);
	if (IS_ERR(context))
		return PTR_ERR(context);
	file->private_data = context;
	return nonseekable_open(inode, file);
}

int mirror_release(struct inode *inode, struct file *file)
{
	mirror_context_destroy(file->private_data);
	return 0;
}

int mirror_context_bind(struct mirror_context *context)
{
	struct mm_struct *mm = current->mm;
	int ret = 0;

	if (mutex_lock_killable(&context->lock))
		return -EINTR;
	if (context->mm) {
		ret = -EBUSY;
	} else {
		/* mm_count, not mm_users: the address space must be able to die while it is mirrored. */
		mmgrab(mm);
		/* Pairs with the acquire in mirror_context_mm(), which takes no lock. */
		smp_store_release(&context->mm, mm);
	}
	mutex_unlock(&context->lock);
	return ret;
}

/*
 * The mm that the context is bound to, alive and its mmap_lock held for reading, until mirror_mm_unlock(). -EFAULT: the
 * process has gone. -EINTR: this thread is being killed.
 */
int mirror_context_lock_mm(struct mirror_context *context, struct mm_struct **mm)
{
	int ret;

	ret = mirror_context_mm(context, mm);
	if (ret)
		return ret;
	if (!mmget_not_zero(*mm))
		return -EFAULT;
	ret = mmap_read_lock_killable(*mm);
	if (ret)
		mmput_async(*mm);
	return ret;
}

void mirror_mm_unlock(struct mm_struct *mm)
{
	mmap_read_unlock(mm);
	/* Not mmput(), which might run our own callbacks here: see mirror_notifier_register(). */
	mmput_async(mm);
}
