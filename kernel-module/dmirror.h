/* SPDX-License-Identifier: GPL-2.0-only */
/* The commands of uapi/hmm_dmirror.h, between their dispatcher and their handlers. */
#ifndef HMM_MIRROR_DMIRROR_H
#define HMM_MIRROR_DMIRROR_H

#include "mirror.h"
#include "uapi/hmm_dmirror.h"

/*
 * Each handler gets the mirror of the opener's whole address space and a checked command, counts in cpages and faults,
 * which are 0, and returns 0 or a negative errno. It runs in the caller's context, with no lock held.
 */

static inline unsigned long dmirror_end(const struct hmm_dmirror_cmd *cmd)
{
	return cmd->addr + (cmd->npages << PAGE_SHIFT);
}

/* dmirror_access.c */
int dmirror_read(struct mirror_notifier *notifier, struct hmm_dmirror_cmd *cmd);
int dmirror_write(struct mirror_notifier *notifier, struct hmm_dmirror_cmd *cmd);
int dmirror_read_back(struct mirror_notifier *notifier, struct hmm_dmirror_cmd *cmd, unsigned long end);

/* dmirror_memory.c */
int dmirror_migrate_to_device(struct mirror_notifier *notifier, struct hmm_dmirror_cmd *cmd);
int dmirror_migrate_to_system(struct mirror_notifier *notifier, struct hmm_dmirror_cmd *cmd);
int dmirror_exclusive(struct mirror_notifier *notifier, struct hmm_dmirror_cmd *cmd);
int dmirror_check_exclusive(struct mirror_notifier *notifier, struct hmm_dmirror_cmd *cmd);
int dmirror_evict(struct mirror_notifier *notifier, struct hmm_dmirror_cmd *cmd);

/* dmirror_snapshot.c */
int dmirror_snapshot(struct mirror_notifier *notifier, struct hmm_dmirror_cmd *cmd);

#endif /* HMM_MIRROR_DMIRROR_H */
