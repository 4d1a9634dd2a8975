/** __oom_reap_task_mm (mm/oom_kill.c): the only invalidations that must not wait. */
import { unmapPageRange } from '../simulation/zap.js';
import type { Mm } from '../simulation/mm.js';
import type { Routine } from '../simulation/engine/engine.js';

/** @returns mappings that stayed, because a callback refused */
export function* oomReap(mm: Mm): Routine<number> {
  let refused = 0;
  yield* mm.lock.read();
  try {
    for (const vma of [...mm.vmas]) {
      // Shared file mappings would free nothing; hugetlb and PFNMAP are not reaped.
      if (vma.shared && vma.file !== null) continue;
      const range = yield* mm.invalidateStart('unmap', vma.start, vma.end, null, false);
      if (range?.refused === true) refused++;
      else unmapPageRange(mm, vma.start, vma.end);
      yield* mm.invalidateEnd(range);
    }
  } finally {
    mm.lock.unlockRead();
  }
  return refused;
}
