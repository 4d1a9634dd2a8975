import { lengthOf } from './array-length.js';
import type { BackendMirror, EventSink, Invalidation } from './backend.js';
import { MAX_ACCESS, type Device } from './device.js';
import type { EventQueue } from './event-queue.js';
import { Lock } from './lock.js';
import { IntervalNotifier, toNotifierRange, type NotifierRange } from './notifier.js';
import { pageStates, type PageState } from './page-state.js';
import { BACKEND, SESSION, closedError, type Session, type SpaceHandle } from './session.js';
import {
  checkAddend,
  checkBoolean,
  checkBytes,
  checkEntries,
  checkInteger,
  checkKeys,
  checkSpan,
  orElse,
} from './validate.js';

/** An invalidation that emptied a part of a mirror's page table. */
export interface MirrorEvent extends NotifierRange {
  /** mmu_interval's cur_seq. */
  readonly sequence: number;
  /** Nanoseconds of a monotonic clock; simulated: a counter. */
  readonly timestamp: bigint;
  /** Events dropped just before this one because nobody took them in time; 0 where none was. */
  readonly lost: number;
}

/**
 * The device page table of a mirror, to look at. It changes only by populate, by accesses, by migration and exclusive access, and by
 * invalidations. Which entries are exclusive `snapshot` tells: there is no flag for it in what `get` and `entries` give, so that those serve
 * `device.read` as they are.
 */
export interface DevicePageTable {
  /** HMM_PFN_VALID, HMM_PFN_WRITE and the frame of the page at `address`; 0n if the device has no entry. */
  get(address: number): Promise<bigint>;
  /**
   * One entry per page of [start, end).
   * @param into where to, at least that many entries, not to be used meanwhile; default: a new array
   * @returns a new array, or the part of `into` that was filled
   */
  entries(start: number, end: number, into?: BigUint64Array): Promise<BigUint64Array>;
}

export interface MirrorPopulateOptions {
  /** The device will write: fault for writing. Default false. */
  readonly write?: boolean;
  /** Take what is present, fault nothing. Default false. */
  readonly snapshot?: boolean;
}

/**
 * The driver that hmm.rst describes, ready made: a notifier over `span`, a device page table that its invalidations
 * empty under the update lock, and the loop that fills it. On the kernel it lives in the module, on the
 * simulation in simulation/mirror.ts. For a driver of your own take IntervalNotifier, HmmRange, Lock and DriverPageTable.
 */
export class Mirror implements AsyncDisposable {
  readonly device: Device;
  readonly notifier: IntervalNotifier;
  readonly pageTable: DevicePageTable;
  /**
   * The lock of the device page table. While it is held, invalidations of this mirror wait (for the bound of callbacks; then they
   * take it away and release() says ETIMEDOUT), and so do populate and accesses that must fault.
   */
  readonly updateLock: Lock;
  /** @internal */
  readonly [SESSION]: Session;
  readonly #backend: BackendMirror;
  readonly #queue: EventQueue<MirrorEvent>;
  /** By id. */
  readonly #devices: readonly Device[];
  #removal: Promise<void> | null = null;
  #lastRead: Uint8Array | null = null;
  #lastReadPromise!: Promise<Uint8Array>;

  /** @internal */
  constructor(
    space: SpaceHandle,
    device: Device,
    devices: readonly Device[],
    backend: BackendMirror,
    queue: EventQueue<MirrorEvent>,
  ) {
    this[SESSION] = space[SESSION];
    this.#devices = devices;
    this.device = device;
    this.#backend = backend;
    this.#queue = queue;
    this.notifier = new IntervalNotifier(space, backend.notifier, null);
    this.updateLock = new Lock(backend.updateLock, 'update lock of a mirror', () => void this.#open('lock'));
    this.pageTable = {
      get: async (address) => {
        const { pageSize } = this[SESSION].backend;
        const start = checkInteger(address, 'address') - (address % pageSize);
        return (await this.#open('device page table').entries(start, start + pageSize))[0]!;
      },
      // Not an async function: it has nothing to add to the promise.
      entries: (start, end, into) => {
        const { backend, share } = this[SESSION];
        try {
          checkRange(start, end);
          const part = into === undefined ? undefined : entriesFor(into, Math.ceil((end - start) / backend.pageSize));
          return Promise.resolve(share.settle(this.#open('device page table').entries(start, end, part)));
        } catch (error) {
          return share.fail(error);
        }
      },
    };
  }

  /** Every invalidation of the span, in order, until the mirror is removed. An iterator takes what it yields from the others. */
  get events(): AsyncIterable<MirrorEvent> {
    return this.#queue;
  }

  /**
   * The events that nobody has taken yet, without waiting. When an operation on the AddressSpace has resolved, the events that
   * it caused are among them.
   */
  takeEvents(): MirrorEvent[] {
    return this.#queue.take();
  }

  /**
   * The retry loop: fills the device page table for [start, end), which lies inside the span, and faults what is missing.
   * @returns the valid entries of the range, and how often the loop began again
   * @throws {HmmError} EFAULT: no mapping, the process has gone, or `write` on a page of the device's own private memory that is read-only;
   * EPERM: `write` on a read-only mapping; EINVAL
   */
  populate(
    start: number,
    end: number,
    options: MirrorPopulateOptions = {},
  ): Promise<{ pages: number; retries: number }> {
    // Not an async function, as read() is none: a driver is refused often, and each function that awaits a refusal throws it once more.
    try {
      checkRange(start, end);
      checkKeys(options, 'options', ['write', 'snapshot'] satisfies (keyof MirrorPopulateOptions)[]);
      const write = checkBoolean(orElse(options.write, false), 'options.write');
      const snapshot = checkBoolean(orElse(options.snapshot, false), 'options.snapshot');
      if (write && snapshot) throw new TypeError('options: a snapshot faults nothing, so it cannot be for writing');
      return Promise.resolve(
        this[SESSION].share.settle(this.#open('populate').populate(start, end, { write, snapshot })),
      );
    } catch (error) {
      return this[SESSION].share.fail(error);
    }
  }

  /**
   * The device loads `length` bytes, any alignment, through its page table; what is missing is faulted in.
   * @param into where to, at least `length` bytes, not to be used meanwhile; default: a new array
   * @returns the bytes: a new array, or the part of `into` that was filled
   * @throws {HmmError} EFAULT, with the address: nothing is mapped there, or the process has gone; EINVAL: outside the span
   */
  read(address: number, length: number, into?: Uint8Array): Promise<Uint8Array> {
    // Not an async function: for a page that is already in the device's page table one promise is all that it costs.
    try {
      checkSpan(address, length, 'address', 'length');
      if (length > MAX_ACCESS) checkInteger(length, 'length', 0, MAX_ACCESS);
      if (into !== undefined && lengthOf(checkBytes(into, 'into')) < length) {
        throw new RangeError(`into must hold ${length} bytes, not ${lengthOf(into)}`);
      }
      const backend = this.#open('device_read');
      if (length === 0) return Promise.resolve(into?.subarray(0, 0) ?? new Uint8Array(0));
      const result = this[SESSION].share.settle(backend.read(address, length, into), 1 + (length >> 14));
      if (!(result instanceof Uint8Array)) return result;
      if (into === undefined) return Promise.resolve(result);
      // Who reads into the same array again gets the same view of it: the same promise will do.
      if (result !== this.#lastRead) {
        this.#lastRead = result;
        this.#lastReadPromise = Promise.resolve(result);
      }
      return this.#lastReadPromise;
    } catch (error) {
      return this[SESSION].share.fail(error);
    }
  }

  /**
   * The device stores `bytes`. EPERM where the mapping is read-only; EFAULT where there is none, and where the page is in the device's own
   * private memory and read-only; `done` tells how much was stored.
   */
  write(address: number, bytes: Uint8Array): Promise<void> {
    try {
      checkSpan(address, lengthOf(checkBytes(bytes, 'bytes')), 'address', 'bytes.length');
      const backend = this.#open('device_write');
      return Promise.resolve(
        this[SESSION].share.settle(
          lengthOf(bytes) === 0 ? undefined : backend.write(address, bytes),
          1 + (lengthOf(bytes) >> 14),
        ),
      );
    } catch (error) {
      return this[SESSION].share.fail(error);
    }
  }

  /** What each page of [start, end) is, by the process's page table and by the device's, both at one moment; faults nothing. */
  async snapshot(start: number, end: number): Promise<PageState[]> {
    checkRange(start, end);
    const pages = await this[SESSION].share.settle(this.#open('snapshot').query(start, end));
    return pageStates(start, this[SESSION].backend.pageSize, pages, this.#devices);
  }

  /**
   * migrate_vma(): moves the pages of [start, end), inside the span, to the memory of the mirror's device; also those that held nothing yet. Bytes
   * stay as they are, and a CPU that touches private memory moves its page back. The span's notifiers see 'migrate' with the device as `owner`; the
   * device page table has entries for what is mapped when it is done.
   * What cannot move stays, without an error: file and shared memory, pages that are busy, and what the device has no room for.
   * Not to be called with `updateLock` held, for which its own invalidations wait.
   * @returns `migrated`: the pages that are new in the device's memory
   * @throws {HmmError} EOPNOTSUPP: the device has no memory; EFAULT: no mapping, or the process has gone; EINVAL: outside the span, or a
   * mapping that is never migrated (hugetlb); the latter two with `address`, and `done`, the pages that had moved by then
   */
  async migrateToDevice(start: number, end: number): Promise<{ migrated: number }> {
    checkRange(start, end);
    const { share } = this[SESSION];
    const { migrated } = await share.settle(this.#open('migrate_to_device').migrateToDevice(start, end));
    return { migrated };
  }

  /** migrate_vma() of the device's own pages in [start, end) back to system memory; all others stay where they are. Else as migrateToDevice. */
  async migrateToSystem(start: number, end: number): Promise<{ migrated: number }> {
    checkRange(start, end);
    const { share } = this[SESSION];
    const { migrated } = await share.settle(this.#open('migrate_to_system').migrateToSystem(start, end));
    return { migrated };
  }

  /**
   * make_device_exclusive_range(): pages of [start, end) become the device's alone, until a CPU touches them or anything else invalidates them.
   * What cannot be had is left out without an error: file and shared memory, all but the first page of a huge one, busy pages.
   * Hugetlb memory is EFAULT, whatever its protection, before anything is faulted; Linux 6.1 faults it in and leaves it out.
   * Not to be called with `updateLock` held.
   * @returns how many pages the device has for itself; `snapshot` tells which
   * @throws {HmmError} EFAULT with `address`: a page cannot be faulted for writing, or the process has gone; EOPNOTSUPP: this kernel
   * cannot; EINVAL: outside the span
   */
  async makeExclusive(start: number, end: number): Promise<{ pages: number }> {
    checkRange(start, end);
    const { share } = this[SESSION];
    const { pages } = await share.settle(this.#open('make_device_exclusive_range').makeExclusive(start, end));
    return { pages };
  }

  /**
   * The device adds `value`, from -2^63 to 2^64 - 1, to the 64-bit word at `address` in one step, modulo 2^64. Takes exclusive access to the page
   * if the device has it not.
   * @returns what was there before, as an unsigned number
   * @throws {HmmError} EOPNOTSUPP: the page can never be had (file or shared memory), or this kernel cannot; EINVAL: not a multiple of 8, or
   * outside the span; EFAULT with `address`: not writable, or the process has gone; EBUSY: it was taken away again and again
   */
  async atomicAdd(address: number, value: bigint): Promise<bigint> {
    checkInteger(address, 'address');
    const addend = checkAddend(value, 'value');
    return await this[SESSION].share.settle(this.#open('device_atomic').atomicAdd(address, addend));
  }

  /** Removes the notifier and drops the device page table; the events that are left can still be taken. */
  async remove(): Promise<void> {
    this.#open('mmu_interval_notifier_remove');
    await this[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#removal ??= this.#remove();
    await this.#removal;
  }

  async #remove(): Promise<void> {
    try {
      await this.notifier[Symbol.asyncDispose]();
    } finally {
      this.#queue.close();
    }
  }

  /** The backend's mirror, unless its notifier has been removed, here or through `notifier`. */
  #open(syscall: string): BackendMirror {
    if (this.#removal !== null) throw closedError('mirror', syscall);
    this.notifier[BACKEND](syscall);
    return this.#backend;
  }
}

/** @internal The sink that a backend delivers a mirror's events to. */
export function eventSink(queue: EventQueue<MirrorEvent>, devices: readonly Device[]): EventSink {
  return {
    event(event: Invalidation, lost: number) {
      // Field by field: there may be many events, and a spread costs more than all the rest.
      const { start, end, blockable, owner, event: kind } = toNotifierRange(event, devices);
      const { sequence, timestamp } = event;
      queue.push({ start, end, blockable, owner, event: kind, sequence, timestamp, lost });
    },
  };
}

function checkRange(start: unknown, end: unknown): void {
  checkInteger(start, 'start');
  checkInteger(end, 'end');
}

/** The part of a caller's array that takes so many entries. */
function entriesFor(into: unknown, pages: number): BigUint64Array {
  const entries = checkEntries(into, 'into');
  const length = lengthOf(entries);
  if (length < pages) throw new RangeError(`into must hold ${pages} entries, not ${length}`);
  return length === pages ? entries : entries.subarray(0, Math.max(0, pages));
}
