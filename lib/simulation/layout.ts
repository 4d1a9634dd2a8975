/**
 * The shape of an x86-64 address space with 4-level page tables (arch/x86/include/asm/pgtable_64_types.h,
 * processor.h) and the VM_* flags that the simulation knows (include/linux/mm.h; only the names are the kernel's).
 *
 * Addresses are JavaScript numbers below 2^47. A *block* is the number of the 2 MiB that one PTE table maps:
 * it fits 26 bits, so that everything below the top of a walk is 32-bit integer arithmetic.
 */

export const PAGE_SHIFT = 12;
export const PAGE = 4096;
export const PTES = 512;
export const PMD_SIZE = 0x20_0000;
export const PUD_SIZE = 0x4000_0000;
export const PGD_SIZE = 0x80_0000_0000;

/** End of user space: 2^47 minus the guard page. */
export const TASK_SIZE = 0x7fff_ffff_f000;
/** vm.mmap_min_addr, as Debian and Fedora set it. */
export const MMAP_MIN_ADDR = 65536;
/** mm->mmap_base: where the search from the top begins. A real one is random below the stack; this one is fixed. */
export const MMAP_BASE = 0x7fff_f7ff_f000;
/** mm->mmap_legacy_base: where the search from the bottom begins when nothing fits below MMAP_BASE. */
export const MMAP_LEGACY_BASE = pageAlign(TASK_SIZE / 3);
/** vm.max_map_count. */
export const MAX_MAP_COUNT = 65530;

/** An invalidation over the whole address space ends at ULONG_MAX; the nearest number is 2^64. */
export const ADDRESS_SPACE_END = 2 ** 64;

export function pageAlign(length: number): number {
  return Math.ceil(length / PAGE) * PAGE;
}

export function alignDown(address: number, size: number): number {
  return Math.floor(address / size) * size;
}

export function alignUp(address: number, size: number): number {
  return Math.ceil(address / size) * size;
}

export function blockOf(address: number): number {
  return Math.floor(address / PMD_SIZE);
}

/** Index, in the PTE table of its block, of the page of any address inside it. By bits: the remainder of a number beyond 2^31 is a slow function. */
export function pteIndex(address: number): number {
  return (address / PAGE) & (PTES - 1);
}

export const VM_READ = 1 << 0;
export const VM_WRITE = 1 << 1;
export const VM_EXEC = 1 << 2;
export const VM_SHARED = 1 << 3;
export const VM_MAYREAD = 1 << 4;
export const VM_MAYWRITE = 1 << 5;
export const VM_MAYEXEC = 1 << 6;
export const VM_MAYSHARE = 1 << 7;
export const VM_LOCKED = 1 << 8;
export const VM_SEQ_READ = 1 << 9;
export const VM_RAND_READ = 1 << 10;
export const VM_DONTCOPY = 1 << 11;
/** Counted against the commit limit. Nothing is ever refused for it here, but it takes part in merging. */
export const VM_ACCOUNT = 1 << 12;
export const VM_NORESERVE = 1 << 13;
export const VM_WIPEONFORK = 1 << 14;
export const VM_DONTDUMP = 1 << 15;
export const VM_NOHUGEPAGE = 1 << 16;
export const VM_HUGEPAGE = 1 << 18;
/** Memory in huge pages of the hugetlb pool. */
export const VM_HUGETLB = 1 << 19;
/** The protection key that execute_only_pkey() hands out: data accesses by the process fault. */
export const VM_PKEY_EXEC_ONLY = 1 << 17;

export const VM_ACCESS_FLAGS = VM_READ | VM_WRITE | VM_EXEC;

/** is_cow_mapping(): private, and may become writable. */
export function isCowMapping(flags: number): boolean {
  return (flags & (VM_SHARED | VM_MAYWRITE)) === VM_MAYWRITE;
}
