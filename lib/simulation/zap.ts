/** Taking pages out of page tables, and page tables away (mm/memory.c). */
import { PAGE_ANON } from './frames.js';
import { PGD_SIZE, PMD_SIZE, PTES, PUD_SIZE, alignDown, blockOf } from './layout.js';
import { HugePmd, PTE_SPECIAL, highWord, lowWord } from './page-table.js';
import { partlyCovers, splitHugePmd, zapHugePmd } from './huge-pmd.js';
import { unlinkAnonVmas } from './anon-vma.js';
import { zapSwapEntry } from './swap-entries.js';
import type { Mm } from './mm.js';
import type { Routine } from './engine/engine.js';
import type { PmdTable, PteTable } from './page-table.js';
import type { Vma } from './vma.js';

/**
 * zap_page_range_single, but for its event: a huge page that [start, end) covers in part is split first (CLEAR of its block).
 * The caller has opened an event for [start, end).
 */
export function* zapPageRange(mm: Mm, start: number, end: number): Routine<void> {
  while (partlyCovers(mm, start, start, end)) yield* splitHugePmd(mm, blockOf(start));
  // What lies before the last block goes before that is split, as a callback might see.
  const last = Math.max(start, alignDown(end - 1, PMD_SIZE));
  unmapPageRange(mm, start, last);
  while (partlyCovers(mm, last, start, end)) yield* splitHugePmd(mm, blockOf(last));
  unmapPageRange(mm, last, end);
}

/**
 * unmap_page_range: all PTEs of [start, end) become none, and all huge pages, of which it covers none in part.
 * @param evenCows false keeps anonymous pages, as a hole punched into a file does with private copies
 */
export function unmapPageRange(mm: Mm, start: number, end: number, evenCows = true): void {
  const { frames } = mm;
  mm.pageTable.eachEntry(start, end, (table, from, to, block) => {
    if (table instanceof HugePmd) {
      if (to - from !== PTES) throw new Error('a huge page has to be split before a part of it is unmapped');
      zapHugePmd(mm, block);
      return;
    }
    for (let index = from; table.present + table.swapped > 0 && index < to; index++) {
      if (table.words[highWord(index)] === 0) {
        if (table.bits[index] !== 0) zapSwapEntry(mm, table, index, evenCows);
        continue;
      }
      const frame = table.words[lowWord(index)]!;
      const special = (table.bits[index]! & PTE_SPECIAL) !== 0;
      if (!evenCows && !special && (frames.flags[frame]! & PAGE_ANON) !== 0) continue;
      table.clear(index);
      if (!special) frames.unmap(frame);
    }
  });
}

/**
 * free_pgtables: after the VMAs have gone, frees the tables that no other VMA uses.
 * @param floor end of the VMA below, or 0
 * @param ceiling start of the VMA above, or Infinity
 */
export function freePageTables(mm: Mm, vmas: readonly Vma[], floor: number, ceiling: number): void {
  for (let index = 0; index < vmas.length; index++) {
    const { start } = vmas[index]!;
    unlinkVma(vmas[index]!);
    // VMAs that are close to each other go in one call: the tables in between have no other user.
    while (index + 1 < vmas.length && vmas[index + 1]!.start <= vmas[index]!.end + PMD_SIZE) {
      index++;
      unlinkVma(vmas[index]!);
    }
    freePgdRange(mm, start, vmas[index]!.end, floor, vmas[index + 1]?.start ?? ceiling);
  }
}

/** unlink_anon_vmas and unlink_file_vma: the reverse map forgets the VMA before its tables go. */
function unlinkVma(vma: Vma): void {
  unlinkAnonVmas(vma);
  vma.file?.unlink(vma);
}

/** free_pgd_range. A table at some level goes if the range to free reaches it and neither neighbour's tables do. */
function freePgdRange(mm: Mm, from: number, to: number, floor: number, ceiling: number): void {
  let start = alignDown(from, PMD_SIZE);
  if (start < floor) start += PMD_SIZE;
  const top = ceiling === Infinity ? Infinity : alignDown(ceiling, PMD_SIZE);
  if (top === 0) return;
  const end = to > top ? to - PMD_SIZE : to;
  if (start >= end) return;
  mm.pageTable.forget();
  for (let at = start; at < end; at = nextBoundary(at, end, PGD_SIZE))
    freeSlice(mm, at, nextBoundary(at, end, PGD_SIZE), floor, top);
}

/** free_pud_range */
function freeSlice(mm: Mm, from: number, to: number, floor: number, ceiling: number): void {
  const number = Math.floor(from / PGD_SIZE);
  const slice = mm.pageTable.slices[number] ?? null;
  if (slice === null) return;
  for (let at = from; at < to; at = nextBoundary(at, to, PUD_SIZE)) {
    const index = Math.floor(at / PUD_SIZE) % PTES;
    const pmd = slice.entries[index]!;
    if (pmd === null) continue;
    const end = nextBoundary(at, to, PUD_SIZE);
    for (let block = Math.floor(at / PMD_SIZE); block * PMD_SIZE < end; block++) {
      if (pmd.entries[block % PTES] === null) continue;
      pmd.entries[block % PTES] = null;
      pmd.populated--;
    }
    if (freeable(alignDown(at, PUD_SIZE), end, floor, ceiling, PUD_SIZE)) slice.entries[index] = null;
  }
  if (freeable(alignDown(from, PGD_SIZE), to, floor, ceiling, PGD_SIZE)) mm.pageTable.dropSlice(number);
}

function freeable(start: number, end: number, floor: number, ceiling: number, size: number): boolean {
  if (start < floor) return false;
  if (ceiling === Infinity) return true;
  const top = alignDown(ceiling, size);
  return top !== 0 && end <= top;
}

function nextBoundary(address: number, end: number, size: number): number {
  return Math.min(end, alignDown(address, size) + size);
}

/** exit_mmap's part of it: everything goes, tables and all. */
export function unmapEverything(mm: Mm): void {
  const { frames } = mm;
  const { slices } = mm.pageTable;
  for (let number = 0; number < slices.length; number++) {
    const slice = slices[number]!;
    if (slice === null) continue;
    for (let index = 0; index < PTES; index++) if (slice.entries[index] !== null) unmapPmdTable(slice.entries[index]!);
    slices[number] = null;
  }
  mm.pageTable.forget();

  function unmapPmdTable({ entries, populated }: PmdTable): void {
    for (let index = 0, left = populated; left > 0; index++) {
      const entry = entries[index]!;
      if (entry === null) continue;
      left--;
      if (!(entry instanceof HugePmd)) unmapTable(entry);
      else if (!entry.isZero) frames.unmapLarge(entry.frame);
    }
  }

  function unmapTable(table: PteTable): void {
    for (let index = 0; table.present + table.swapped > 0; index++) {
      if (!table.isPresent(index)) {
        if (!table.isNone(index)) zapSwapEntry(mm, table, index, true);
        continue;
      }
      const special = (table.bits[index]! & PTE_SPECIAL) !== 0;
      const frame = table.frame(index);
      table.clear(index);
      if (!special) frames.unmap(frame);
    }
  }
}
