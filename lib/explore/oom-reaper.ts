/** __oom_reap_task_mm (mm/oom_kill.c): the only invalidations that must not wait. */
import { isHugetlb } from '../simulation/hugetlb.js';
import { unmapPageRange } from '../simulation/zap.js';
import type { Mm } from '../simulation/mm.js';
import type { Routine } from '../simulation/engine/engine.js';

/**
 * One attempt. Hugetlb memory and shared mappings stay, and so does a mapping whose notifiers refuse; behind it the reaper goes on.
 * @returns mappings that stayed because a callback refused
 */
export function* oomReap(mm: Mm): Routine<number> {
  let refused = 0;
  yield* mm.lock.read();
  try {
    mm.unstable = true;
    for (const vma of [...mm.vmas]) {
      if (isHugetlb(vma) || vma.shared) continue;
      const range = yield* mm.invalidateStart('unmap', vma.start, vma.end, null, false);
      if (range?.refused === true) {
        refused++;
        continue;
      }
      unmapPageRange(mm, vma.start, vma.end);
      yield* mm.invalidateEnd(range);
    }
  } finally {
    mm.lock.unlockRead();
  }
  return refused;
}
