/** The end of an address space: exit_mmap (mm/mmap.c), after the last mmput. */
import { ADDRESS_SPACE_END } from './layout.js';
import { closeHugetlb, isHugetlb, unmapHugetlbRange } from './hugetlb.js';
import { unlinkAnonVmas } from './anon-vma.js';
import { unmapEverything } from './zap.js';
import type { Mm } from './mm.js';
import type { Routine } from './engine/engine.js';

/** RELEASE and then UNMAP, both over everything. Notifiers stay in the tree: their owners remove them. */
export function* exitMmap(mm: Mm): Routine<void> {
  yield* mm.invalidateEnd(yield* mm.invalidateStart('release', 0, ADDRESS_SPACE_END));
  const range = yield* mm.invalidateStart('unmap', 0, ADDRESS_SPACE_END);
  for (const vma of mm.vmas) if (isHugetlb(vma)) yield* unmapHugetlbRange(vma, vma.start, vma.end);
  unmapEverything(mm);
  yield* mm.invalidateEnd(range);
  const vmas = mm.vmas.clear();
  for (const vma of vmas) {
    unlinkAnonVmas(vma);
    vma.file?.unlink(vma);
  }
  for (const vma of vmas) {
    closeHugetlb(vma);
    vma.file?.dropIfUnused();
  }
}
