/** Huge pages on the way to a device: migrate_vma_collect_pmd splits them first (mm/migrate_device.c). */
import { PMD_SIZE } from './layout.js';
import { splitFolio } from './split.js';
import { splitHugePmd } from './huge-pmd.js';
import type { Routine } from './engine/engine.js';
import type { Vma } from './vma.js';

/**
 * Makes PTEs of a huge page at the block, and pages of 4 KiB of its folio; also if only a part of it was asked for.
 * @returns false if it is busy: the block is passed over
 */
export function* splitForMigration(vma: Vma, block: number): Routine<boolean> {
  const { mm } = vma;
  const { pageLocks } = mm.machine;
  for (let huge = mm.pageTable.huge(block); huge !== null; huge = mm.pageTable.huge(block)) {
    if (huge.isZero) {
      yield* splitHugePmd(mm, block);
      continue;
    }
    const { frame } = huge;
    if (!pageLocks.tryLock(frame)) return false;
    const split = yield* splitFolio(vma, block * PMD_SIZE);
    pageLocks.unlock(frame);
    if (!split) return false;
  }
  return true;
}
