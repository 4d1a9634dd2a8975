import type {
  BackendAddressSpace,
  BackendNotifier,
  Invalidation,
  InvalidationEvent,
  InvalidationSink,
} from './backend.js';
import type { Device } from './device.js';
import { HmmError } from './errors.js';
import { BACKEND, SESSION, closedError, type Session, type SpaceHandle } from './session.js';
import { checkInteger } from './validate.js';

/** struct mmu_notifier_range, as an invalidate callback receives it. Addresses in bytes, `end` exclusive. */
export interface NotifierRange {
  readonly start: number;
  /** For an event over the whole address space ('release', and the 'unmap' after it): 2^64. */
  readonly end: number;
  /** False: the callback must not wait, and may return false. Only the OOM reaper does this. */
  readonly blockable: boolean;
  /** Whose migration or exclusive access it is; null for every other event, for which the kernel defines none. */
  readonly owner: Device | null;
  readonly event: InvalidationEvent;
}

/** struct mmu_interval_notifier_ops. */
export interface NotifierOps {
  /**
   * Runs before the operation of the CPU that caused it returns, and before the page table changes. May be async: the
   * operation waits, at most for the bound (`callbackTimeout` of openHmm). `sequence` is what
   * mmu_interval_set_seq() was given; it has been set when this runs. Returning false is only allowed
   * when !range.blockable, and means: try again later (EAGAIN). What it throws is thrown by the next call on the notifier.
   */
  invalidate(range: NotifierRange, sequence: number): void | boolean | Promise<void | boolean>;
}

/** @internal The range that a callback of a session sees. */
export function toNotifierRange(event: Invalidation, devices: readonly Device[]): NotifierRange {
  const { start, end, blockable, owner } = event;
  return { start, end, blockable, owner: owner === null ? null : (devices[owner] ?? null), event: event.event };
}

/**
 * Calls the user's invalidate() for the backend, which wants an answer and no exception: what goes wrong is
 * kept here until the next call on the notifier.
 * @internal
 */
export class CallbackSink implements InvalidationSink {
  readonly #ops: NotifierOps;
  readonly #devices: readonly Device[];
  #failure: HmmError | null = null;

  constructor(ops: NotifierOps, devices: readonly Device[]) {
    this.#ops = ops;
    this.#devices = devices;
  }

  invalidate(event: Invalidation): boolean | Promise<boolean> {
    try {
      const answer = this.#ops.invalidate(toNotifierRange(event, this.#devices), event.sequence);
      if (typeof answer === 'object') {
        return Promise.resolve(answer).then(
          (value) => this.#accept(event, value),
          (cause: unknown) => this.#reject(event, 'rejected', cause),
        );
      }
      return this.#accept(event, answer);
    } catch (cause) {
      return this.#reject(event, 'threw', cause);
    }
  }

  timedOut(event: Invalidation): void {
    this.#failure ??= new HmmError(
      'ETIMEDOUT',
      'invalidate',
      `invalidate() of '${event.event}' did not finish in time, the operation went on without it`,
      { address: event.start },
    );
  }

  get failure(): HmmError | null {
    return this.#failure;
  }

  /** Throws, once, what went wrong in a callback since the last call. */
  throwFailure(): void {
    if (this.#failure === null) return;
    const failure = this.#failure;
    this.#failure = null;
    throw failure;
  }

  #accept(event: Invalidation, answer: void | boolean): boolean {
    if (answer !== false) return true;
    if (!event.blockable) return false;
    return this.#reject(event, 'returned false for a blockable event,', undefined);
  }

  #reject(event: Invalidation, how: string, cause: unknown): boolean {
    this.#failure ??= new HmmError('ERR_HMM_CALLBACK', 'invalidate', `invalidate() ${how} in '${event.event}'`, {
      address: event.start,
      cause,
    });
    return true;
  }
}

/** mmu_interval_notifier: a registered interval of an address space. */
export class IntervalNotifier implements AsyncDisposable {
  /** First byte of the interval. */
  readonly start: number;
  /** Bytes. */
  readonly length: number;
  /** @internal */
  readonly [SESSION]: Session;
  readonly #space: SpaceHandle;
  readonly #backend: BackendNotifier;
  readonly #sink: CallbackSink | null;
  #removal: Promise<void> | null = null;

  /** @internal */
  constructor(space: SpaceHandle, backend: BackendNotifier, sink: CallbackSink | null) {
    this[SESSION] = space[SESSION];
    this.#space = space;
    this.#backend = backend;
    this.#sink = sink;
    this.start = backend.start;
    this.length = backend.length;
  }

  /** mmu_interval_read_begin(): waits while an invalidation that covers the interval is under way. */
  async readBegin(): Promise<number> {
    this.#check('mmu_interval_read_begin');
    return await this[SESSION].share.settle(this.#backend.readBegin());
  }

  /**
   * mmu_interval_read_retry(): true if what was read since `readBegin` returned `sequence` may be stale. Call it with the update
   * lock held that invalidate() takes, else an invalidation may come between the answer and its use.
   */
  readRetry(sequence: number): boolean {
    checkInteger(sequence, 'sequence');
    this.#check('mmu_interval_read_retry');
    return this.#backend.readRetry(sequence);
  }

  /**
   * mmu_interval_notifier_remove(): resolves when no callback is running and none will. Not from inside the callback: as in
   * the kernel, it would wait for itself.
   */
  async remove(): Promise<void> {
    this.#check('mmu_interval_notifier_remove');
    await this.#remove();
  }

  /** remove(), if nobody did; then throws what went wrong in a callback and no call has told yet. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#remove();
    this.#sink?.throwFailure();
  }

  /** @internal The backend's notifier, if this one may still be used. */
  [BACKEND](syscall: string): BackendNotifier {
    this.#check(syscall);
    return this.#backend;
  }

  /** @internal The backend's address space: as long as the notifier may be used, so may its space. */
  backendSpace(): BackendAddressSpace {
    return this.#space[BACKEND]('hmm_range_fault');
  }

  #remove(): Promise<void> {
    // An address space that closes removes its notifiers itself.
    this.#removal ??= this.#space.closed ? Promise.resolve() : this.#backend.remove();
    return this.#removal;
  }

  #check(syscall: string): void {
    if (this.#removal !== null || this.#space.closed) throw closedError('notifier', syscall);
    this.#sink?.throwFailure();
  }
}
