/**
 * What a step touches, so that steps that have nothing to do with each other need not be tried in both orders. A step is known by the preemption points that it
 * goes from and to: between two of them lies a known piece of the simulated kernel. The table names the pieces that touch little; every other step
 * counts as touching the whole kernel, so a piece that is not in the table costs schedules, never soundness. Code of the scenario's own that ran in the
 * step, or in answer to it, touches HOST, and what it called (engine.touch).
 *
 * All that the oracle looks at is one thing, MEMORY, and a driver's own table is part of it: steps that change any of it are never exchanged, so each
 * state that the oracle could tell from another is met with and without the reduction.
 *
 * That the table is right is tested by its results, with and without the reduction the same outcomes and the same violations, and by steps that change places where
 * it says that they may (test/explore).
 */
import {
  HOST,
  KERNEL,
  LOCKS,
  MEMORY,
  MMAP_LOCK,
  NOTIFIERS,
  PAGES,
  SEQUENCE,
  THREADS,
  USERS,
  reads,
  writes,
  type Touched,
} from '../simulation/engine/touch.js';
import type { StepView } from '../scheduler.js';

export { dependent, type Touched as Footprint } from '../simulation/engine/touch.js';

/** Files have a length that anybody can read. */
const EVERYTHING: Touched = KERNEL | writes(HOST);

/** A walk that ends: mmap_lock is released, and the mm let go. */
const WALKED = reads(MMAP_LOCK | PAGES) | writes(USERS);
/** A callback: of a Mirror, which looks whether its update lock is free, or of the scenario's, which may be waited for. */
const CALLBACK = reads(LOCKS) | writes(NOTIFIERS | MEMORY);
/** Page tables change, as the callbacks were told. */
const CHANGE = writes(MEMORY | PAGES);

/** 'from>to', 'from~to' for a step that ends asleep, 'from.' for one that ends the task. What is slept in is left by the code that the label of the same name begins. */
const TABLE: ReadonlyMap<string, Touched> = new Map([
  // A lock that is not to be had: its queue.
  ['mutex_lock~mutex_lock', writes(LOCKS)],
  ['mmap_read_lock~mmap_read_lock', writes(MMAP_LOCK)],
  ['mmap_write_lock~mmap_write_lock', writes(MMAP_LOCK)],
  // readBegin(), alone and in the loop of hmm.rst (fault-loop.ts), up to the lock that the walk is done under.
  ['mmu_interval_read_begin.', reads(SEQUENCE | NOTIFIERS)],
  ['mmu_interval_read_begin~mmu_interval_read_begin', reads(SEQUENCE | NOTIFIERS)],
  ['mmu_interval_read_begin>mmap_read_lock', reads(SEQUENCE | NOTIFIERS | USERS)],
  // hmm_range_fault (range-fault.ts): the walk looks, and only a fault changes anything. Readers of mmap_lock do not mind each other.
  ['mmap_read_lock>walk_page_range', reads(MMAP_LOCK | NOTIFIERS | PAGES)],
  ['mmap_read_lock>handle_mm_fault', reads(MMAP_LOCK | NOTIFIERS | PAGES)],
  ['mmap_read_lock>migration_entry_wait', reads(MMAP_LOCK | NOTIFIERS | PAGES)],
  ['mmap_read_lock>mmu_interval_read_begin', reads(NOTIFIERS) | WALKED],
  ['walk_page_range>walk_page_range', reads(PAGES)],
  ['walk_page_range>handle_mm_fault', reads(PAGES)],
  ['walk_page_range>migration_entry_wait', reads(PAGES)],
  ['walk_page_range>mutex_lock', WALKED],
  // A page that is being migrated is waited for, and the walk goes on where it was, or begins again.
  ['migration_entry_wait~migration_entry_wait', reads(PAGES)],
  ['migration_entry_wait>walk_page_range', reads(NOTIFIERS | PAGES)],
  ['migration_entry_wait>migration_entry_wait', reads(NOTIFIERS | PAGES)],
  ['migration_entry_wait>mmu_interval_read_begin', reads(NOTIFIERS) | WALKED],
  // The end of that loop. Where the answer holds, and goes into a page table, the mirror says so itself (engine.touch).
  ['mutex_lock>mmu_interval_read_begin', reads(LOCKS | NOTIFIERS)],
  // A fault that is resolved at once, in the walk of a driver.
  ['handle_mm_fault>handle_mm_fault', CHANGE],
  ['handle_mm_fault>walk_page_range', reads(MMAP_LOCK | NOTIFIERS) | CHANGE],
  ['handle_mm_fault>mmu_interval_read_begin', reads(MMAP_LOCK | NOTIFIERS) | writes(USERS) | CHANGE],
  // A load or a store by a CPU that faults, and one that copies the page.
  ['read>do_user_addr_fault', reads(USERS | PAGES)],
  ['write>do_user_addr_fault', reads(USERS) | writes(PAGES)],
  ['do_user_addr_fault>handle_mm_fault', reads(MMAP_LOCK | PAGES)],
  ['handle_mm_fault>mmu_notifier_invalidate_range_start', reads(MMAP_LOCK) | CHANGE],
  // What a system call does to the VMAs before it tells anybody (munmap.ts and the like).
  ['mmap_write_lock>mmu_notifier_invalidate_range_start', writes(MMAP_LOCK | MEMORY | PAGES)],
  // Subscriptions.#start with somebody to call: the sequence turns odd, and the range is under way.
  ['mmu_notifier_invalidate_range_start>zap_pte_range', writes(MEMORY)],
  ['mmu_notifier_invalidate_range_start>mn_itree_invalidate', writes(SEQUENCE | MEMORY)],
  ['mn_itree_invalidate>mn_itree_invalidate', CALLBACK],
  ['mn_itree_invalidate>zap_pte_range', CALLBACK],
  ['mn_itree_invalidate>change_pte_range', CALLBACK],
  ['mn_itree_invalidate>copy_pte_range', CALLBACK],
  ['mn_itree_invalidate>migrate_vma_collect', CALLBACK],
  ['mn_itree_invalidate~invalidate', writes(NOTIFIERS | MEMORY)],
  ['invalidate>mn_itree_invalidate', writes(MEMORY)],
  ['invalidate>zap_pte_range', writes(MEMORY)],
  ['invalidate>change_pte_range', writes(MEMORY)],
  ['invalidate>copy_pte_range', writes(MEMORY)],
  ['invalidate>migrate_vma_collect', writes(MEMORY)],
  ['zap_pte_range>mmu_notifier_invalidate_range_end', CHANGE],
  ['change_pte_range>mmu_notifier_invalidate_range_end', CHANGE],
  ['copy_pte_range>mmu_notifier_invalidate_range_end', CHANGE],
  // migrate_vma, phase by phase (migrate.ts); frames are locked and unlocked in all of them.
  ['mmap_read_lock>mmu_notifier_invalidate_range_start', reads(MMAP_LOCK) | CHANGE],
  ['migrate_vma_collect>mmu_notifier_invalidate_range_end', CHANGE],
  ['mmu_notifier_invalidate_range_end>migrate_device_unmap', writes(SEQUENCE | MEMORY)],
  ['migrate_device_unmap>migrate_vma_pages', CHANGE],
  // The content moves from one frame that nobody can reach to another: as far as references allow, which are looked at.
  ['migrate_vma_pages>migrate_vma_finalize', reads(PAGES)],
  ['migrate_vma_finalize>mmu_interval_read_begin', reads(MMAP_LOCK) | writes(USERS) | CHANGE],
  // From one event of an operation to its next.
  ['mmu_notifier_invalidate_range_end>mmu_notifier_invalidate_range_start', writes(SEQUENCE | MEMORY)],
]);

/** The last event of a system call is over; page tables that are empty go, mmap_lock, and what the thread holds. */
const RETURNS = writes(SEQUENCE | MEMORY | PAGES | MMAP_LOCK | THREADS | USERS);

/** The same for the end of one operation, where others end at the same point with more. */
const ENDS: ReadonlyMap<string, Touched> = new Map([
  ['munmap mmu_notifier_invalidate_range_end', RETURNS],
  ['mprotect mmu_notifier_invalidate_range_end', RETURNS],
  ['madvise mmu_notifier_invalidate_range_end', RETURNS],
  ['mremap mmu_notifier_invalidate_range_end', RETURNS],
  ['write mmu_notifier_invalidate_range_end', RETURNS],
  ['fork mmu_notifier_invalidate_range_end', RETURNS],
  ['lock mutex_lock', writes(LOCKS)],
  ['hmm_range_fault mmap_read_lock', reads(NOTIFIERS) | WALKED],
  ['hmm_range_fault walk_page_range', WALKED],
  ['hmm_range_fault migration_entry_wait', reads(NOTIFIERS) | WALKED],
  ['hmm_range_fault handle_mm_fault', reads(NOTIFIERS) | WALKED | CHANGE],
  ['populate mmap_read_lock', reads(NOTIFIERS) | WALKED],
  ['populate mutex_lock', reads(LOCKS | NOTIFIERS)],
  ['migrate_to_device mutex_lock', reads(LOCKS | NOTIFIERS)],
  ['migrate_to_system migrate_vma_finalize', reads(MMAP_LOCK) | writes(USERS) | CHANGE],
]);

export function footprint(step: StepView): Touched {
  const own = step.touched | (step.host ? writes(HOST) : 0);
  return step.point ? own : own | kernelPart(step);
}

/** By where a step begins, then by where it ends, or which operation ends there: no text is made for a step. */
interface Ends {
  readonly runnable: Map<string, Touched>;
  readonly asleep: Map<string, Touched>;
  /** Whichever operation it is. */
  ended: Touched | undefined;
  readonly operations: Map<string, Touched>;
}
const BY_POINT = new Map<string, Ends>();

function endsOf(from: string): Ends {
  let ends = BY_POINT.get(from);
  if (ends === undefined) {
    ends = { runnable: new Map(), asleep: new Map(), ended: undefined, operations: new Map() };
    BY_POINT.set(from, ends);
  }
  return ends;
}

for (const [step, touched] of TABLE) {
  const [from = '', to = ''] = step.split(/[>~.]/);
  const ends = endsOf(from);
  if (step.endsWith('.')) ends.ended = touched;
  else ends[step[from.length] === '>' ? 'runnable' : 'asleep'].set(to, touched);
}
for (const [end, touched] of ENDS) {
  const [operation = '', from = ''] = end.split(' ');
  endsOf(from).operations.set(operation, touched);
}

/** The last step that was looked up. Most steps of a long walk are like the one before, and each is asked for by the oracle and by the strategy. */
let lastFrom = '';
let lastTo = '';
let lastOutcome: StepView['outcome'] = 'ended';
let lastName = '';
let last: Touched = KERNEL;

function kernelPart({ from, to, outcome, task: { name } }: StepView): Touched {
  if (from !== lastFrom || to !== lastTo || outcome !== lastOutcome || name !== lastName) {
    lastFrom = from;
    lastTo = to;
    lastOutcome = outcome;
    lastName = name;
    last = lookUp(from, to, outcome, name);
  }
  return last;
}

function lookUp(from: string, to: string, outcome: StepView['outcome'], name: string): Touched {
  if (name === 'truncate') return EVERYTHING;
  const ends = BY_POINT.get(from);
  if (outcome === 'ended') return ends?.ended ?? ends?.operations.get(name) ?? KERNEL;
  return ends?.[outcome].get(to) ?? KERNEL;
}
