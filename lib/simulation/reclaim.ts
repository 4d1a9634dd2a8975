/** MADV_PAGEOUT on a machine without swap (mm/vmscan.c: reclaim_pages, shrink_folio_list). */
import { PAGE, PMD_SIZE, PTES, blockOf } from './layout.js';
import { PAGE_ANON, PAGE_DIRTY, PAGE_LARGE, PAGE_LAZYFREE } from './frames.js';
import { PTE_DIRTY } from './page-table.js';
import { addressIn, entryOf, stillCovers, vmasOf } from './rmap.js';
import { notModelled } from './mm.js';
import { splitFolio } from './split.js';
import { walkFolios } from './madvise-pages.js';
import type { FoundEntry, MappedPage } from './rmap.js';
import type { Machine } from './mm.js';
import type { Routine } from './engine/engine.js';
import type { Vma } from './vma.js';

/**
 * madvise_pageout without swap: anonymous pages stay, except those that MADV_FREE gave up. A CLEAR for each of these, even
 * if it has been written to since and is kept. Large folios are split, in order to be swapped out page by page, and then stay.
 */
export function* pageOut(vma: Vma, start: number, end: number): Routine<void> {
  const { frames } = vma.mm;
  const last = blockOf(end - 1);
  const { pageTable } = vma.mm;
  for (
    let block = pageTable.nextEntry(blockOf(start), last);
    block >= 0;
    block = pageTable.nextEntry(block + 1, last)
  ) {
    const base = block * PMD_SIZE;
    const given: number[] = [];
    const large: number[] = [];
    const isolate = (frame: number, address: number): void => {
      const flags = frames.flags[frame]!;
      if ((flags & PAGE_ANON) === 0) notModelled('madvise', 'reclaim of tmpfs pages (MADV_PAGEOUT)');
      if ((flags & PAGE_LARGE) === 0) {
        if ((flags & PAGE_LAZYFREE) !== 0) given.push(address);
        return;
      }
      if ((flags & PAGE_LAZYFREE) !== 0)
        notModelled('madvise', 'reclaim of a huge page that MADV_FREE gave up (MADV_PAGEOUT)');
      large.push(address);
    };
    yield* walkFolios(vma, Math.max(start, base), Math.min(end, base + PMD_SIZE), 'cold', {
      huge: (huge) => {
        isolate(huge.frame, base);
      },
      pages: (table, index, count) => {
        if (frames.mappings(table.frame(index)) === count) isolate(table.frame(index), base + index * PAGE);
      },
    });
    for (const address of large) yield* splitFolio(vma, address);
    for (const address of given) yield* reclaimPage(vma, address);
  }
}

/** try_to_unmap of a page that only this process maps, and that is not PG_swapbacked. */
function* reclaimPage(vma: Vma, address: number): Routine<void> {
  const { mm } = vma;
  const { machine, frames } = mm;
  const table = mm.pageTable.tableOf(address);
  const index = (address / PAGE) % PTES;
  // It went while other pages were being reclaimed.
  if (table === null || !table.isPresent(index)) return;
  const page: MappedPage = { frame: table.frame(index), pgoff: vma.pageIndex(address), file: null };
  if (frames.isHeld(page.frame) || !machine.pageLocks.tryLock(page.frame)) return;
  frames.get(page.frame);
  try {
    // A CLEAR also in each VMA that is looked at in vain, until nothing maps the page.
    for (const other of vmasOf(machine, page)) {
      if (!stillCovers(other, page)) continue;
      const start = addressIn(other, page);
      const range = yield* other.mm.invalidateStart('clear', start, start + PAGE);
      const entry = stillCovers(other, page) ? entryOf(other, page) : null;
      const kept = entry !== null && !discard(machine, page.frame, entry);
      yield* other.mm.invalidateEnd(range);
      if (kept || frames.mapcount[page.frame] === 0) break;
    }
  } finally {
    machine.pageLocks.unlock(page.frame);
    frames.put(page.frame);
  }
}

/** try_to_unmap_one: dropped if clean; else kept, and swapbacked again. */
function discard({ frames }: Machine, frame: number, { table, index }: FoundEntry): boolean {
  if ((table.bits[index]! & PTE_DIRTY) !== 0) frames.flags[frame]! |= PAGE_DIRTY;
  if ((frames.flags[frame]! & PAGE_DIRTY) !== 0) {
    frames.flags[frame]! &= ~PAGE_LAZYFREE;
    return false;
  }
  table.clear(index);
  frames.unmap(frame);
  return true;
}
