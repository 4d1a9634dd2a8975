/**
 * mmu_interval_notifier (mm/mmu_notifier.c): the interval tree and the sequence of an mm.
 *
 * The sequence is even while nothing that overlaps a notifier is under way, and odd from the first overlapping
 * start to the last end; while it is odd the tree is frozen, and insertions and removals are deferred to that end.
 */
import { HmmError } from '../errors.js';
import { Wait } from './engine/engine.js';
import { IntervalTree } from './interval-tree.js';
import type { InvalidationEvent } from '../backend.js';
import type { Engine, Routine } from './engine/engine.js';
import type { WaitBudget } from './wait-budget.js';

const INVALIDATE_MAP = 'invalidate callbacks';

/** struct mmu_notifier_range. */
export interface NotifierRange {
  readonly start: number;
  readonly end: number;
  readonly event: InvalidationEvent;
  /** A device id, of 'migrate' and 'exclusive' only. */
  readonly owner: number | null;
  /** False: callbacks must not wait, and may refuse. Default true. */
  readonly blockable?: boolean;
  /** Of all waits for the program that this invalidation makes; made by the first. */
  budget?: WaitBudget;
  /** A callback has refused: EAGAIN for whoever began it. */
  refused?: boolean;
  /** Whose callbacks have returned, for those who check that they did their work; kept only under a scheduler. */
  told?: IntervalNotifier[];
}

/** mmu_interval_notifier_ops. Must call setSequence(), as mmu_interval_set_seq says. */
export interface IntervalNotifierOps {
  /** A routine if it has to sleep. */
  invalidate(range: NotifierRange, sequence: number): Routine<void> | null;
}

/** struct mmu_interval_notifier. */
export class IntervalNotifier {
  /** Written under the caller's own lock by setSequence(); compared by readRetry(). */
  sequence = 0;
  /** Handle in the tree, or 0. */
  node = 0;
  inserted = false;

  constructor(
    readonly subscriptions: Subscriptions,
    readonly start: number,
    readonly length: number,
    readonly ops: IntervalNotifierOps,
  ) {}

  get end(): number {
    return this.start + this.length;
  }

  /** mmu_interval_set_seq */
  setSequence(sequence: number): void {
    this.sequence = sequence;
  }

  /** mmu_interval_read_retry, mmu_interval_check_retry */
  readRetry(sequence: number): boolean {
    return this.sequence !== sequence;
  }
}

/** struct mmu_notifier_subscriptions. Made by the first insertion on an mm; before that, events are not even counted. */
export class Subscriptions {
  /** invalidate_seq */
  sequence = 2;
  /** active_invalidate_ranges, listed: checkInvariant() asks what is under way. */
  readonly underway: NotifierRange[] = [];
  /** Grows with every change of what is under way, or of whose callbacks have returned. */
  changes = 0;
  readonly #engine: Engine;
  readonly #tree = new IntervalTree<IntervalNotifier>();
  /** Last in, first out, as an hlist is. */
  #deferred: IntervalNotifier[] = [];
  #waiters: Wait[] = [];

  constructor(engine: Engine) {
    this.#engine = engine;
    engine.locks?.created(this, INVALIDATE_MAP);
  }

  /** mn_itree_is_invalidating */
  get invalidating(): boolean {
    return (this.sequence & 1) === 1;
  }

  /** Notifiers in the tree. */
  get size(): number {
    return this.#tree.size;
  }

  /** __mmu_interval_notifier_insert; the caller has made sure that the process lives. */
  insert(start: number, length: number, ops: IntervalNotifierOps): IntervalNotifier {
    if (length === 0)
      throw new HmmError('EOVERFLOW', 'mmu_interval_notifier_insert', 'an interval has at least one byte');
    const notifier = new IntervalNotifier(this, start, length, ops);
    if (this.underway.length === 0) {
      // Odd, and never the current one: a read_begin that follows does not wait.
      notifier.sequence = this.sequence - 1;
      this.#link(notifier);
      return notifier;
    }
    if (this.invalidating) {
      this.#deferred.unshift(notifier);
    } else {
      this.sequence |= 1;
      this.#link(notifier);
    }
    // The invalidations under way will not call it, so its first read_begin must wait them out.
    notifier.sequence = this.sequence;
    return notifier;
  }

  /** mmu_interval_notifier_remove: on return no callback runs, and none will. */
  *remove(notifier: IntervalNotifier): Routine<void> {
    if (this.#engine.preemptive) yield 'mmu_interval_notifier_remove';
    if (!this.invalidating) {
      this.#unlink(notifier);
      return;
    }
    if (!notifier.inserted) {
      this.#deferred = this.#deferred.filter((other) => other !== notifier);
      return;
    }
    this.#deferred.unshift(notifier);
    yield* this.#waitWhile(this.sequence, 'mmu_interval_notifier_remove');
  }

  /** mmu_interval_read_begin: sleeps if this notifier was hit in the odd period that is under way, until its end. */
  *readBegin(notifier: IntervalNotifier): Routine<number> {
    if (this.#engine.preemptive) yield 'mmu_interval_read_begin';
    this.#engine.locks?.acquiring(this, INVALIDATE_MAP);
    const { sequence } = notifier;
    if (sequence === this.sequence) yield* this.#waitWhile(sequence, 'mmu_interval_read_begin');
    return sequence;
  }

  /**
   * mmu_notifier_invalidate_range_start, of a blockable event. The range stays under way until end(range).
   * @returns a routine only if there is anything to run: callbacks, or a scheduler that must be asked
   */
  start(range: NotifierRange): Routine<void> | null {
    if (this.#engine.preemptive) return this.#startPreemptible(range);
    return this.#start(range);
  }

  end(range: NotifierRange): void {
    this.underway.splice(this.underway.indexOf(range), 1);
    this.changes++;
    if (this.underway.length > 0 || !this.invalidating) return;
    this.sequence++;
    const deferred = this.#deferred;
    this.#deferred = [];
    for (const notifier of deferred) {
      if (notifier.inserted) this.#unlink(notifier);
      else this.#link(notifier);
    }
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wait of waiters) wait.settle();
  }

  *#startPreemptible(range: NotifierRange): Routine<void> {
    yield 'mmu_notifier_invalidate_range_start';
    const callbacks = this.#start(range);
    if (callbacks !== null) yield* callbacks;
  }

  #start(range: NotifierRange): Routine<void> | null {
    this.underway.push(range);
    this.changes++;
    const hits = this.#tree.query(range.start, range.end);
    if (hits.length === 0) return null;
    this.sequence |= 1;
    const { sequence } = this;
    for (let index = 0; index < hits.length; index++) {
      if (this.#engine.preemptive) return this.#invalidateFrom(hits, index, null, range, sequence);
      const sleeping = hits[index]!.ops.invalidate(range, sequence);
      if (sleeping !== null) return this.#invalidateFrom(hits, index + 1, sleeping, range, sequence);
      if (this.#refuses(range)) return null;
    }
    return null;
  }

  /** mn_itree_invalidate: one callback after the other, never two at a time. */
  *#invalidateFrom(
    hits: readonly IntervalNotifier[],
    from: number,
    first: Routine<void> | null,
    range: NotifierRange,
    sequence: number,
  ): Routine<void> {
    if (first !== null) yield* first;
    if (this.#refuses(range)) return;
    for (let index = from; index < hits.length; index++) {
      if (!this.#engine.preemptive) {
        const sleeping = hits[index]!.ops.invalidate(range, sequence);
        if (sleeping !== null) yield* sleeping;
        if (this.#refuses(range)) return;
        continue;
      }
      yield 'mn_itree_invalidate';
      // __mmu_notifier_invalidate_range_start_map: a lock for lockdep alone, which callbacks run under and read_begin takes.
      const { locks } = this.#engine;
      locks?.acquired(this, INVALIDATE_MAP);
      const sleeping = hits[index]!.ops.invalidate(range, sequence);
      if (sleeping !== null) yield* sleeping;
      locks?.released(this);
      if (this.#refuses(range)) return;
      (range.told ??= []).push(hits[index]!);
      this.changes++;
    }
  }

  /** The first callback that refuses a range is the last that is called for it, and the range ends there (mn_itree_inv_end). */
  #refuses(range: NotifierRange): boolean {
    if (range.refused !== true) return false;
    this.end(range);
    return true;
  }

  *#waitWhile(sequence: number, at: string): Routine<void> {
    while (this.sequence === sequence) {
      const wait = new Wait(this.#engine, at);
      this.#waiters.push(wait);
      yield wait;
    }
  }

  #link(notifier: IntervalNotifier): void {
    notifier.node = this.#tree.insert(notifier.start, notifier.end, notifier);
    notifier.inserted = true;
  }

  #unlink(notifier: IntervalNotifier): void {
    this.#tree.remove(notifier.node);
    notifier.inserted = false;
  }
}
