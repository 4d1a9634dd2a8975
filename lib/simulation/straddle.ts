/** What a new VMA boundary does to the 2 MiB block that it cuts. */
import { PMD_SIZE, alignDown, blockOf } from './layout.js';
import { splitHugePmd } from './huge-pmd.js';
import type { Routine } from './engine/engine.js';
import type { Vma } from './vma.js';

/**
 * split_huge_pmd_if_needed (mm/huge_memory.c), for a boundary at `address` against the extents that the VMA has now. The
 * CLEAR is sent whether or not a huge page is there, and whatever the mapping is of: it takes a block that the
 * VMA wholly contains, and a PMD table over it (mm_find_pmd).
 *
 * 6.12 sends it with the VMA's rmap locks held; here it precedes every change, which nobody can tell apart.
 */
export function* splitHugePmdIfNeeded(vma: Vma, address: number): Routine<void> {
  const { mm } = vma;
  if (address % PMD_SIZE === 0) return;
  const start = alignDown(address, PMD_SIZE);
  if (start < vma.start || start + PMD_SIZE > vma.end) return;
  if (mm.pageTable.pmdTable(blockOf(address)) === null) return;
  yield* splitHugePmd(mm, blockOf(address));
}
