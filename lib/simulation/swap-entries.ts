/** Entries that are neither none nor present, where whole ranges are changed (mm/memory.c, mm/mprotect.c, mm/mremap.c). */
import { PAGE_ANON, PAGE_ANON_EXCLUSIVE } from './frames.js';
import { SWAP_ANON_EXCLUSIVE, SWAP_DEVICE_PRIVATE, SWAP_EXCLUSIVE, SWAP_MIGRATION, SWAP_WRITE } from './page-table.js';
import { restoreExclusivePte } from './swap-fault.js';
import type { Mm } from './mm.js';
import type { PteTable } from './page-table.js';
import type { Vma } from './vma.js';

/** zap_pte_range's part of it. @param evenCows false keeps anonymous pages */
export function zapSwapEntry(mm: Mm, table: PteTable, index: number, evenCows: boolean): void {
  const { frames } = mm;
  const bits = table.swap(index);
  const frame = table.swapFrame(index);
  if (!evenCows && (frames.flags[frame]! & PAGE_ANON) !== 0) return;
  table.clear(index);
  if ((bits & SWAP_DEVICE_PRIVATE) !== 0) frames.unmap(frame);
  else if ((bits & SWAP_EXCLUSIVE) !== 0) frames.put(frame);
}

/**
 * copy_nonpresent_pte: what fork does with an entry of the parent; read-only on both sides, and exclusive to neither.
 * @returns 'present' if the entry has become one and is to be copied as such; 'busy' if fork fails with ENOMEM
 */
export function copySwapEntry(
  parent: Vma,
  source: PteTable,
  copy: PteTable,
  index: number,
  cow: boolean,
): 'copied' | 'present' | 'busy' {
  const { frames, machine } = parent.mm;
  const bits = source.swap(index);
  const frame = source.swapFrame(index);
  if ((bits & SWAP_EXCLUSIVE) !== 0) {
    // try_restore_exclusive_pte
    if (machine.pageLocks.isLocked(frame)) return 'busy';
    restoreExclusivePte(parent, source, index);
    return 'present';
  }
  if ((bits & SWAP_DEVICE_PRIVATE) !== 0) {
    frames.map(frame);
    frames.flags[frame]! &= ~PAGE_ANON_EXCLUSIVE;
  }
  const shared = cow ? bits & ~(SWAP_WRITE | SWAP_ANON_EXCLUSIVE) : bits;
  if (shared !== bits) source.setSwap(index, frame, shared);
  copy.setSwap(index, frame, shared);
  return 'copied';
}

/** change_pte_range: no entry gets more permission by mprotect, in whatever direction; a writable one loses it for good. */
export function protectSwapEntry(mm: Mm, table: PteTable, index: number): void {
  const bits = table.swap(index);
  if ((bits & SWAP_WRITE) === 0) return;
  const frame = table.swapFrame(index);
  const anon = (mm.frames.flags[frame]! & PAGE_ANON) !== 0;
  const exclusive = (bits & SWAP_MIGRATION) !== 0 && anon ? SWAP_ANON_EXCLUSIVE : 0;
  table.setSwap(index, frame, (bits & ~SWAP_WRITE) | exclusive);
}

/** move_ptes: to another table, or another place in the same one. */
export function moveSwapEntry(source: PteTable, from: number, target: PteTable, to: number): void {
  target.setSwap(to, source.swapFrame(from), source.swap(from));
  source.clear(from);
}
