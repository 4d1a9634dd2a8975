/** munmap(2): do_vmi_munmap (mm/vma.c), do_mas_munmap (6.1 mm/mmap.c). */
import { MAX_MAP_COUNT, PAGE, TASK_SIZE, pageAlign } from './layout.js';
import { closeHugetlb, isHugetlb, unmapHugetlbRange } from './hugetlb.js';
import { freePageTables, unmapPageRange } from './zap.js';
import { refuse } from './mm.js';
import { splitVmaUnchecked } from './vma-modify.js';
import type { Mm } from './mm.js';
import type { Routine } from './engine/engine.js';

/** __vm_munmap. The callbacks of UNMAP run with mmap_lock downgraded: others may read, and find the range gone. */
export function* munmap(mm: Mm, address: number, length: number): Routine<undefined> {
  yield* mm.lock.write();
  let downgraded = false;
  try {
    yield* unmapLocked(mm, address, length, 'munmap', () => {
      mm.lock.downgrade();
      downgraded = true;
    });
  } finally {
    if (downgraded) mm.lock.unlockRead();
    else mm.lock.unlockWrite();
  }
  return undefined;
}

/**
 * do_munmap, with mmap_lock held for writing.
 * @param detached called when the VMAs are out of the tree, before anything is unmapped
 */
export function* unmapLocked(
  mm: Mm,
  start: number,
  length: number,
  syscall: string,
  detached?: () => void,
): Routine<void> {
  if (start % PAGE !== 0 || start > TASK_SIZE || length > TASK_SIZE - start) refuse('EINVAL', syscall);
  const end = start + pageAlign(length);
  if (end === start) refuse('EINVAL', syscall);
  const first = mm.vmas.intersection(start, end);
  if (first === null) return;

  if (start > first.start) {
    // It may go just above the limit for a moment, but not end above it.
    if (end < first.end && mm.vmas.size >= MAX_MAP_COUNT) refuse('ENOMEM', syscall, 'too many mappings');
    yield* splitVmaUnchecked(first, start, syscall);
  }
  const last = mm.vmas.lookup(end);
  if (last !== null && last.start < end) yield* splitVmaUnchecked(last, end, syscall);

  const vmas = mm.vmas.removeRange(start, end);
  for (const vma of vmas) vma.startWrite();
  const floor = mm.vmas.before(start)?.end ?? 0;
  const ceiling = mm.vmas.find(end)?.start ?? Infinity;
  detached?.();

  // One event for the range as it was asked for, holes and all (unmap_vmas).
  const range = yield* mm.invalidateStart('unmap', start, end);
  for (const vma of vmas) {
    if (isHugetlb(vma)) yield* unmapHugetlbRange(vma, vma.start, vma.end);
    else unmapPageRange(mm, vma.start, vma.end);
  }
  yield* mm.invalidateEnd(range);
  freePageTables(mm, vmas, floor, ceiling);
  for (const vma of vmas) {
    closeHugetlb(vma);
    vma.file?.dropIfUnused();
  }
}
