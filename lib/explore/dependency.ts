/**
 * What a step touches, so that steps that have nothing to do with each other need not be tried in both orders. A step is known by the preemption points that it
 * goes from and to: between two of them lies a known piece of the simulated kernel. The table names the pieces that touch little; every other step
 * counts as touching the whole kernel, so a piece that is not in the table costs schedules, never soundness. Code of the scenario's own that ran in the
 * step, or in answer to it, touches HOST, and what it called (engine.touch).
 *
 * All that the oracle looks at is one thing, MEMORY, and a driver's own table is part of it: steps that change any of it are never exchanged, so each
 * state that the oracle could tell from another is met with and without the reduction.
 *
 * That the table is right is tested by its results: with and without the reduction the same outcomes and the same violations (test/explore).
 */
import {
  HOST,
  KERNEL,
  LOCKS,
  MEMORY,
  MMAP_LOCK,
  SEQUENCE,
  USERS,
  reads,
  writes,
  type Touched,
} from '../simulation/engine/touch.js';
import type { StepView } from '../scheduler.js';

export { dependent, type Touched as Footprint } from '../simulation/engine/touch.js';

/** Files have a length that anybody can read. */
const EVERYTHING: Touched = KERNEL | writes(HOST);

/** 'from>to', 'from~to' for a step that ends asleep, 'from.' for one that ends the task. What is slept in is left by the code that the label of the same name begins. */
const TABLE: ReadonlyMap<string, Touched> = new Map([
  // A lock that is not to be had: its queue.
  ['mutex_lock~mutex_lock', writes(LOCKS)],
  ['mmap_read_lock~mmap_read_lock', writes(MMAP_LOCK)],
  ['mmap_write_lock~mmap_write_lock', writes(MMAP_LOCK)],
  // readBegin(), alone and in the loop of hmm.rst (fault-loop.ts), up to the lock that the walk is done under.
  ['mmu_interval_read_begin.', reads(SEQUENCE)],
  ['mmu_interval_read_begin~mmu_interval_read_begin', reads(SEQUENCE)],
  ['mmu_interval_read_begin>mmap_read_lock', reads(SEQUENCE | USERS)],
  // hmm_range_fault (range-fault.ts): the walk looks, and only a fault changes anything. Readers of mmap_lock do not mind each other.
  ['mmap_read_lock>walk_page_range', reads(MMAP_LOCK | SEQUENCE | MEMORY)],
  ['mmap_read_lock>handle_mm_fault', reads(MMAP_LOCK | SEQUENCE | MEMORY)],
  ['walk_page_range>walk_page_range', reads(MEMORY)],
  ['walk_page_range>handle_mm_fault', reads(MEMORY)],
  ['walk_page_range>mutex_lock', reads(MMAP_LOCK | SEQUENCE | MEMORY) | writes(USERS)],
  // What a system call does to the VMAs before it tells anybody (munmap.ts and the like).
  ['mmap_write_lock>mmu_notifier_invalidate_range_start', writes(MMAP_LOCK | MEMORY)],
  // Subscriptions.#start with somebody to call: the sequence turns odd, and the range is under way.
  ['mmu_notifier_invalidate_range_start>zap_pte_range', writes(MEMORY)],
  ['mmu_notifier_invalidate_range_start>mn_itree_invalidate', writes(SEQUENCE | MEMORY)],
  // A callback: of a Mirror, which looks whether its update lock is free, or of the scenario's, which may be waited for.
  ['mn_itree_invalidate>mn_itree_invalidate', reads(LOCKS) | writes(SEQUENCE | MEMORY)],
  ['mn_itree_invalidate>zap_pte_range', reads(LOCKS) | writes(SEQUENCE | MEMORY)],
  ['mn_itree_invalidate>change_pte_range', reads(LOCKS) | writes(SEQUENCE | MEMORY)],
  ['mn_itree_invalidate>copy_pte_range', reads(LOCKS) | writes(SEQUENCE | MEMORY)],
  ['mn_itree_invalidate>migrate_vma_collect', reads(LOCKS) | writes(SEQUENCE | MEMORY)],
  ['mn_itree_invalidate~invalidate', writes(SEQUENCE | MEMORY)],
  ['invalidate>mn_itree_invalidate', writes(MEMORY)],
  ['invalidate>zap_pte_range', writes(MEMORY)],
  ['invalidate>change_pte_range', writes(MEMORY)],
  ['invalidate>copy_pte_range', writes(MEMORY)],
  ['invalidate>migrate_vma_collect', writes(MEMORY)],
  // What the callbacks were told of.
  ['zap_pte_range>mmu_notifier_invalidate_range_end', writes(MEMORY)],
  ['change_pte_range>mmu_notifier_invalidate_range_end', writes(MEMORY)],
  ['copy_pte_range>mmu_notifier_invalidate_range_end', writes(MEMORY)],
  // migrate_vma, phase by phase (migrate.ts); frames are locked and unlocked in all of them.
  ['mmap_read_lock>mmu_notifier_invalidate_range_start', reads(MMAP_LOCK) | writes(MEMORY)],
  ['migrate_vma_collect>mmu_notifier_invalidate_range_end', writes(MEMORY)],
  ['mmu_notifier_invalidate_range_end>migrate_device_unmap', writes(SEQUENCE | MEMORY)],
  ['migrate_device_unmap>migrate_vma_pages', writes(MEMORY)],
  ['migrate_vma_pages>migrate_vma_finalize', writes(MEMORY)],
  ['migrate_vma_finalize>mmu_interval_read_begin', reads(MMAP_LOCK) | writes(MEMORY | USERS)],
  // From one event of an operation to its next.
  ['mmu_notifier_invalidate_range_end>mmu_notifier_invalidate_range_start', writes(SEQUENCE | MEMORY)],
]);

/** The same for the end of one operation, where others end at the same point with more. */
const ENDS: ReadonlyMap<string, Touched> = new Map([
  ['lock mutex_lock', writes(LOCKS)],
  ['hmm_range_fault mmap_read_lock', reads(MMAP_LOCK | SEQUENCE | MEMORY) | writes(USERS)],
  ['hmm_range_fault walk_page_range', reads(MMAP_LOCK | SEQUENCE | MEMORY) | writes(USERS)],
]);

export function footprint(step: StepView): Touched {
  const own = step.touched | (step.host ? writes(HOST) : 0);
  if (step.point) return own;
  if (step.task.name === 'truncate') return EVERYTHING;
  return own | (kernelPart(step) ?? KERNEL);
}

/** By where a step begins, and by where it ends: no text is made for a step. */
interface Ends {
  readonly runnable: Map<string, Touched>;
  readonly asleep: Map<string, Touched>;
  ended: Touched | undefined;
}
const BY_POINT = new Map<string, Ends>();
for (const [step, touched] of TABLE) {
  const [from = '', to = ''] = step.split(/[>~.]/);
  let ends = BY_POINT.get(from);
  if (ends === undefined) BY_POINT.set(from, (ends = { runnable: new Map(), asleep: new Map(), ended: undefined }));
  if (step.endsWith('.')) ends.ended = touched;
  else ends[step[from.length] === '>' ? 'runnable' : 'asleep'].set(to, touched);
}

function kernelPart({ from, to, outcome, task }: StepView): Touched | undefined {
  const ends = BY_POINT.get(from);
  if (outcome === 'ended') return ends?.ended ?? ENDS.get(`${task.name} ${from}`);
  return ends?.[outcome].get(to);
}
