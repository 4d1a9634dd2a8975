/**
 * The driver of Documentation/mm/hmm.rst: a notifier, the device's page table, and the loop that fills it. The twin of the
 * module's (kernel-module/notifier.c, fault.c, access.c, query.c), chunk by chunk of 2 MiB as it is there.
 */
import { HMM_PFN_VALID, HMM_PFN_WRITE, MAX_RANGE_PAGES } from '../constants.js';
import { HmmError } from '../errors.js';
import { MEMORY, reads, writes } from './engine/touch.js';
import { PAGE, PMD_SIZE, alignDown, pageAlign } from './layout.js';
import { PAGE_DIRTY } from './frames.js';
import { withoutExclusive } from '../backend.js';
import { atomicAdd, makeExclusive, tryAtomicAdd } from './mirror-exclusive.js';
import { HIGH_VALID, HIGH_WRITE, highWord } from './page-table.js';
import { locationsOf } from './locations.js';
import { migrateRange } from './device-migration.js';
import { runFaultLoop } from './fault-loop.js';
import type { BackendMirror, BackendNotifier, MaybePromise, MigrateResult, MirrorPages } from '../backend.js';
import type { ExclusiveMirror } from './mirror-exclusive.js';
import type { IntervalNotifier } from './notifiers.js';
import type { MirrorOps } from './mirror-ops.js';
import type { Mm } from './mm.js';
import type { PopulateOptions, PopulateResult } from '../backend.js';
import type { RangeMigration } from './device-migration.js';
import type { Routine } from './engine/engine.js';
import type { UpdateLock } from './update-lock.js';

export class Mirror implements BackendMirror {
  readonly notifier: BackendNotifier;
  readonly updateLock: UpdateLock;
  readonly #mm: Mm;
  readonly #ops: MirrorOps;
  readonly #interval: IntervalNotifier;
  /** Whose mirror it is: what it moves to the device is moved back when that is closed. */
  readonly #context: object;
  readonly #exclusive: ExclusiveMirror;

  constructor(mm: Mm, ops: MirrorOps, interval: IntervalNotifier, notifier: BackendNotifier, context: object) {
    this.#mm = mm;
    this.#context = context;
    this.#exclusive = { mm, ops, interval };
    this.#ops = ops;
    this.#interval = interval;
    this.notifier = notifier;
    this.updateLock = ops.updateLock;
  }

  populate(start: number, end: number, options: PopulateOptions): MaybePromise<PopulateResult> {
    if (options.write && options.snapshot) throw new HmmError('EINVAL', 'populate', 'a snapshot faults nothing');
    this.#checkPages(start, end, 'populate');
    return this.#mm.engine.start('populate', this.#populate(start, end, options), 0);
  }

  read(address: number, length: number, into?: Uint8Array): MaybePromise<Uint8Array> {
    this.#checkBytes(address, length, 'device_read');
    const bytes = into === undefined ? new Uint8Array(length) : into.subarray(0, length);
    const { frames, engine } = this.#mm;
    const move = (frame: number, offset: number, at: number, count: number): void => {
      frames.read(frame, offset, bytes, at, count);
    };
    if (!engine.preemptive && this.#moveValid(address, 0, length, false, move) === length) return bytes;
    return engine.start('device_read', this.#access(address, length, false, 'device_read', move, bytes), 0);
  }

  write(address: number, bytes: Uint8Array): MaybePromise<void> {
    this.#checkBytes(address, bytes.length, 'device_write');
    const { frames, engine } = this.#mm;
    const move = (frame: number, offset: number, at: number, count: number): void => {
      frames.flags[frame]! |= PAGE_DIRTY;
      frames.write(frame, offset, bytes, at, count);
    };
    if (!engine.preemptive && this.#moveValid(address, 0, bytes.length, true, move) === bytes.length) return undefined;
    return engine.start('device_write', this.#access(address, bytes.length, true, 'device_write', move, undefined), 0);
  }

  migrateToDevice(start: number, end: number): MaybePromise<MigrateResult> {
    return this.#migrate(start, end, true, 'migrate_to_device');
  }

  migrateToSystem(start: number, end: number): MaybePromise<MigrateResult> {
    return this.#migrate(start, end, false, 'migrate_to_system');
  }

  makeExclusive(start: number, end: number): MaybePromise<{ pages: number }> {
    const syscall = 'make_device_exclusive_range';
    this.#checkPages(start, end, syscall);
    return this.#mm.engine.start(syscall, makeExclusive(this.#exclusive, start, end));
  }

  atomicAdd(address: number, value: bigint): MaybePromise<bigint> {
    const syscall = 'device_atomic';
    if (address % 8 !== 0) throw new HmmError('EINVAL', syscall, 'the address is not a multiple of 8');
    this.#checkBytes(address, 8, syscall);
    const { engine } = this.#mm;
    const old = engine.preemptive ? null : tryAtomicAdd(this.#exclusive, address, value);
    return old ?? engine.start(syscall, atomicAdd(this.#exclusive, address, value));
  }

  query(start: number, end: number): MaybePromise<MirrorPages> {
    this.#checkPages(start, end, 'query');
    return this.#mm.engine.start('query', this.#query(start, end), 0);
  }

  entries(start: number, end: number, into?: BigUint64Array): MaybePromise<BigUint64Array> {
    this.#checkPages(start, end, 'query');
    this.#mm.engine.touch(reads(MEMORY));
    const { pageTable } = this.#ops;
    const entries = pageTable.read(start, end, into);
    return pageTable.exclusive ? withoutExclusive(entries) : entries;
  }

  #migrate(start: number, end: number, toDevice: boolean, syscall: string): MaybePromise<MigrateResult> {
    this.#checkPages(start, end, syscall);
    const memory = this.#mm.machine.devices.memory(this.#ops.device);
    if (memory === null) throw new HmmError('EOPNOTSUPP', syscall, 'the device has no memory of its own');
    const request = { mm: this.#mm, memory, context: this.#context, start, end, toDevice };
    const snapshot: PopulateOptions = { write: false, snapshot: true };
    // The events emptied the device page table: what is there now, moved or not, is taken in without a fault.
    const settled = (from: number, to: number): Routine<unknown> => this.#populateChunk(from, to, snapshot, syscall);
    return this.#mm.engine.start(syscall, this.#migrateAll(toDevice ? { ...request, settled } : request));
  }

  *#migrateAll(request: RangeMigration): Routine<MigrateResult> {
    return { migrated: yield* migrateRange(request) };
  }

  *#populate(start: number, end: number, options: PopulateOptions): Routine<PopulateResult | HmmError> {
    let pages = 0;
    let retries = 0;
    for (let at = start; at < end; at = chunkEnd(at, end)) {
      const done = yield* this.#populateChunk(at, chunkEnd(at, end), options, 'populate');
      if (done instanceof HmmError) return done;
      pages += done.pages;
      retries += done.retries;
    }
    return { pages, retries };
  }

  /** [start, end), inside one chunk. */
  *#populateChunk(
    start: number,
    end: number,
    options: PopulateOptions,
    syscall: string,
  ): Routine<PopulateResult | HmmError> {
    const required = options.snapshot ? 0n : options.write ? HMM_PFN_VALID | HMM_PFN_WRITE : HMM_PFN_VALID;
    try {
      const outcome = yield* runFaultLoop({
        mm: this.#mm,
        notifier: this.#interval,
        updateLock: this.updateLock,
        start,
        end,
        // The request bits are the output bits.
        defaultFlags: required,
        owner: this.#ops.device,
        pfns: new BigUint64Array((end - start) / PAGE),
        commit: (pfns) => {
          checkFilled(pfns, required);
          this.#mm.engine.touch(writes(MEMORY));
          return this.#ops.pageTable.store(start, pfns);
        },
      });
      if (outcome instanceof HmmError) return renamed(outcome, syscall, outcome.address);
      return { pages: outcome.value, retries: outcome.retries };
    } catch (error) {
      if (!(error instanceof HmmError)) throw error;
      return renamed(error, syscall, error.address);
    }
  }

  /**
   * Moves what the page table allows, and faults what is missing, for the rest of the chunk; if that fails, page by page, so
   * that the bytes before the page that is really at fault are moved.
   */
  *#access<T>(
    address: number,
    length: number,
    write: boolean,
    syscall: string,
    move: Mover,
    value: T,
  ): Routine<T | HmmError> {
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
      const outcome = yield* this.#populateChunk(first, end, options, syscall);
      if (!(outcome instanceof HmmError)) continue;
      const divisible = end - first > PAGE && (outcome.code === 'EFAULT' || outcome.code === 'EPERM');
      if (!divisible) return renamed(outcome, syscall, address + done, done);
      singleUntil = end;
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

  *#query(start: number, end: number): Routine<MirrorPages | HmmError> {
    try {
      const outcome = yield* runFaultLoop({
        mm: this.#mm,
        notifier: this.#interval,
        updateLock: this.updateLock,
        start,
        end,
        defaultFlags: 0n,
        owner: this.#ops.device,
        pfns: new BigUint64Array((end - start) / PAGE),
        commit: (pfns) => ({
          pfns,
          entries: this.#ops.pageTable.read(start, end),
          locations: locationsOf(this.#mm.frames, pfns),
        }),
      });
      return outcome instanceof HmmError ? renamed(outcome, 'query', outcome.address) : outcome.value;
    } catch (error) {
      if (!(error instanceof HmmError)) throw error;
      return renamed(error, 'query', error.address);
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

/** hmm_range_fault succeeds with less than was asked for where the device's own private memory is read-only (after a fork, say). */
function checkFilled(pfns: BigUint64Array, required: bigint): void {
  if (required === 0n) return;
  // By halves: 64-bit numbers would be made of 512 entries.
  const words = new Int32Array(pfns.buffer, pfns.byteOffset, pfns.length * 2);
  const needed = (required & HMM_PFN_WRITE) !== 0n ? HIGH_VALID | HIGH_WRITE : HIGH_VALID;
  let index = 0;
  while (index < pfns.length && (words[highWord(index)]! & needed) === needed) index++;
  if (index === pfns.length) return;
  throw new HmmError('EFAULT', 'populate', 'a page of the device’s own memory is read-only');
}

/** The same refusal, of the mirror's operation rather than of the call that it made. */
function renamed(error: HmmError, syscall: string, address?: number, done?: number): HmmError {
  return new HmmError(error.code, syscall, undefined, {
    ...(address === undefined ? {} : { address }),
    ...(done === undefined ? {} : { done }),
    cause: error,
  });
}
