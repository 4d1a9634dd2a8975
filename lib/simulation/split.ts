/** Splitting a large anonymous folio into its pages: split_huge_page (mm/huge_memory.c), wherever it is mapped. */
import { PAGE, PTES, VM_LOCKED, blockOf } from './layout.js';
import { PAGE_DIRTY, PAGE_LAZYFREE, ZERO_FRAME } from './frames.js';
import { PTE_DIRTY, PTE_NO_ACCESS, PTE_SPECIAL } from './page-table.js';
import { frameOf, splitHugePmd } from './huge-pmd.js';
import type { Mm } from './mm.js';
import type { PteTable } from './page-table.js';
import type { Routine } from './engine/engine.js';
import type { Vma } from './vma.js';

/** Where a VMA can map pages of the folio. */
interface Place {
  readonly vma: Vma;
  readonly start: number;
  readonly end: number;
}

/**
 * split_folio: the large folio, of which this VMA maps a page at `address` (by a PMD or a PTE), becomes 512 pages. For each VMA that
 * the reverse map leads to, until nothing maps the folio any more: CLEAR of the 2 MiB block, then CLEAR of what of the folio it can map.
 *
 * The kernel puts migration entries in between; here the pages stay mapped until the events are over, which an access
 * takes for one that came earlier.
 * @returns false if somebody else has a reference: nothing has changed, or (when it came late) only PMDs were split
 */
export function* splitFolio(vma: Vma, address: number): Routine<boolean> {
  const { frames, profile } = vma.mm;
  const frame = frameAt(vma, address);
  const head = frames.head(frame);
  // can_split_folio
  if (frames.isHeld(head)) return false;
  frames.get(head);
  try {
    const index = vma.pageIndex(address) - (frame - head);
    const visited = placesOf(frames.anonVma[head]!.covering(index, PTES), index);
    // try_to_migrate: only until the folio is unmapped.
    let found = 0;
    for (const place of visited) {
      found += yield* unmapOne(place, head);
      if (found === frames.mappings(head)) break;
    }
    // folio_ref_freeze
    if (frames.folio(head).entire !== 0 || frames.held[head] !== 1) return false;
    const dirty = isDirty(visited, head);
    for (let page = head; page < head + PTES; page++) {
      frames.flags[page]! |= (frames.flags[head]! & PAGE_LAZYFREE) | (dirty ? PAGE_DIRTY : 0);
    }
    frames.breakUp(head);
    if (profile.splitMapsZeroPages) for (const place of visited) mapZeroPages(place, head);
    return true;
  } finally {
    frames.put(head);
  }

  function isDirty(places: readonly Place[], first: number): boolean {
    for (let page = first; page < first + PTES; page++) if ((frames.flags[page]! & PAGE_DIRTY) !== 0) return true;
    return places.some((place) => {
      let dirty = false;
      eachPte(place, first, (table, index) => (dirty ||= (table.bits[index]! & PTE_DIRTY) !== 0));
      return dirty;
    });
  }
}

function frameAt(vma: Vma, address: number): number {
  const block = blockOf(address);
  const huge = vma.mm.pageTable.huge(block);
  return huge !== null ? frameOf(huge, address) : vma.mm.pageTable.table(block)!.frame((address / PAGE) % PTES);
}

/** vma_address and vma_address_end */
function placesOf(vmas: readonly Vma[], index: number): Place[] {
  return vmas.map((vma) => ({
    vma,
    start: vma.start + Math.max(0, index - vma.pgoff) * PAGE,
    end: Math.min(vma.end, vma.start + (index + PTES - vma.pgoff) * PAGE),
  }));
}

/** try_to_migrate_one, with TTU_SPLIT_HUGE_PMD. Returns how many pages of the folio are mapped there. */
function* unmapOne(place: Place, head: number): Routine<number> {
  const { vma, start, end } = place;
  const { mm } = vma;
  if (mm.pageTable.pmdTable(blockOf(start)) !== null) yield* splitHugePmd(mm, blockOf(start), head);
  const range = yield* mm.invalidateStart('clear', start, end);
  let count = 0;
  eachPte(place, head, () => count++);
  yield* mm.invalidateEnd(range);
  return count;
}

/** page_vma_mapped_walk: the PTEs there that map a page of the folio. */
function eachPte(place: Place, head: number, visit: (table: PteTable, index: number) => void): void {
  place.vma.mm.pageTable.eachTable(place.start, place.end, (table, from, to) => {
    for (let index = from; index < to; index++) {
      if (table.isPresent(index) && (table.frame(index) & -PTES) === head) visit(table, index);
    }
  });
}

/** try_to_map_unused_to_zeropage: pages with nothing but zeroes are freed, and the zero page mapped in their place. */
function mapZeroPages(place: Place, head: number): void {
  const { frames } = place.vma.mm;
  if ((place.vma.flags & VM_LOCKED) !== 0) return;
  eachPte(place, head, (table, index) => {
    const frame = table.frame(index);
    if (!frames.isZeroFilled(frame)) return;
    table.set(index, ZERO_FRAME, false, PTE_SPECIAL | (table.bits[index]! & PTE_NO_ACCESS));
    frames.unmap(frame);
  });
}

/**
 * Whether madvise leaves a folio alone because others map it too. 6.12 guesses (folio_likely_mapped_shared); 6.1 asks for the mappings of
 * one page, and not always of the same (madvise_free_huge_pmd, folio_estimated_sharers, page_mapcount).
 * @param whole it was found by a PMD that maps all of it
 */
export function isShared({ frames, profile }: Mm, frame: number, advice: 'free' | 'cold', whole: boolean): boolean {
  const folio = frames.folio(frame);
  const head = frames.head(frame);
  if (profile.madviseStopsAtShared) {
    if (advice === 'free' && whole) return folio.mappings !== 1;
    return frames.mapcount[advice === 'free' ? head : frame]! + folio.entire !== 1;
  }
  if (folio.mappings <= 1) return false;
  return folio.entire > 0 || folio.mappings > PTES || frames.mapcount[head]! > 1;
}
