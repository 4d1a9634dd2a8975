/** The driver's side of hmm_range_fault: one call of it, and the loop of Documentation/mm/hmm.rst (kernel-module/fault.c). */
import { HmmError } from '../errors.js';
import { hmmRangeFault, hmmRangeSnapshot } from './range-fault.js';
import { retryDeadline } from './deadline.js';
import type { IntervalNotifier } from './notifiers.js';
import type { Mm } from './mm.js';
import type { Routine } from './engine/engine.js';
import type { UpdateLock } from './update-lock.js';
import type { WalkOutcome, WalkRange } from './range-fault.js';

/** hmm_range_fault as a driver calls it: EBUSY is an error. */
export function* rangeFaultOnce(mm: Mm, notifier: IntervalNotifier, range: WalkRange): Routine<undefined | HmmError> {
  return errorOf(yield* walk(mm, notifier, range), range);
}

/**
 * The same at once, without a task, for a range that requests nothing. Null: not while somebody changes the address space, nor where a scheduler has to be asked.
 */
export function snapshotAtOnce(mm: Mm, notifier: IntervalNotifier, range: WalkRange): undefined | null | HmmError {
  if (mm.engine.preemptive || range.defaultFlags !== 0n || range.pfnFlagsMask !== 0n) return null;
  if (!mm.tryGet()) return gone();
  try {
    if (!mm.lock.tryRead()) return null;
    try {
      return errorOf(hmmRangeSnapshot(mm, notifier, range), range);
    } finally {
      mm.lock.unlockRead();
    }
  } finally {
    mm.put();
  }
}

function errorOf(outcome: WalkOutcome, range: WalkRange): undefined | HmmError {
  if (outcome === true) return undefined;
  if (outcome !== false) return outcome;
  return new HmmError('EBUSY', 'hmm_range_fault', undefined, { done: range.done ?? 0 });
}

function gone(): HmmError {
  return new HmmError('EFAULT', 'hmm_range_fault', 'the process has gone', { done: 0 });
}

/** hmm_range_fault with the lifetime and the lock that it asks for. EFAULT also if the process has gone. False: EBUSY. */
function* walk(mm: Mm, notifier: IntervalNotifier, range: WalkRange): Routine<WalkOutcome> {
  if (!mm.tryGet()) return gone();
  try {
    if (mm.engine.preemptive || !mm.lock.tryRead()) yield* mm.lock.read();
    try {
      return yield* hmmRangeFault(mm, notifier, range);
    } finally {
      mm.lock.unlockRead();
    }
  } finally {
    mm.put();
  }
}

export interface LoopRequest<T> {
  readonly mm: Mm;
  readonly notifier: IntervalNotifier;
  /** null: only this loop uses the notifier. */
  readonly updateLock: UpdateLock | null;
  readonly start: number;
  readonly end: number;
  readonly defaultFlags: bigint;
  /** dev_private_owner */
  readonly owner: number | null;
  /** Scratch, one per page; holds the outputs when commit is called. */
  readonly pfns: BigUint64Array;
  /** Runs under the update lock with a sequence that still holds. Must not yield: that is what the lock is worth here. */
  commit(pfns: BigUint64Array): T;
}

/** An HmmError: EFAULT or EPERM, as hmm_range_fault says, or EBUSY after the deadline. */
export function* runFaultLoop<T>(request: LoopRequest<T>): Routine<{ value: T; retries: number } | HmmError> {
  const { mm, notifier, updateLock, start, end, defaultFlags, owner, pfns } = request;
  const isOver = retryDeadline(mm.machine);
  for (let retries = 0; ; retries++) {
    const notifierSequence = yield* notifier.subscriptions.readBegin(notifier);
    // The mask is 0: what an earlier attempt left in pfns is no request.
    const range: WalkRange = { start, end, notifierSequence, defaultFlags, pfnFlagsMask: 0n, owner, pfns };
    const outcome = yield* walk(mm, notifier, range);
    if (typeof outcome !== 'boolean') return outcome;
    if (outcome) {
      if (updateLock !== null) yield* updateLock.begin();
      if (!notifier.readRetry(notifierSequence)) return { value: request.commit(pfns), retries };
    }
    if (isOver()) return new HmmError('EBUSY', 'hmm_range_fault', undefined, { done: 0 });
  }
}
