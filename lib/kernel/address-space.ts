import type {
  BackendAddressSpace,
  BackendFile,
  BackendMirror,
  BackendNotifier,
  BackendRange,
  EventSink,
  InvalidationSink,
  MaybePromise,
  OperationResult,
} from '../backend.js';
import { HmmError } from '../errors.js';
import type { Operation } from '../operations.js';
import { NOTIFIER_EVENTS, NOTIFIER_PAGE_TABLE, NOTIFIER_SYNC, NO_DEVICE } from './abi.js';
import type { Addon } from './addon.js';
import type { DeviceContext } from './device-context.js';
import { EventPump, type Target } from './events.js';
import { KernelFile } from './memory-file.js';
import { KernelMirror } from './mirror.js';
import { KernelNotifier, type SpaceInternals } from './notifier.js';
import type { FileWithDescriptor, Workload } from './workload.js';

/** What an address space asks of the backend that made it. */
export interface SpaceOwner {
  readonly addon: Addon;
  /** Milliseconds, or 0 for the module's parameter. */
  readonly callbackTimeout: number;
  /** Delivers what every context of the backend has: an operation here can invalidate pages that are mapped there. */
  drainAll(): void;
  /** A context for a child, and then the child as an address space. */
  fork(parent: Workload): Promise<KernelAddressSpace>;
  forget(space: KernelAddressSpace): void;
}

/** A process that has bound its memory to one context, and that context. */
export class KernelAddressSpace implements BackendAddressSpace {
  readonly #owner: SpaceOwner;
  readonly #workload: Workload;
  readonly #context: DeviceContext;
  readonly #pump: EventPump;
  readonly #internals: SpaceInternals;
  #exit: Promise<void> | null = null;
  #closing: Promise<void> | null = null;

  constructor(owner: SpaceOwner, workload: Workload, context: DeviceContext) {
    this.#owner = owner;
    this.#workload = workload;
    this.#context = context;
    this.#pump = new EventPump(context);
    this.#internals = { context, pump: this.#pump, lockers: new Set(), closing: false };
  }

  get pid(): number {
    return this.#workload.pid;
  }

  get alive(): boolean {
    return this.#workload.alive;
  }

  async run(thread: number, operations: readonly Operation[]): Promise<OperationResult[]> {
    try {
      // A file of another backend cannot get here: the public layer has seen to that.
      return await this.#workload.run(thread, operations as readonly Operation<FileWithDescriptor>[]);
    } finally {
      this.#owner.drainAll();
    }
  }

  async createFile(length: number): Promise<BackendFile> {
    if (!this.alive) throw await this.#workload.goneError('memfd_create');
    return KernelFile.create(this.#owner.addon, length);
  }

  async fork(): Promise<BackendAddressSpace> {
    try {
      return await this.#owner.fork(this.#workload);
    } finally {
      this.#owner.drainAll();
    }
  }

  exit(): Promise<void> {
    this.#exit ??= this.#leave();
    return this.#exit;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async insertNotifier(start: number, length: number, sink: InvalidationSink): Promise<BackendNotifier> {
    const flags = NOTIFIER_SYNC | NOTIFIER_EVENTS;
    const id = await this.#insert({ kind: 'sync', sink }, start, length, flags, NO_DEVICE, this.#owner.callbackTimeout);
    return new KernelNotifier(this.#internals, id, start, length);
  }

  async createMirror(device: number, start: number, length: number, sink: EventSink): Promise<BackendMirror> {
    const flags = NOTIFIER_PAGE_TABLE | NOTIFIER_EVENTS;
    const id = await this.#insert({ kind: 'events', sink }, start, length, flags, device, this.#owner.callbackTimeout);
    return new KernelMirror(this.#internals, id, start, length);
  }

  rangeFault(range: BackendRange): MaybePromise<void> {
    const { notifier } = range;
    if (!(notifier instanceof KernelNotifier)) throw new TypeError('range.notifier is not a notifier of this backend');
    return this.#context.rangeFault(notifier.id, range);
  }

  deviceRead(device: number, address: number, length: number, entries: BigUint64Array): Promise<Uint8Array> {
    return this.#context.deviceRead(device, address, length, entries);
  }

  deviceWrite(device: number, address: number, bytes: Uint8Array, entries: BigUint64Array): Promise<void> {
    return this.#context.deviceWrite(device, address, bytes, entries);
  }

  /** Delivers the events that are there. */
  drain(): void {
    if (this.#pump.hasTargets) this.#pump.drain();
  }

  #insert(target: Target, start: number, length: number, flags: number, device: number, timeout: number) {
    if (this.#closing !== null) throw new HmmError('ERR_HMM_CLOSED', 'mmu_interval_notifier_insert');
    return this.#pump.insert(target, () => this.#context.insert({ start, length, flags, device, timeout }));
  }

  async #leave(): Promise<void> {
    await this.#workload.exit();
    // A request in flight holds mm_users: with the last of them goes the address space.
    await this.#context.idle();
    this.#owner.drainAll();
  }

  async #close(): Promise<void> {
    this.#internals.closing = true;
    for (const locker of [...this.#internals.lockers]) locker.abandon();
    try {
      await this.exit();
    } finally {
      await this.#context.close();
      this.#owner.forget(this);
    }
  }
}
