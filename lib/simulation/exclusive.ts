/** Pages that a device has for itself: make_device_exclusive_range (mm/rmap.c) over get_user_pages_remote (mm/gup.c). */
import { PAGE, PTES, VM_WRITE, blockOf } from './layout.js';
import { PAGE_ANON, PAGE_DIRTY, PAGE_LARGE } from './frames.js';
import { PTE_DIRTY, SWAP_EXCLUSIVE, SWAP_WRITE } from './page-table.js';
import { handleMmFault } from './fault.js';
import { frameOf, splitHugePmd } from './huge-pmd.js';
import { isHugetlb } from './hugetlb.js';
import type { ErrnoCode } from '../errors.js';
import type { Machine, Mm } from './mm.js';
import type { Routine } from './engine/engine.js';
import type { Vma } from './vma.js';

export interface UserPages {
  /** A reference to each is held. */
  readonly frames: number[];
  /** Why the page after the last could not be had; null if all were. */
  readonly error: ErrnoCode | null;
}

/** GUP with FOLL_GET | FOLL_WRITE | FOLL_SPLIT_PMD: every page is faulted until it can be written to. mmap_lock is held for reading. */
export function* getUserPages(mm: Mm, start: number, end: number): Routine<UserPages> {
  const frames: number[] = [];
  for (let address = start; address < end; address += PAGE) {
    const page = yield* getWritablePage(mm, address);
    if (typeof page === 'string') return { frames, error: page };
    mm.machine.pageLocks.get(page);
    frames.push(page);
  }
  return { frames, error: null };
}

function* getWritablePage(mm: Mm, address: number): Routine<number | ErrnoCode> {
  const block = blockOf(address);
  const index = (address / PAGE) % PTES;
  for (;;) {
    const vma = mm.vmas.lookup(address);
    if (vma === null) return 'EFAULT';
    // check_vma_flags: before the protection is looked at.
    if (isHugetlb(vma) && mm.profile.gupSplitsNoHugetlb) return 'EOPNOTSUPP';
    if ((vma.flags & VM_WRITE) === 0) return 'EFAULT';
    const huge = mm.pageTable.huge(block);
    if (huge !== null && isHugetlb(vma)) {
      if (huge.write) return frameOf(huge, address);
    } else if (huge !== null) {
      yield* splitHugePmd(mm, block);
      continue;
    }
    const table = mm.pageTable.table(block);
    if (table !== null && table.isWritable(index)) return table.frame(index);
    const result = yield* handleMmFault(vma, address, true);
    if (result !== 'done') return result === 'oom' ? 'ENOMEM' : 'EFAULT';
  }
}

export function putUserPages({ pageLocks }: Machine, frames: readonly number[]): void {
  for (const frame of frames) pageLocks.put(frame);
}

/** What has been had: locked, and held. Why not, of the others: 'never' is true of all pages like it, 'busy' may pass. */
export type ExclusivePage = number | 'never' | 'busy';

/**
 * The page table part of make_device_exclusive_range, over pages that getUserPages() answered, whose references it takes
 * over. `unlockExclusive()` ends the time in which nobody can take the pages away but by unmapping them.
 * @param owner the device, as the events name it
 */
export function* makeDeviceExclusiveRange(
  mm: Mm,
  start: number,
  frames: readonly number[],
  owner: number,
): Routine<ExclusivePage[]> {
  const { pageLocks } = mm.machine;
  const pages: ExclusivePage[] = [];
  for (let index = 0; index < frames.length; index++) {
    const frame = frames[index]!;
    if (mm.engine.preemptive) yield 'make_device_exclusive_range';
    const refused = refusalOf(mm, frame);
    if (refused !== null) {
      pageLocks.put(frame);
      pages.push(refused);
      continue;
    }
    pageLocks.tryLock(frame);
    if (yield* folioMakeDeviceExclusive(mm, frame, start + index * PAGE, owner)) {
      pages.push(frame);
    } else {
      pageLocks.unlock(frame);
      pageLocks.put(frame);
      pages.push('busy');
    }
  }
  return pages;
}

/** Tail pages, hugetlb pages, and what is not anonymous, never qualify. */
function refusalOf({ frames, machine }: Mm, frame: number): 'never' | 'busy' | null {
  if (frames.head(frame) !== frame || frames.isHugetlb(frame)) return 'never';
  if (machine.pageLocks.isLocked(frame)) return 'busy';
  return (frames.flags[frame]! & PAGE_ANON) === 0 ? 'never' : null;
}

export function unlockExclusive({ pageLocks }: Machine, pages: readonly ExclusivePage[]): void {
  for (const page of pages) {
    if (typeof page === 'string') continue;
    pageLocks.unlock(page);
    pageLocks.put(page);
  }
}

/** folio_make_device_exclusive: EXCLUSIVE in every VMA that the reverse map leads to, until nothing maps the folio any more. */
function* folioMakeDeviceExclusive(mm: Mm, frame: number, address: number, owner: number): Routine<boolean> {
  const { frames } = mm;
  const target = mm.vmas.lookup(address);
  if (target === null) return false;
  const pgoff = target.pageIndex(address);
  const count = (frames.flags[frame]! & PAGE_LARGE) === 0 ? 1 : PTES;
  let valid = false;
  for (const vma of frames.anonVma[frame]?.covering(pgoff, count) ?? []) {
    const first = vma.start + Math.max(0, pgoff - vma.pgoff) * PAGE;
    if (first >= vma.end || vma.mm.vmas.lookup(first) !== vma) continue;
    const range = yield* vma.mm.invalidateStart('exclusive', first, Math.min(vma.end, first + count * PAGE), owner);
    const found = makeExclusiveOne(vma, first, Math.min(vma.end, first + count * PAGE), frame, count);
    if (vma.mm === mm && found.writable.has(address)) valid = true;
    yield* vma.mm.invalidateEnd(range);
    if (found.foreign || frames.mappings(frame) === 0) break;
  }
  return valid && frames.mappings(frame) === 0;
}

/** page_make_device_exclusive_one. `foreign`: an entry that a device has already ends the walk. */
function makeExclusiveOne(
  vma: Vma,
  start: number,
  end: number,
  frame: number,
  count: number,
): { readonly writable: Set<number>; readonly foreign: boolean } {
  const { mm } = vma;
  const { frames } = mm;
  const writable = new Set<number>();
  for (let address = start; address < end; address += PAGE) {
    const table = mm.pageTable.table(blockOf(address));
    if (table === null) continue;
    const index = (address / PAGE) % PTES;
    const present = table.isPresent(index);
    const page = present ? table.frame(index) : table.isNone(index) ? 0 : table.swapFrame(index);
    if (page < frame || page >= frame + count) continue;
    if (!present) {
      if ((table.swap(index) & SWAP_EXCLUSIVE) !== 0) return { writable, foreign: true };
      continue;
    }
    const write = table.isWritable(index);
    if ((table.bits[index]! & PTE_DIRTY) !== 0) frames.flags[page]! |= PAGE_DIRTY;
    if (write) writable.add(address);
    // The reference of the mapping becomes that of the entry.
    frames.get(page);
    table.setSwap(index, page, SWAP_EXCLUSIVE | (write ? SWAP_WRITE : 0));
    frames.unmap(page);
  }
  return { writable, foreign: false };
}
