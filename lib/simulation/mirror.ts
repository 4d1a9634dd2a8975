/**
 * The driver of Documentation/mm/hmm.rst: a notifier, the device's page table, and the loop that fills it. The twin of the
 * module's (kernel-module/notifier.c, fault.c, access.c, query.c), chunk by chunk of 2 MiB as it is there.
 */
import { DevicePageTable } from './device-page-table.js';
import { HMM_PFN_VALID, HMM_PFN_WRITE, MAX_RANGE_PAGES } from '../constants.js';
import { HmmError } from '../errors.js';
import { PAGE, PMD_SIZE, alignDown, pageAlign } from './layout.js';
import { PAGE_DIRTY } from './frames.js';
import { UpdateLock } from './update-lock.js';
import { invalidationOf } from './callback.js';
import { runFaultLoop } from './fault-loop.js';
import type { BackendMirror, BackendNotifier, EventSink, MaybePromise, MirrorPages } from '../backend.js';
import type { IntervalNotifier, IntervalNotifierOps, NotifierRange } from './notifiers.js';
import type { Mm } from './mm.js';
import type { PopulateOptions, PopulateResult } from '../backend.js';
import type { Routine } from './engine/engine.js';

/** The invalidate callback: under the lock the sequence and the page table, and then the events. */
export class MirrorOps implements IntervalNotifierOps {
  readonly pageTable = new DevicePageTable();
  readonly updateLock: UpdateLock;
  notifier: IntervalNotifier | null = null;
  /** Set by removal: nothing is put into the page table any more. */
  removed = false;
  readonly #mm: Mm;
  readonly #sink: EventSink;

  constructor(mm: Mm, sink: EventSink) {
    this.#mm = mm;
    this.#sink = sink;
    this.updateLock = new UpdateLock(mm.engine);
  }

  invalidate(range: NotifierRange, sequence: number): Routine<void> | null {
    const waiting = this.updateLock.beginInvalidation(this.#mm.machine.callbackTimeout);
    if (waiting !== null) return this.#invalidateAfter(waiting, range, sequence);
    this.#invalidateLocked(range, sequence);
    return null;
  }

  *#invalidateAfter(waiting: Routine<void>, range: NotifierRange, sequence: number): Routine<void> {
    yield* waiting;
    this.#invalidateLocked(range, sequence);
  }

  #invalidateLocked(range: NotifierRange, sequence: number): void {
    const notifier = this.notifier!;
    notifier.setSequence(sequence);
    this.pageTable.clear(Math.max(range.start, notifier.start), Math.min(range.end, notifier.end));
    if (!this.removed) this.#sink.event(invalidationOf(range, sequence, this.#mm.machine.tick()), 0);
  }
}

export class Mirror implements BackendMirror {
  readonly notifier: BackendNotifier;
  readonly updateLock: UpdateLock;
  readonly #mm: Mm;
  readonly #ops: MirrorOps;
  readonly #interval: IntervalNotifier;

  constructor(mm: Mm, ops: MirrorOps, interval: IntervalNotifier, notifier: BackendNotifier) {
    this.#mm = mm;
    this.#ops = ops;
    this.#interval = interval;
    this.notifier = notifier;
    this.updateLock = ops.updateLock;
  }

  populate(start: number, end: number, options: PopulateOptions): MaybePromise<PopulateResult> {
    if (options.write && options.snapshot) throw new HmmError('EINVAL', 'populate', 'a snapshot faults nothing');
    this.#checkPages(start, end, 'populate');
    return this.#mm.engine.start('populate', this.#populate(start, end, options));
  }

  read(address: number, length: number, into?: Uint8Array): MaybePromise<Uint8Array> {
    this.#checkBytes(address, length, 'device_read');
    const bytes = into === undefined ? new Uint8Array(length) : into.subarray(0, length);
    const { frames, engine } = this.#mm;
    const move = (frame: number, offset: number, at: number, count: number): void => {
      frames.read(frame, offset, bytes, at, count);
    };
    if (!engine.preemptive && this.#moveValid(address, 0, length, false, move) === length) return bytes;
    return engine.start('device_read', this.#access(address, length, false, 'device_read', move, bytes));
  }

  write(address: number, bytes: Uint8Array): MaybePromise<void> {
    this.#checkBytes(address, bytes.length, 'device_write');
    const { frames, engine } = this.#mm;
    const move = (frame: number, offset: number, at: number, count: number): void => {
      frames.flags[frame]! |= PAGE_DIRTY;
      frames.write(frame, offset, bytes, at, count);
    };
    if (!engine.preemptive && this.#moveValid(address, 0, bytes.length, true, move) === bytes.length) return undefined;
    return engine.start('device_write', this.#access(address, bytes.length, true, 'device_write', move, undefined));
  }

  query(start: number, end: number): MaybePromise<MirrorPages> {
    this.#checkPages(start, end, 'query');
    return this.#mm.engine.start('query', this.#query(start, end));
  }

  entries(start: number, end: number): MaybePromise<BigUint64Array> {
    this.#checkPages(start, end, 'query');
    return this.#ops.pageTable.read(start, end);
  }

  *#populate(start: number, end: number, options: PopulateOptions): Routine<PopulateResult> {
    let pages = 0;
    let retries = 0;
    for (let at = start; at < end; at = chunkEnd(at, end)) {
      const done = yield* this.#populateChunk(at, chunkEnd(at, end), options, 'populate');
      pages += done.pages;
      retries += done.retries;
    }
    return { pages, retries };
  }

  /** [start, end), inside one chunk. */
  *#populateChunk(start: number, end: number, options: PopulateOptions, syscall: string): Routine<PopulateResult> {
    const required = options.snapshot ? 0n : options.write ? HMM_PFN_VALID | HMM_PFN_WRITE : HMM_PFN_VALID;
    try {
      const { value, retries } = yield* runFaultLoop({
        mm: this.#mm,
        notifier: this.#interval,
        updateLock: this.updateLock,
        start,
        end,
        // The request bits are the output bits.
        defaultFlags: required,
        pfns: new BigUint64Array((end - start) / PAGE),
        commit: (pfns) => this.#ops.pageTable.store(start, pfns),
      });
      return { pages: value, retries };
    } catch (error) {
      if (!(error instanceof HmmError)) throw error;
      throw renamed(error, syscall, error.address);
    }
  }

  /**
   * Moves what the page table allows, and faults what is missing, for the rest of the chunk; if that fails, page by page, so
   * that the bytes before the page that is really at fault are moved.
   */
  *#access<T>(address: number, length: number, write: boolean, syscall: string, move: Mover, value: T): Routine<T> {
    const options: PopulateOptions = { write, snapshot: false };
    let singleUntil = 0;
    let done = 0;
    for (;;) {
      if (this.#mm.engine.preemptive) yield 'device_access';
      this.#checkRemoved(syscall);
      done = this.#moveValid(address, done, length, write, move);
      if (done === length) return value;
      const first = alignDown(address + done, PAGE);
      const end = first < singleUntil ? first + PAGE : chunkEnd(first, pageAlign(address + length));
      try {
        yield* this.#populateChunk(first, end, options, syscall);
      } catch (error) {
        if (!(error instanceof HmmError)) throw error;
        const divisible = end - first > PAGE && (error.code === 'EFAULT' || error.code === 'EPERM');
        if (!divisible) throw renamed(error, syscall, address + done, done);
        singleUntil = end;
      }
    }
  }

  /** From `done` on to the first page that has no fitting entry. Returns how many bytes are done then. */
  #moveValid(address: number, done: number, length: number, write: boolean, move: Mover): number {
    let at = done;
    while (at < length) {
      const here = address + at;
      const frame = this.#ops.pageTable.frame(here, write);
      if (frame === 0) break;
      const offset = here % PAGE;
      const count = Math.min(PAGE - offset, length - at);
      move(frame, offset, at, count);
      at += count;
    }
    return at;
  }

  *#query(start: number, end: number): Routine<MirrorPages> {
    try {
      const { value } = yield* runFaultLoop({
        mm: this.#mm,
        notifier: this.#interval,
        updateLock: this.updateLock,
        start,
        end,
        defaultFlags: 0n,
        pfns: new BigUint64Array((end - start) / PAGE),
        commit: (pfns) => ({ pfns, entries: this.#ops.pageTable.read(start, end) }),
      });
      return value;
    } catch (error) {
      if (!(error instanceof HmmError)) throw error;
      throw renamed(error, 'query', error.address);
    }
  }

  #checkPages(start: number, end: number, syscall: string): void {
    if (start >= end || start % PAGE !== 0 || end % PAGE !== 0) {
      throw new HmmError('EINVAL', syscall, 'the range is empty, or not of whole pages');
    }
    if ((end - start) / PAGE > MAX_RANGE_PAGES) throw new HmmError('EINVAL', syscall, 'too many pages for one call');
    this.#checkRemoved(syscall);
    this.#checkInside(start, end, syscall);
  }

  #checkBytes(address: number, length: number, syscall: string): void {
    if (length === 0) throw new HmmError('EINVAL', syscall, 'the length is 0');
    const pages = (pageAlign(address + length) - alignDown(address, PAGE)) / PAGE;
    if (pages > MAX_RANGE_PAGES) throw new HmmError('EINVAL', syscall, 'too many pages for one call');
    this.#checkRemoved(syscall);
    this.#checkInside(address, address + length, syscall);
  }

  #checkInside(start: number, end: number, syscall: string): void {
    if (start < this.#interval.start || end > this.#interval.end) {
      throw new HmmError('EINVAL', syscall, 'outside the span of the mirror');
    }
  }

  #checkRemoved(syscall: string): void {
    if (this.#ops.removed) throw new HmmError('ENOENT', syscall, 'the mirror has been removed');
  }
}

type Mover = (frame: number, offset: number, at: number, count: number) => void;

function chunkEnd(address: number, end: number): number {
  return Math.min(end, alignDown(address, PMD_SIZE) + PMD_SIZE);
}

/** The same refusal, of the mirror's operation rather than of the call that it made. */
function renamed(error: HmmError, syscall: string, address?: number, done?: number): HmmError {
  return new HmmError(error.code, syscall, undefined, {
    ...(address === undefined ? {} : { address }),
    ...(done === undefined ? {} : { done }),
    cause: error,
  });
}
