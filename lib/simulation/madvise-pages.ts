/** What madvise(2) does to pages (mm/madvise.c, mm/vmscan.c), each over the part of one VMA. */
import { PAGE, PMD_SIZE } from './layout.js';
import { PAGE_ANON, PAGE_DIRTY, PAGE_LAZYFREE } from './frames.js';
import { PTE_DIRTY, PTE_SPECIAL } from './page-table.js';
import { notModelled } from './mm.js';
import { unmapPageRange } from './zap.js';
import type { Routine } from './engine/engine.js';
import type { Vma } from './vma.js';

/** zap_page_range_single: one CLEAR for the part, whatever is populated. */
export function* dontNeed(vma: Vma, start: number, end: number): Routine<void> {
  const { mm } = vma;
  const range = yield* mm.invalidateStart('clear', start, end);
  unmapPageRange(mm, start, end);
  yield* mm.invalidateEnd(range);
}

/** madvise_free_single_vma: pages become clean, and may be dropped by reclaim; they stay mapped, and writable. */
export function* freePages(vma: Vma, start: number, end: number): Routine<void> {
  const { mm } = vma;
  const { frames } = mm;
  const range = yield* mm.invalidateStart('clear', start, end);
  mm.pageTable.eachTable(start, end, (table, from, to) => {
    for (let index = from; index < to; index++) {
      if (!table.isPresent(index) || (table.bits[index]! & PTE_SPECIAL) !== 0) continue;
      const frame = table.frame(index);
      if ((frames.flags[frame]! & PAGE_DIRTY) !== 0) {
        // Somebody else's data too: the folio stays dirty, and is not lazily freeable.
        if (frames.mapcount[frame] !== 1) continue;
        frames.flags[frame]! &= ~PAGE_DIRTY;
      }
      table.bits[index]! &= ~PTE_DIRTY;
      frames.flags[frame]! |= PAGE_LAZYFREE;
    }
  });
  yield* mm.invalidateEnd(range);
}

/**
 * madvise_pageout without swap: anonymous pages stay, except those that MADV_FREE gave up. A CLEAR for each of these, even
 * if it has been written to since and is kept.
 */
export function* pageOut(vma: Vma, start: number, end: number): Routine<void> {
  const { mm } = vma;
  const { frames } = mm;
  const candidates: number[] = [];
  mm.pageTable.eachTable(start, end, (table, from, to, block) => {
    for (let index = from; index < to; index++) {
      if (!table.isPresent(index) || (table.bits[index]! & PTE_SPECIAL) !== 0) continue;
      const frame = table.frame(index);
      if (frames.mapcount[frame] !== 1) continue;
      if ((frames.flags[frame]! & PAGE_ANON) === 0) notModelled('madvise', 'reclaim of tmpfs pages (MADV_PAGEOUT)');
      if ((frames.flags[frame]! & PAGE_LAZYFREE) !== 0) candidates.push(block * PMD_SIZE + index * PAGE);
    }
  });
  if (candidates.length > 0 && !onlyMappedHere(vma)) {
    notModelled('madvise', 'reclaim of memory that other VMAs share an anon_vma with (MADV_PAGEOUT)');
  }
  for (const address of candidates) yield* reclaimPage(vma, address);
}

/** try_to_unmap_one of a page that is not PG_swapbacked: dropped if clean; else put back, and swapbacked again. */
function* reclaimPage(vma: Vma, address: number): Routine<void> {
  const { mm } = vma;
  const { frames } = mm;
  const range = yield* mm.invalidateStart('clear', address, address + PAGE);
  const table = mm.pageTable.tableOf(address);
  const index = (address / PAGE) % 512;
  if (table !== null && table.isPresent(index)) {
    const frame = table.frame(index);
    if ((table.bits[index]! & PTE_DIRTY) !== 0) frames.flags[frame]! |= PAGE_DIRTY;
    if ((frames.flags[frame]! & PAGE_DIRTY) !== 0) {
      frames.flags[frame]! &= ~PAGE_LAZYFREE;
    } else {
      table.clear(index);
      frames.unmap(frame);
    }
  }
  yield* mm.invalidateEnd(range);
}

/** Whether the walk over the anon_vma would visit this VMA alone: then the events above are all there are. */
function onlyMappedHere(vma: Vma): boolean {
  const { anonVma } = vma;
  if (anonVma === null || vma.chain.length !== 1) return false;
  let links = 0;
  for (const other of vma.mm.vmas) {
    if (!other.chain.includes(anonVma)) continue;
    links++;
    const overlaps = other.pgoff < vma.pgoff + vma.pages && vma.pgoff < other.pgoff + other.pages;
    if (other !== vma && overlaps) return false;
  }
  return links === anonVma.links;
}
