import type {
  BackendLock,
  BackendMirror,
  BackendNotifier,
  MaybePromise,
  MigrateResult,
  MirrorPages,
  PopulateOptions,
  PopulateResult,
} from '../backend.js';
import { HmmError } from '../errors.js';
import type { DeviceContext } from './device-context.js';
import { UpdateLock } from './lock.js';
import { KernelNotifier, type SpaceInternals } from './notifier.js';

/** A mirror: its page table and its loop are the module's. */
export class KernelMirror implements BackendMirror {
  readonly notifier: BackendNotifier;
  readonly #space: SpaceInternals;
  readonly #context: DeviceContext;
  readonly #id: number;
  readonly #lock: UpdateLock;

  constructor(space: SpaceInternals, id: number, start: number, length: number) {
    this.notifier = new KernelNotifier(space, id, start, length);
    this.#space = space;
    this.#context = space.context;
    this.#id = id;
    this.#lock = new UpdateLock(
      () => this.#acquire(),
      () => this.#tryAcquire(),
      () => this.#release(),
    );
  }

  get updateLock(): BackendLock {
    return this.#lock;
  }

  populate(start: number, end: number, options: PopulateOptions): MaybePromise<PopulateResult> {
    return this.#context.populate(this.#id, start, end, options);
  }

  read(address: number, length: number, into?: Uint8Array): MaybePromise<Uint8Array> {
    return this.#context.read(this.#id, address, length, into);
  }

  write(address: number, bytes: Uint8Array): MaybePromise<void> {
    return this.#context.write(this.#id, address, bytes);
  }

  migrateToDevice(start: number, end: number): Promise<MigrateResult> {
    return this.#context.memory.migrateToDevice(this.#id, start, end);
  }

  migrateToSystem(start: number, end: number): Promise<MigrateResult> {
    return this.#context.memory.migrateToSystem(this.#id, start, end);
  }

  makeExclusive(start: number, end: number): Promise<{ readonly pages: number }> {
    return this.#context.memory.makeExclusive(this.#id, start, end);
  }

  atomicAdd(address: number, value: bigint): MaybePromise<bigint> {
    return this.#context.memory.atomicAdd(this.#id, address, value);
  }

  query(start: number, end: number): MaybePromise<MirrorPages> {
    return this.#context.query(this.#id, start, end);
  }

  entries(start: number, end: number, into?: BigUint64Array): MaybePromise<BigUint64Array> {
    return this.#context.entries(this.#id, start, end, into);
  }

  /** The address space is being closed: requests in flight may be waiting for the lock, and keep the file open until they end. */
  abandon(): void {
    if (!this.#lock.held) return;
    try {
      this.#lock.release();
    } catch (error) {
      // ETIMEDOUT: an invalidation took it away before. ENOENT: the mirror has been removed, and its lock with it.
      if (!(error instanceof HmmError && (error.code === 'ETIMEDOUT' || error.code === 'ENOENT'))) throw error;
    }
  }

  async #acquire(): Promise<void> {
    if (this.#space.closing) throw new HmmError('ERR_HMM_CLOSED', 'lock');
    await this.#context.lock(this.#id);
    this.#space.lockers.add(this);
    if (!this.#space.closing) return;
    this.#release();
    throw new HmmError('ERR_HMM_CLOSED', 'lock');
  }

  #tryAcquire(): boolean {
    if (this.#space.closing) throw new HmmError('ERR_HMM_CLOSED', 'lock');
    if (!this.#context.tryLock(this.#id)) return false;
    this.#space.lockers.add(this);
    return true;
  }

  #release(): void {
    this.#space.lockers.delete(this);
    this.#context.unlock(this.#id);
  }
}
