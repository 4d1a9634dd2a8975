/** What madvise(2) does to pages (mm/madvise.c), each over the part of one VMA; reclaim.ts has MADV_PAGEOUT. */
import { PAGE, PMD_SIZE, PTES, blockOf } from './layout.js';
import { PAGE_DIRTY, PAGE_LARGE, PAGE_LAZYFREE } from './frames.js';
import { PTE_DIRTY, PTE_SPECIAL, endPage, firstPage } from './page-table.js';
import { isShared, splitFolio } from './split.js';
import { zapPageRange } from './zap.js';
import type { HugePmd, PteTable } from './page-table.js';
import type { Routine } from './engine/engine.js';
import type { Vma } from './vma.js';

/** zap_page_range_single: one CLEAR for the part, whatever is populated. */
export function* dontNeed(vma: Vma, start: number, end: number): Routine<void> {
  const { mm } = vma;
  const range = yield* mm.invalidateStart('clear', start, end);
  yield* zapPageRange(mm, start, end);
  yield* mm.invalidateEnd(range);
}

/** madvise_free_single_vma: pages become clean, and may be dropped by reclaim; they stay mapped, and writable. */
export function* freePages(vma: Vma, start: number, end: number): Routine<void> {
  const { mm } = vma;
  const range = yield* mm.invalidateStart('clear', start, end);
  yield* walkFolios(vma, start, end, 'free', {
    huge: (huge) => {
      clean(vma, huge.frame, PTES);
      huge.bits &= ~PTE_DIRTY;
      mm.frames.flags[huge.frame]! |= PAGE_LAZYFREE;
    },
    pages: (table, index, count) => {
      const frame = table.frame(index);
      // Somebody else's data too: the folio stays dirty, and is not lazily freeable.
      if (isDirty(vma, frame, count) && mm.frames.mappings(frame) !== count) return;
      clean(vma, frame, count);
      for (let page = index; page < index + count; page++) table.bits[page]! &= ~PTE_DIRTY;
      mm.frames.flags[frame]! |= PAGE_LAZYFREE;
    },
  });
  yield* mm.invalidateEnd(range);
}

/** madvise_cold: only ages pages, which nothing here can see; but a huge page that is to age in part is split. */
export function* deactivate(vma: Vma, start: number, end: number): Routine<void> {
  yield* walkFolios(vma, start, end, 'cold', { huge: () => undefined, pages: () => undefined });
}

export interface FolioVisitor {
  /** A huge page that the range covers, and that nobody else maps. */
  huge(huge: HugePmd): void;
  /** `count` PTEs that map a whole folio: one page, or the 512 of a large one. */
  pages(table: PteTable, index: number, count: number): void;
}

/**
 * madvise_free_pte_range and madvise_cold_or_pageout_pte_range: by folios. A large one that the range covers in part is split
 * first, if only this process has it, and is else left alone.
 */
export function* walkFolios(
  vma: Vma,
  start: number,
  end: number,
  advice: 'free' | 'cold',
  visitor: FolioVisitor,
): Routine<void> {
  const { pageTable } = vma.mm;
  const last = blockOf(end - 1);
  for (
    let block = pageTable.nextEntry(blockOf(start), last);
    block >= 0;
    block = pageTable.nextEntry(block + 1, last)
  ) {
    yield* walkBlock(vma, block, firstPage(block, start), endPage(block, end), advice, visitor);
  }
}

function* walkBlock(
  vma: Vma,
  block: number,
  from: number,
  to: number,
  advice: 'free' | 'cold',
  visitor: FolioVisitor,
): Routine<void> {
  const { frames, pageTable, profile } = vma.mm;
  const huge = pageTable.huge(block);
  if (huge !== null) {
    if (huge.isZero || isShared(vma.mm, huge.frame, advice, true)) return;
    if (to - from === PTES) {
      visitor.huge(huge);
      return;
    }
    yield* trySplit(vma, block * PMD_SIZE, huge.frame);
  }
  for (let index = from; index < to;) {
    const table = pageTable.table(block);
    if (table === null) return;
    if (!table.isPresent(index) || (table.bits[index]! & PTE_SPECIAL) !== 0 || frames.zone[table.frame(index)] !== 0) {
      index++;
      continue;
    }
    const frame = table.frame(index);
    const large = (frames.flags[frame]! & PAGE_LARGE) !== 0;
    const count = large && !profile.madviseStopsAtShared ? batchOf(table, index, to) : 1;
    if (large && count < PTES) {
      const split =
        !isShared(vma.mm, frame, advice, false) && (yield* trySplit(vma, block * PMD_SIZE + index * PAGE, frame));
      // Split, the page is looked at again.
      if (split) continue;
      if (profile.madviseStopsAtShared) return;
    } else {
      visitor.pages(table, index, count);
    }
    index += count;
  }
}

/** folio_trylock and split_folio */
function* trySplit(vma: Vma, address: number, frame: number): Routine<boolean> {
  const { frames, machine } = vma.mm;
  const head = frames.head(frame);
  if (!machine.pageLocks.tryLock(head)) return false;
  try {
    return yield* splitFolio(vma, address);
  } finally {
    machine.pageLocks.unlock(head);
  }
}

/** madvise_folio_pte_batch: how many PTEs from here on map the following pages of the same large folio. */
function batchOf(table: PteTable, index: number, to: number): number {
  const frame = table.frame(index);
  const most = Math.min(to - index, PTES - (frame % PTES));
  let count = 1;
  while (count < most && table.isPresent(index + count) && table.frame(index + count) === frame + count) count++;
  return count;
}

/** PG_dirty of a folio: of a large one it stands at whichever page was written to. */
function isDirty(vma: Vma, frame: number, count: number): boolean {
  const { flags } = vma.mm.frames;
  for (let page = frame; page < frame + count; page++) if ((flags[page]! & PAGE_DIRTY) !== 0) return true;
  return false;
}

function clean(vma: Vma, frame: number, count: number): void {
  const { flags } = vma.mm.frames;
  for (let page = frame; page < frame + count; page++) flags[page]! &= ~PAGE_DIRTY;
}
