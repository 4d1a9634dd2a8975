/** Constants under the kernel's names, with the numbers of Linux on x86-64 (include/uapi/asm-generic/mman*.h). */

export const PAGE_SIZE = 4096;

export const PROT_NONE = 0x0;
export const PROT_READ = 0x1;
export const PROT_WRITE = 0x2;
export const PROT_EXEC = 0x4;

export const MAP_SHARED = 0x01;
export const MAP_PRIVATE = 0x02;
export const MAP_SHARED_VALIDATE = 0x03;
export const MAP_FIXED = 0x10;
export const MAP_ANONYMOUS = 0x20;
export const MAP_LOCKED = 0x2000;
export const MAP_HUGETLB = 0x40000;
export const MAP_NORESERVE = 0x4000;
export const MAP_POPULATE = 0x8000;
export const MAP_FIXED_NOREPLACE = 0x100000;

export const MADV_NORMAL = 0;
export const MADV_RANDOM = 1;
export const MADV_SEQUENTIAL = 2;
export const MADV_WILLNEED = 3;
export const MADV_DONTNEED = 4;
export const MADV_FREE = 8;
export const MADV_REMOVE = 9;
export const MADV_DONTFORK = 10;
export const MADV_DOFORK = 11;
export const MADV_MERGEABLE = 12;
export const MADV_UNMERGEABLE = 13;
export const MADV_HUGEPAGE = 14;
export const MADV_NOHUGEPAGE = 15;
export const MADV_DONTDUMP = 16;
export const MADV_DODUMP = 17;
export const MADV_WIPEONFORK = 18;
export const MADV_KEEPONFORK = 19;
export const MADV_COLD = 20;
export const MADV_PAGEOUT = 21;
export const MADV_POPULATE_READ = 22;
export const MADV_POPULATE_WRITE = 23;
export const MADV_DONTNEED_LOCKED = 24;
export const MADV_COLLAPSE = 25;

export const MREMAP_MAYMOVE = 1;
export const MREMAP_FIXED = 2;
export const MREMAP_DONTUNMAP = 4;

/*
 * Page frame entries, in the encoding of include/linux/hmm.h of Linux 6.1 and 6.12; the kernel module hands
 * them out so on every kernel. 63 valid, 62 write, 61 error, 60..56 map order, 55..0 page frame number.
 */
export const HMM_PFN_VALID = 1n << 63n;
export const HMM_PFN_WRITE = 1n << 62n;
export const HMM_PFN_ERROR = 1n << 61n;
export const HMM_PFN_REQ_FAULT = HMM_PFN_VALID;
export const HMM_PFN_REQ_WRITE = HMM_PFN_WRITE;
export const HMM_PFN_ORDER_SHIFT = 56n;
const ORDER_MASK = 0x1fn;
const FRAME_MASK = (1n << HMM_PFN_ORDER_SHIFT) - 1n;

/** hmm_pfn_to_map_order(): the mapping that holds this page is 2^order pages, naturally aligned. */
export function hmmPfnToOrder(pfn: bigint): number {
  return Number((pfn >> HMM_PFN_ORDER_SHIFT) & ORDER_MASK);
}

/** The page frame number of an entry; meaningful only with HMM_PFN_VALID. */
export function hmmPfnToFrame(pfn: bigint): bigint {
  return pfn & FRAME_MASK;
}

/** Pages in one hmm_range_fault, populate or snapshot call: 4 GiB of addresses, 8 MiB of entries. */
export const MAX_RANGE_PAGES = 1 << 20;
