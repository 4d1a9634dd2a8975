/** Faulting pages in beforehand (mm/gup.c): MAP_POPULATE and MAP_LOCKED, MADV_POPULATE_READ and MADV_POPULATE_WRITE. */
import { PAGE_DIRTY } from './frames.js';
import { PTE_DIRTY } from './page-table.js';
import { PAGE, PMD_SIZE, PTES, VM_READ, VM_SHARED, VM_WRITE, alignDown, blockOf } from './layout.js';
import { finishFault, handleMmFault, tryFault } from './fault.js';
import { refuse } from './mm.js';
import type { FaultResult } from './fault.js';
import type { Mm } from './mm.js';
import type { Routine } from './engine/engine.js';
import type { Vma } from './vma.js';

/** __mm_populate with ignore_errors, as mmap and mremap call it: what cannot be faulted in is left out. */
export function* mmPopulate(mm: Mm, start: number, length: number): Routine<void> {
  const end = start + length;
  yield* mm.lock.read();
  try {
    let at = start;
    while (at < end) {
      const vma = mm.vmas.intersection(at, end);
      if (vma === null) return;
      yield* populateVmaRange(vma, Math.max(at, vma.start), Math.min(end, vma.end));
      at = vma.end;
    }
  } finally {
    mm.lock.unlockRead();
  }
}

/** populate_vma_page_range: private writable memory is written to, to break the sharing now; other memory read. */
export function* populateVmaRange(vma: Vma, start: number, end: number): Routine<void> {
  if (!vma.readableByCpu) return;
  const write = (vma.flags & (VM_WRITE | VM_SHARED)) === VM_WRITE;
  yield* faultIn(vma, start, end, write);
}

/**
 * madvise_populate over one VMA's part. EINVAL: the mapping does not allow it. EFAULT: beyond the end of the file.
 * mmap_lock is held for reading.
 */
export function* madvisePopulate(vma: Vma, start: number, end: number, write: boolean): Routine<void> {
  if ((vma.flags & (write ? VM_WRITE : VM_READ)) === 0)
    refuse('EINVAL', 'madvise', 'the mapping does not allow the access');
  const result = yield* faultIn(vma, start, end, write);
  if (result === 'sigbus') refuse('EFAULT', 'madvise', 'beyond the end of the file');
  if (result === 'oom') refuse('ENOMEM', 'madvise', 'no frame is left');
}

/** __get_user_pages with FOLL_TOUCH: a page that can be accessed already is not faulted, but for a write it counts as written to. */
function* faultIn(vma: Vma, start: number, end: number, write: boolean): Routine<FaultResult> {
  const { frames } = vma.mm;
  for (let address = start; address < end; address += PAGE) {
    const huge = vma.mm.pageTable.huge(blockOf(address));
    if (huge !== null && (!write || huge.write)) {
      if (write) huge.bits |= PTE_DIRTY;
      address = alignDown(address, PMD_SIZE) + PMD_SIZE - PAGE;
      continue;
    }
    const table = vma.mm.pageTable.table(blockOf(address));
    const index = (address / PAGE) % PTES;
    if (table !== null && (write ? table.isWritable(index) : table.isPresent(index))) {
      // The PTE stays as clean as it was: it is the page that MADV_FREE cannot give up any more.
      if (write && (table.bits[index]! & PTE_DIRTY) === 0) frames.flags[table.frame(index)]! |= PAGE_DIRTY;
      continue;
    }
    let result: FaultResult | 'copy' | 'swap';
    if (vma.mm.engine.preemptive) result = yield* handleMmFault(vma, address, write);
    else {
      result = tryFault(vma, address, write);
      if (result === 'copy' || result === 'swap') result = yield* finishFault(vma, address, result);
    }
    if (result !== 'done') return result;
    // Looked at again: what has come back from a device may be read-only still.
    address -= PAGE;
  }
  return 'done';
}
