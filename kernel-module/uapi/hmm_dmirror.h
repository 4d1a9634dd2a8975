/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * /dev/hmm_dmirrorN: the binary interface of the kernel's own HMM test driver (CONFIG_TEST_HMM), as hmm_mirror.ko
 * speaks it. Names and numbers are that driver's, so that programs written for it run unchanged; what is said here
 * about them is what this module does.
 *
 * Opening a node mirrors the whole address space of the opener, for as long as the file is open; a file that another
 * process holds (after fork, say) still works on the opener's memory. Opening needs CAP_SYS_ADMIN.
 *
 * Every command takes one struct hmm_dmirror_cmd, and works on the pages [addr, addr + npages * page size).
 *  - Checked first, before anything is done: addr not a multiple of the page size, npages 0 or more than
 *    HMM_DMIRROR_MAX_PAGES, a range that does not fit the address space: EINVAL. Unknown command: ENOTTY.
 *  - cpages and faults are written back on success and on error: what is counted was done.
 *  - The opener's address space is gone: EFAULT. The caller is being killed: EINTR.
 */
#ifndef _UAPI_HMM_DMIRROR_H
#define _UAPI_HMM_DMIRROR_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Pages in one command: 4 GiB. Not in the kernel's header, whose driver has no limit. */
#define HMM_DMIRROR_MAX_PAGES (1ULL << 20)

struct hmm_dmirror_cmd {
	__u64 addr;   /* in: where, in the opener's memory */
	__u64 ptr;    /* in: buffer, in the caller's memory */
	__u64 npages; /* in */
	__u64 cpages; /* out: pages done, from addr on; each command says of what */
	__u64 faults; /* out: faults of the device, each over all that was left of the range */
};

/*
 * READ, WRITE: the device copies npages pages from addr to ptr, or from ptr to addr, through its page table. cpages:
 * pages copied. EFAULT no readable mapping, or the buffer's; EPERM write to a read-only mapping: the pages before are
 * copied. EBUSY if what was faulted in is invalidated again and again before it is used.
 */
#define HMM_DMIRROR_READ _IOWR('H', 0x00, struct hmm_dmirror_cmd)
#define HMM_DMIRROR_WRITE _IOWR('H', 0x01, struct hmm_dmirror_cmd)

/*
 * MIGRATE_TO_DEV: moves the pages to the memory of the device, and lets the device copy them to ptr. cpages: pages
 * copied. ENOENT at the first page that is not in the device's own memory now (it could not be moved, or has left).
 * MIGRATE_TO_SYS: moves those that are in the device's own memory back. cpages: pages moved, wherever in the range.
 * Both: EINVAL at the first address without a mapping, or with one that may not be read, or that is never migrated;
 * what lies before is done. EFAULT if a mapping goes meanwhile. EOPNOTSUPP the device has no memory.
 */
#define HMM_DMIRROR_MIGRATE_TO_DEV _IOWR('H', 0x02, struct hmm_dmirror_cmd)
#define HMM_DMIRROR_MIGRATE_TO_SYS _IOWR('H', 0x03, struct hmm_dmirror_cmd)

/*
 * SNAPSHOT: one byte per page to ptr, HMM_DMIRROR_PROT_*, of what the CPU's page table has; nothing is faulted in.
 * cpages: bytes written.
 */
#define HMM_DMIRROR_SNAPSHOT _IOWR('H', 0x04, struct hmm_dmirror_cmd)

/*
 * EXCLUSIVE: gives the device exclusive access to the pages, and lets it copy them to ptr. cpages: pages copied. EBUSY
 * at the first page that the device has not (it can never be exclusive, was in use, or was taken away again);
 * otherwise the kernel's own error: EFAULT a page that cannot be faulted for writing; EOPNOTSUPP this kernel has no
 * exclusive access.
 * CHECK_EXCLUSIVE: EPERM if the device still has exclusive access to one of the pages. cpages: pages before that one.
 */
#define HMM_DMIRROR_EXCLUSIVE _IOWR('H', 0x05, struct hmm_dmirror_cmd)
#define HMM_DMIRROR_CHECK_EXCLUSIVE _IOWR('H', 0x06, struct hmm_dmirror_cmd)

/*
 * RELEASE: moves back to system memory all that the device's memory holds, for whatever process; the range says
 * nothing, but is checked. cpages: pages moved; what is in use stays. EOPNOTSUPP the device has no memory.
 */
#define HMM_DMIRROR_RELEASE _IOWR('H', 0x07, struct hmm_dmirror_cmd)

/*
 * The bytes of SNAPSHOT. Either ERROR or NONE alone; or READ or WRITE (which implies READ), together with one of the
 * sizes if it is no single page, and with one of the places if it is no ordinary memory.
 */
enum {
	HMM_DMIRROR_PROT_ERROR = 0xff, /* the device can never have it: no mapping, or none that may be read */
	HMM_DMIRROR_PROT_NONE = 0x00,  /* nothing there now, or another device's private memory */
	HMM_DMIRROR_PROT_READ = 0x01,
	HMM_DMIRROR_PROT_WRITE = 0x02,
	HMM_DMIRROR_PROT_PMD = 0x04, /* sizes: part of a mapping of PMD size (2 MiB on x86-64) */
	HMM_DMIRROR_PROT_PUD = 0x08, /* of PUD size (1 GiB) */
	HMM_DMIRROR_PROT_ZERO = 0x10, /* places: the zero page */
	HMM_DMIRROR_PROT_DEV_PRIVATE_LOCAL = 0x20, /* private memory of this device */
	HMM_DMIRROR_PROT_DEV_PRIVATE_REMOTE = 0x30, /* of another one: never seen, hmm_range_fault() hides it */
	HMM_DMIRROR_PROT_DEV_COHERENT_LOCAL = 0x40, /* coherent memory of this device */
	HMM_DMIRROR_PROT_DEV_COHERENT_REMOTE = 0x50, /* of another one */
};

#endif /* _UAPI_HMM_DMIRROR_H */
