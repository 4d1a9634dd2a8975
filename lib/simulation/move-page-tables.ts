/** move_page_tables (mm/mremap.c): entries go to the new address, whole tables where both sides are aligned to them. */
import { PAGE, PMD_SIZE, PTES, PUD_SIZE, alignDown, blockOf } from './layout.js';
import { HugePmd } from './page-table.js';
import { isHugetlb, moveHugetlbPages } from './hugetlb.js';
import { splitHugePmd } from './huge-pmd.js';
import { moveSwapEntry } from './swap-entries.js';
import type { Mm } from './mm.js';
import type { Routine } from './engine/engine.js';
import type { Vma } from './vma.js';

export function* movePageTables(source: Vma, from: number, target: Vma, to: number, length: number): Routine<void> {
  if (length === 0) return;
  if (isHugetlb(source)) {
    yield* moveHugetlbPages(source, from, to, length);
    return;
  }
  const { mm } = source;
  const oldEnd = from + length;
  let old = from;
  let next = to;
  if (mm.profile.mremapRealigns && length >= PMD_SIZE - (old % PMD_SIZE) && canRealign(source, old, target, next)) {
    old = alignDown(old, PMD_SIZE);
    next = alignDown(next, PMD_SIZE);
  }
  const range = yield* mm.invalidateStart('unmap', old, oldEnd);
  for (let extent = 0; old < oldEnd; old += extent, next += extent) {
    while (cannotMoveWhole(mm, old, oldEnd, next)) yield* splitHugePmd(mm, blockOf(old));
    extent = moveOne(mm, old, oldEnd, next);
  }
  yield* mm.invalidateEnd(range);
}

/** try_realign_addr: both begin a VMA at the same offset in 2 MiB, and below both that block is free. */
function canRealign(source: Vma, from: number, target: Vma, to: number): boolean {
  if (from % PMD_SIZE === 0 || from % PMD_SIZE !== to % PMD_SIZE) return false;
  return canAlignDown(source, from) && canAlignDown(target, to);
}

function canAlignDown(vma: Vma, address: number): boolean {
  return vma.start === address && vma.mm.vmas.intersection(alignDown(address, PMD_SIZE), address) === null;
}

/** get_extent: to the next boundary of `size` on either side. */
function extentOf(old: number, oldEnd: number, next: number, size: number): number {
  return Math.min(size - (old % size), oldEnd - old, size - (next % size));
}

/** Whether a huge page is there and move_huge_pmd would refuse it: not all of it, to another offset in 2 MiB, or not to an empty block. */
function cannotMoveWhole(mm: Mm, old: number, oldEnd: number, next: number): boolean {
  if (mm.pageTable.huge(blockOf(old)) === null) return false;
  return extentOf(old, oldEnd, next, PMD_SIZE) !== PMD_SIZE || mm.pageTable.entry(blockOf(next)) !== null;
}

/** One step of the loop; returns the bytes that it covered. Tables of the target appear where the source has any. */
function moveOne(mm: Mm, old: number, oldEnd: number, next: number): number {
  const { pageTable } = mm;
  const from = blockOf(old);
  const to = blockOf(next);
  let extent = extentOf(old, oldEnd, next, PUD_SIZE);
  const pmd = pageTable.pmdTable(from);
  if (pmd === null) return extent;
  pageTable.ensurePudTable(to);
  if (extent === PUD_SIZE && pageTable.pmdTable(to) === null) {
    pageTable.replacePmdTable(from, null);
    pageTable.replacePmdTable(to, pmd);
    return extent;
  }
  extent = extentOf(old, oldEnd, next, PMD_SIZE);
  // get_old_pmd comes before alloc_new_pmd: for an empty entry the target gets no table of its own.
  const table = pmd.entries[from % PTES]!;
  if (table === null) return extent;
  pageTable.ensurePmdTable(to);
  if (table instanceof HugePmd || (extent === PMD_SIZE && pageTable.entry(to) === null)) {
    pageTable.replaceEntry(from, null);
    pageTable.replaceEntry(to, table);
    return extent;
  }
  const target = pageTable.ensureTable(to);
  const first = (old / PAGE) % PTES;
  const shift = ((next / PAGE) % PTES) - first;
  for (let index = first; index < first + extent / PAGE; index++) {
    if (!table.isPresent(index)) {
      if (!table.isNone(index)) moveSwapEntry(table, index, target, index + shift);
      continue;
    }
    target.set(index + shift, table.frame(index), table.isWritable(index), table.bits[index]!);
    table.clear(index);
  }
  return extent;
}
