/**
 * Memory of MAP_HUGETLB | MAP_ANONYMOUS (mm/hugetlb.c), in pages of 2 MiB. PMD sharing is not modelled, and mmap() refuses what
 * could come to it: a shared mapping of a whole GiB.
 */
import { HugePmd, PTE_DIRTY, PTE_NO_ACCESS } from './page-table.js';
import { HugetlbFile, Reservation, hugePageIndex } from './hugetlb-pool.js';
import { PAGE_ANON, PAGE_ANON_EXCLUSIVE } from './frames.js';
import { PMD_SIZE, PTES, VM_HUGETLB, VM_MAYSHARE, blockOf } from './layout.js';
import { anonVmaPrepare } from './anon-vma-prepare.js';
import { mapsWritable } from './vma.js';
import { notModelled } from './mm.js';
import type { Machine } from './mm.js';
import type { Routine } from './engine/engine.js';
import type { Vma } from './vma.js';

type HugetlbFault = 'done' | 'sigbus' | 'copy';

/** is_vm_hugetlb_page */
export function isHugetlb(vma: Vma): boolean {
  return (vma.flags & VM_HUGETLB) !== 0;
}

/** Page offset of a block in the file of the VMA, in huge pages. */
function indexOf(vma: Vma, block: number): number {
  return hugePageIndex(vma.pageIndex(block * PMD_SIZE));
}

/** hugetlb_fault, all of it that needs no event; 'copy' asks for {@link hugetlbCopy}. */
export function hugetlbFault(vma: Vma, address: number, write: boolean): HugetlbFault {
  const { pageTable } = vma.mm;
  const block = blockOf(address);
  let huge = pageTable.huge(block);
  if (huge === null) {
    huge = hugetlbNoPage(vma, block);
    if (huge === null) return 'sigbus';
    pageTable.replaceEntry(block, huge);
  }
  if (!write) return 'done';
  if (!huge.write && !hugetlbReuse(vma, huge)) return 'copy';
  huge.bits |= PTE_DIRTY;
  return 'done';
}

/** hugetlb_no_page. There is no zero page: a read of private memory allocates too, and maps read-only what is exclusive already. */
function hugetlbNoPage(vma: Vma, block: number): HugePmd | null {
  const { frames } = vma.mm;
  const bits = vma.readableByCpu ? 0 : PTE_NO_ACCESS;
  if ((vma.flags & VM_MAYSHARE) !== 0) {
    const cached = (vma.file as HugetlbFile).getHugePage(indexOf(vma, block));
    if (cached === 0) return null;
    frames.mapLarge(cached);
    return new HugePmd(cached, mapsWritable(vma), bits | (mapsWritable(vma) ? PTE_DIRTY : 0));
  }
  anonVmaPrepare(vma);
  const index = indexOf(vma, block);
  const reserved = vma.reservation?.holds(index) === true;
  const head = vma.mm.machine.hugetlb.allocate(true, reserved);
  if (head === 0) return null;
  if (reserved) vma.reservation!.use(index);
  adopt(vma, head);
  return new HugePmd(head, false, bits);
}

/** hugetlb_add_new_anon_rmap */
function adopt(vma: Vma, head: number): void {
  const { frames } = vma.mm;
  frames.flags[head]! |= PAGE_ANON | PAGE_ANON_EXCLUSIVE;
  frames.anonVma[head] = vma.anonVma;
  frames.mapLarge(head);
}

/** hugetlb_wp, its first half: the page may be written to by whoever is the only one to map it; other references do not count. */
function hugetlbReuse(vma: Vma, huge: HugePmd): boolean {
  const { frames } = vma.mm;
  if ((vma.flags & VM_MAYSHARE) === 0) {
    if (frames.mappings(huge.frame) !== 1) return false;
    if ((frames.flags[huge.frame]! & PAGE_ANON_EXCLUSIVE) === 0) frames.anonVma[huge.frame] = vma.anonVma;
    frames.flags[huge.frame]! |= PAGE_ANON_EXCLUSIVE;
  }
  huge.write = true;
  return true;
}

/** hugetlb_wp, its second half: the copy is made, the page invalidated, and exchanged if nobody else did meanwhile. */
export function* hugetlbCopy(vma: Vma, address: number): Routine<'done' | 'sigbus'> {
  const { mm } = vma;
  const { frames } = mm;
  const block = blockOf(address);
  const old = mm.pageTable.huge(block)!;
  // The reservation of the place was used up by the page that is there now.
  const head = mm.machine.hugetlb.allocate(true, false);
  if (head === 0) {
    if (vma.reservation !== null) {
      notModelled('fault', 'taking a huge page from a child process because the pool is used up (unmap_ref_private)');
    }
    return 'sigbus';
  }
  anonVmaPrepare(vma);
  frames.get(head);
  for (let page = 0; page < PTES; page++) frames.copy(old.frame + page, head + page);
  const range = yield* mm.invalidateStart('clear', block * PMD_SIZE, (block + 1) * PMD_SIZE);
  if (mm.pageTable.huge(block) === old) {
    adopt(vma, head);
    mm.pageTable.replaceEntry(block, new HugePmd(head, true, PTE_DIRTY));
    frames.unmapLarge(old.frame);
  }
  yield* mm.invalidateEnd(range);
  frames.put(head);
  return 'done';
}

/** __unmap_hugepage_range: in 6.1 with an event of its own, inside the one of the whole operation. */
export function* unmapHugetlbRange(vma: Vma, start: number, end: number): Routine<void> {
  const { mm } = vma;
  const nested = mm.profile.hugetlbUnmapNotifies;
  const range = nested ? yield* mm.invalidateStart('unmap', start, end) : null;
  const last = blockOf(end - 1);
  for (let block = mm.pageTable.nextEntry(blockOf(start), last); block >= 0;) {
    unmapHugePage(vma, block);
    block = mm.pageTable.nextEntry(block + 1, last);
  }
  yield* mm.invalidateEnd(range);
}

function unmapHugePage(vma: Vma, block: number): void {
  const { frames, pageTable, profile } = vma.mm;
  const huge = pageTable.huge(block)!;
  const restores = profile.hugetlbRestoresReserve && vma.reservation !== null && frames.mappings(huge.frame) === 1;
  pageTable.replaceEntry(block, null);
  frames.unmapLarge(huge.frame);
  if (restores) vma.reservation!.restore(indexOf(vma, block));
}

/** madvise_dontneed_single_vma; the caller has checked start, and rounded end down. */
export function* hugetlbDontNeed(vma: Vma, start: number, end: number): Routine<void> {
  const { mm } = vma;
  const range = yield* mm.invalidateStart('clear', start, end);
  yield* unmapHugetlbRange(vma, start, end);
  yield* mm.invalidateEnd(range);
}

/** hugetlb_change_protection: one event for the part, even if there is no table; what is private becomes read-only, if it was not. */
export function* hugetlbChangeProtection(vma: Vma, start: number, end: number): Routine<void> {
  const { mm } = vma;
  const range = yield* mm.invalidateStart('protection-vma', start, end);
  mm.pageTable.eachEntry(start, end, (entry) => {
    if (!(entry instanceof HugePmd)) return;
    entry.write = mapsWritable(vma);
    entry.bits = (entry.bits & ~PTE_NO_ACCESS) | (vma.readableByCpu ? 0 : PTE_NO_ACCESS);
  });
  yield* mm.invalidateEnd(range);
}

/** move_hugetlb_page_tables: CLEAR, where other memory that is moved gets UNMAP. */
export function* moveHugetlbPages(source: Vma, from: number, to: number, length: number): Routine<void> {
  const { mm } = source;
  const range = yield* mm.invalidateStart('clear', from, from + length);
  const shift = blockOf(to) - blockOf(from);
  mm.pageTable.eachEntry(from, from + length, (entry, _from, _to, block) => {
    mm.pageTable.replaceEntry(block, null);
    mm.pageTable.ensurePmdTable(block + shift);
    mm.pageTable.replaceEntry(block + shift, entry);
  });
  yield* mm.invalidateEnd(range);
}

/** hugetlbfs_punch_hole, of the hidden file: CLEAR (6.1: UNMAP) of the part of every mapping, and the pages go. */
export function* hugetlbPunchHole(file: HugetlbFile, offset: number, length: number): Routine<void> {
  const first = Math.ceil(offset / PMD_SIZE);
  const end = Math.floor((offset + length) / PMD_SIZE);
  clearEdges(file, offset, offset + length, first, end);
  if (end <= first) return;
  for (const vma of file.mappingsOf(first * PTES, end * PTES - 1)) {
    const start = vma.start + Math.max(0, first * PTES - vma.pgoff) * (PMD_SIZE / PTES);
    const stop = Math.min(vma.end, vma.start + (end * PTES - vma.pgoff) * (PMD_SIZE / PTES));
    const { mm } = vma;
    const range = mm.profile.hugetlbUnmapNotifies ? null : yield* mm.invalidateStart('clear', start, stop);
    if (file.isMappedBy(vma)) yield* unmapHugetlbRange(vma, start, stop);
    yield* mm.invalidateEnd(range);
  }
  file.removeHugePages(first, end);
}

/** What the hole has of pages that do not lie wholly in it becomes zero. */
function clearEdges(file: HugetlbFile, from: number, to: number, first: number, end: number): void {
  if (from < first * PMD_SIZE) file.clearBytes(from, Math.min(to, first * PMD_SIZE));
  if (to > end * PMD_SIZE && to > first * PMD_SIZE) file.clearBytes(end * PMD_SIZE, to);
}

/** hugetlb_vm_op_close: what a private mapping reserved and did not use is given back. */
export function closeHugetlb(vma: Vma): void {
  const first = indexOf(vma, blockOf(vma.start));
  vma.reservation?.drop(first, first + (vma.end - vma.start) / PMD_SIZE);
}

/**
 * hugetlb_file_setup and hugetlb_reserve_pages: the file of a new mapping, and, if it is private, the mapping's own reservation.
 * @returns null if the pool has not so many pages (ENOMEM)
 */
export function reserveHugetlb(
  machine: Machine,
  length: number,
  shared: boolean,
  reserves: boolean,
): { readonly file: HugetlbFile; readonly reservation: Reservation | null } | null {
  const pages = length / PMD_SIZE;
  if (reserves && !machine.hugetlb.reserve(pages)) return null;
  const reservation = reserves ? new Reservation(machine.hugetlb, pages) : null;
  const file = new HugetlbFile(machine.frames, machine.hugetlb, length, shared ? reservation : null);
  return { file, reservation: shared ? null : reservation };
}
