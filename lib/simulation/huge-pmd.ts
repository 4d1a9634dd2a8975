/**
 * Transparent huge pages of anonymous memory (mm/huge_memory.c): faults on a PMD, and what happens to a PMD that maps one.
 * transparent_hugepage/enabled is `madvise`, so that only memory with MADV_HUGEPAGE gets them by a fault; use_zero_page is on.
 */
import { HUGE_ZERO_FRAME, PAGE_ANON, PAGE_ANON_EXCLUSIVE, PAGE_DIRTY, ZERO_FRAME } from './frames.js';
import { HugePmd, PTE_DIRTY, PTE_NO_ACCESS, PTE_SPECIAL } from './page-table.js';
import { PAGE, PMD_SIZE, PTES, VM_HUGEPAGE, VM_WRITE, blockOf } from './layout.js';
import { anonVmaPrepare } from './anon-vma-prepare.js';
import type { Mm } from './mm.js';
import type { Routine } from './engine/engine.js';
import type { Vma } from './vma.js';

/** 'copy': the huge page has to be split first, and then one page of it copied. */
type HugeFault = 'done' | 'copy' | 'sigbus';

/** thp_vma_suitable_order: a huge page at this block lies wholly in the VMA. */
export function holdsBlock(vma: Vma, block: number): boolean {
  return block * PMD_SIZE >= vma.start && (block + 1) * PMD_SIZE <= vma.end;
}

/** Whether a fault in this block, which has no PTE table, tries a huge page (thp_vma_allowable_order). */
export function faultsHuge(vma: Vma, block: number): boolean {
  return vma.anonymous && (vma.flags & VM_HUGEPAGE) !== 0 && holdsBlock(vma, block);
}

/**
 * create_huge_pmd and wp_huge_pmd, for a block that has no PTE table.
 * @returns null if this is none of their business: the fault goes on with pages of 4 KiB
 */
export function tryHugeFault(vma: Vma, block: number, write: boolean): HugeFault | null {
  const huge = vma.mm.pageTable.huge(block);
  if (huge === null) return faultsHuge(vma, block) ? doHugePmdAnonymousPage(vma, block, write) : null;
  if (!write) return 'done';
  if (!huge.write) return doHugePmdWpPage(vma, huge);
  huge.bits |= PTE_DIRTY;
  return 'done';
}

/** do_huge_pmd_anonymous_page. Without 512 free frames in a row it is pages of 4 KiB after all. */
function doHugePmdAnonymousPage(vma: Vma, block: number, write: boolean): HugeFault | null {
  const { mm } = vma;
  anonVmaPrepare(vma);
  if (mm.unstable) return 'sigbus';
  if (!write) {
    mm.pageTable.replaceEntry(block, new HugePmd(HUGE_ZERO_FRAME, false, PTE_SPECIAL));
    return 'done';
  }
  const head = mm.frames.allocateLarge(PAGE_ANON);
  if (head === 0) return null;
  mapNewHugePage(vma, block, head);
  return 'done';
}

/** map_anon_folio_pmd: a new folio, which this VMA has for itself. */
export function mapNewHugePage(vma: Vma, block: number, head: number): void {
  const { frames, pageTable } = vma.mm;
  frames.flags[head]! |= PAGE_ANON_EXCLUSIVE;
  frames.anonVma[head] = vma.anonVma;
  frames.mapLarge(head);
  pageTable.replaceEntry(block, new HugePmd(head, (vma.flags & VM_WRITE) !== 0, PTE_DIRTY));
}

/** do_huge_pmd_wp_page: reused if nobody else has it. The huge zero page, and what is shared, is never copied as a whole. */
function doHugePmdWpPage(vma: Vma, huge: HugePmd): HugeFault {
  const { frames } = vma.mm;
  if (huge.isZero) return 'copy';
  if ((frames.flags[huge.frame]! & PAGE_ANON_EXCLUSIVE) === 0) {
    if (frames.mappings(huge.frame) > 1 || frames.isHeld(huge.frame)) return 'copy';
    frames.anonVma[huge.frame] = vma.anonVma;
    frames.flags[huge.frame]! |= PAGE_ANON_EXCLUSIVE;
  }
  if ((vma.flags & VM_WRITE) !== 0) huge.write = true;
  huge.bits |= PTE_DIRTY;
  return 'done';
}

/**
 * __split_huge_pmd: CLEAR of the block, whatever is found there then; the page stays mapped, by 512 PTEs.
 * @param folio the folio that is itself being split, so that the PTEs become migration entries for a moment, and carry the dirty bit over;
 * a PMD that maps another one stays as it is, and only the event was sent
 */
export function* splitHugePmd(mm: Mm, block: number, folio: number | null = null): Routine<void> {
  const range = yield* mm.invalidateStart('clear', block * PMD_SIZE, (block + 1) * PMD_SIZE);
  splitHugePmdLocked(mm, block, folio);
  yield* mm.invalidateEnd(range);
}

/** split_huge_pmd_locked: does nothing if the block has no huge page (any more), or another one than is meant. */
function splitHugePmdLocked(mm: Mm, block: number, folio: number | null): void {
  const { frames, pageTable, profile } = mm;
  const huge = pageTable.huge(block);
  if (huge === null || (folio !== null && huge.frame !== folio)) return;
  pageTable.replaceEntry(block, null);
  const table = pageTable.ensureTable(block);
  if (huge.isZero) {
    for (let index = 0; index < PTES; index++) table.set(index, ZERO_FRAME, false, huge.bits);
    return;
  }
  const head = huge.frame;
  if (frames.isHugetlb(head)) throw new Error('a hugetlb page is never split');
  if ((huge.bits & PTE_DIRTY) !== 0) frames.flags[head]! |= PAGE_DIRTY;
  const exclusive = frames.flags[head]! & PAGE_ANON_EXCLUSIVE;
  const bits = folio !== null || profile.splitPmdKeepsDirty ? huge.bits : huge.bits & ~PTE_DIRTY;
  for (let index = 0; index < PTES; index++) {
    frames.flags[head + index]! |= exclusive;
    frames.map(head + index);
    table.set(index, head + index, huge.write, bits);
  }
  frames.unmapLarge(head);
}

/** zap_huge_pmd, of one that is unmapped as a whole. */
export function zapHugePmd(mm: Mm, block: number): void {
  const huge = mm.pageTable.huge(block)!;
  mm.pageTable.replaceEntry(block, null);
  if (!huge.isZero) mm.frames.unmapLarge(huge.frame);
}

/** copy_huge_pmd: read-only on both sides, and exclusive to neither. */
export function copyHugePmd(child: Mm, parent: Mm, block: number): void {
  const { frames } = parent;
  const huge = parent.pageTable.huge(block)!;
  huge.write = false;
  if (!huge.isZero) {
    frames.mapLarge(huge.frame);
    frames.flags[huge.frame]! &= ~PAGE_ANON_EXCLUSIVE;
  }
  child.pageTable.ensurePmdTable(block);
  child.pageTable.replaceEntry(block, new HugePmd(huge.frame, false, huge.bits));
}

/** change_huge_pmd: what mprotect() does to one that it covers as a whole. */
export function changeHugePmd(vma: Vma, huge: HugePmd): void {
  const { frames, profile } = vma.mm;
  // can_change_pmd_writable
  huge.write =
    profile.upgradesHugePages &&
    (vma.flags & VM_WRITE) !== 0 &&
    !huge.isZero &&
    (frames.flags[huge.frame]! & PAGE_ANON_EXCLUSIVE) !== 0;
  huge.bits = (huge.bits & ~PTE_NO_ACCESS) | (vma.readableByCpu ? 0 : PTE_NO_ACCESS);
}

/** The frame that a huge page has for the address. */
export function frameOf(huge: HugePmd, address: number): number {
  return huge.frame + (Math.floor(address / PAGE) % PTES);
}

/** Whether the block of the address has a huge page that does not lie wholly in [start, end). */
export function partlyCovers(mm: Mm, address: number, start: number, end: number): boolean {
  const block = blockOf(address);
  return (block * PMD_SIZE < start || (block + 1) * PMD_SIZE > end) && mm.pageTable.entry(block) instanceof HugePmd;
}
