import { AddressSpace } from './address-space.js';
import type { Backend, BackendAddressSpace, Features } from './backend.js';
import { Device } from './device.js';
import { Lock, type LockOptions } from './lock.js';
import { LoopShare } from './loop-share.js';
import { HmmRange } from './range.js';
import { SESSION, checkSession, closedError, type Session } from './session.js';
import { checkBoolean, checkInstance, checkKeys, orElse } from './validate.js';

const DONE = Promise.resolve();

export interface RangeFaultOptions {
  /** HMM_RANGE_SNAPSHOT: report what is there and fault nothing, whatever the range requests. Default false. */
  readonly snapshot?: boolean;
}

/** One kernel, real or simulated: where address spaces are made, mirrored and faulted. */
export class Hmm implements AsyncDisposable {
  readonly backend: 'kernel' | 'simulation';
  /** Why this backend: for 'auto', what was missing for the kernel. */
  readonly backendReason: string;
  /** uname -r, or 'simulation-6.12'. */
  readonly kernelRelease: string;
  /** Bytes. */
  readonly pageSize: number;
  readonly features: Features;
  readonly devices: readonly Device[];
  readonly #session: Session;
  readonly #spaces = new Set<AddressSpace>();
  #closing: Promise<void> | null = null;

  /** @internal */
  constructor(backend: Backend, reason: string) {
    this.#session = { backend, share: new LoopShare(), closed: false };
    this.backend = backend.kind;
    this.backendReason = reason;
    this.kernelRelease = backend.kernelRelease;
    this.pageSize = backend.pageSize;
    this.features = backend.features;
    this.devices = Object.freeze(backend.devices.map((info) => new Device(this.#session, info)));
  }

  /** A new process with no memory of the user's in it. */
  async createAddressSpace(): Promise<AddressSpace> {
    this.#check('createAddressSpace');
    return this.#adopt(await this.#session.backend.createAddressSpace());
  }

  /** A lock for a driver's own page table: what its invalidate() and its retry loop take. */
  createLock(options: LockOptions = {}): Lock {
    checkKeys(options, 'options', ['name'] satisfies (keyof LockOptions)[]);
    const name: unknown = orElse(options.name, 'driver lock');
    if (typeof name !== 'string' || name === '') throw new TypeError('options.name must be a string that is not empty');
    this.#check('createLock');
    return new Lock(this.#session.backend.createLock(name), name);
  }

  /**
   * hmm_range_fault(), one call, no retry: fills `range.pfns`, and faults what the range requests.
   * @throws {HmmError} EBUSY: `range.notifierSequence` is stale, begin again with readBegin(); EFAULT: a requested page cannot be
   * faulted, or the process has gone; EPERM: write requested on a read-only mapping; EINVAL: an empty or unaligned range, or one
   * outside its notifier; ENOMEM
   */
  rangeFault(range: HmmRange, options?: RangeFaultOptions): Promise<void> {
    // Not an async function: where the backend did it at once, as it does for a snapshot, one ready promise serves all calls.
    try {
      // Closing this closes the range's notifier, which fault() asks.
      if (!(range instanceof HmmRange)) checkInstance(range, HmmRange, 'range');
      if (range[SESSION] !== this.#session) checkSession(this.#session, range, 'range');
      let snapshot = false;
      if (options !== undefined) {
        checkKeys(options, 'options', ['snapshot'] satisfies (keyof RangeFaultOptions)[]);
        snapshot = checkBoolean(orElse(options.snapshot, false), 'options.snapshot');
      }
      return (
        (this.#session.share.settle(range.fault(snapshot), 1 + (range.pfns.length >> 8)) as
          Promise<void> | undefined) ?? DONE
      );
    } catch (error) {
      return this.#session.share.fail(error);
    }
  }

  /** Closes every address space that was made here, forked ones too, then the backend. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    try {
      await Promise.all([...this.#spaces].map((space) => space[Symbol.asyncDispose]()));
    } finally {
      this.#session.closed = true;
      await this.#session.backend.close();
    }
  }

  #adopt(backend: BackendAddressSpace): AddressSpace {
    const space = new AddressSpace(this.#session, backend, this.devices, {
      adopt: (child) => this.#adopt(child),
      forget: (closed) => this.#spaces.delete(closed),
    });
    this.#spaces.add(space);
    return space;
  }

  #check(syscall: string): void {
    if (this.#closing !== null) throw closedError('Hmm', syscall);
  }
}
