/* SPDX-License-Identifier: GPL-2.0-only */
/* The ioctls, between their dispatcher and their handlers. */
#ifndef HMM_MIRROR_IOCTL_H
#define HMM_MIRROR_IOCTL_H

#include "mirror.h"

/* In and out of every ioctl: copied in, or all zeros where nothing comes in. */
union mirror_arguments {
	struct hmm_mirror_info info;
	struct hmm_mirror_bind bind;
	struct hmm_mirror_notifier_insert insert;
	struct hmm_mirror_notifier_id notifier;
	struct hmm_mirror_sequence sequence;
	struct hmm_mirror_range_fault range_fault;
	struct hmm_mirror_populate populate;
	struct hmm_mirror_access access;
	struct hmm_mirror_query query;
	struct hmm_mirror_device_access device_access;
	struct hmm_mirror_ack ack;
	struct hmm_mirror_pages pages;
	struct hmm_mirror_atomic atomic;
	struct hmm_mirror_evict evict;
};

static inline int mirror_check_bound(struct mirror_context *context)
{
	struct mm_struct *mm;

	return mirror_context_mm(context, &mm);
}

/* The notifier of an ioctl, with a reference. */
static inline int mirror_get_notifier(struct mirror_context *context, u32 id, struct mirror_notifier **notifier)
{
	int ret;

	ret = mirror_check_bound(context);
	if (ret)
		return ret;
	*notifier = mirror_notifier_get(context, id);
	return *notifier ? 0 : -ENOENT;
}

/* ioctl_mirror.c */
int mirror_get_mirror_of(struct mirror_context *context, u32 id, u64 start, u64 last, struct mirror_notifier **notifier);
int mirror_get_mirror_of_pages(struct mirror_context *context, u32 id, u64 start, u64 end,
			       struct mirror_notifier **notifier);
int mirror_ioctl_range_fault(struct mirror_context *context, union mirror_arguments *arguments);
int mirror_ioctl_populate(struct mirror_context *context, union mirror_arguments *arguments);
int mirror_ioctl_read(struct mirror_context *context, union mirror_arguments *arguments);
int mirror_ioctl_write(struct mirror_context *context, union mirror_arguments *arguments);
int mirror_ioctl_query(struct mirror_context *context, union mirror_arguments *arguments);
int mirror_ioctl_lock(struct mirror_context *context, union mirror_arguments *arguments);
int mirror_ioctl_unlock(struct mirror_context *context, union mirror_arguments *arguments);
int mirror_ioctl_device_read(struct mirror_context *context, union mirror_arguments *arguments);
int mirror_ioctl_device_write(struct mirror_context *context, union mirror_arguments *arguments);

/* ioctl_pages.c */
int mirror_ioctl_migrate_to_device(struct mirror_context *context, union mirror_arguments *arguments);
int mirror_ioctl_migrate_to_system(struct mirror_context *context, union mirror_arguments *arguments);
int mirror_ioctl_make_exclusive(struct mirror_context *context, union mirror_arguments *arguments);
int mirror_ioctl_atomic_add(struct mirror_context *context, union mirror_arguments *arguments);
int mirror_ioctl_evict(struct mirror_context *context, union mirror_arguments *arguments);

#endif /* HMM_MIRROR_IOCTL_H */
