import type { BackendAddressSpace, OperationResult } from './backend.js';
import { Device } from './device.js';
import { EventQueue } from './event-queue.js';
import { MemoryFile } from './memory-file.js';
import { Mirror, eventSink, type MirrorEvent } from './mirror.js';
import { CallbackSink, IntervalNotifier, type NotifierOps } from './notifier.js';
import { checkArguments, checkOperation, type PublicOperation } from './check-operation.js';
import { BACKEND, SESSION, checkSession, closedError, type Session } from './session.js';
import { checkArray, checkInstance, checkInteger, checkKeys, checkSpan, orElse } from './validate.js';

export interface MmapOptions {
  /** A hint, or with MAP_FIXED the place. Default 0: the kernel chooses. */
  readonly address?: number;
  /** PROT_*. Default PROT_READ | PROT_WRITE. */
  readonly protection?: number;
  /** MAP_*. Default MAP_PRIVATE | MAP_ANONYMOUS; with a file MAP_SHARED. */
  readonly flags?: number;
  readonly file?: MemoryFile;
  /** Bytes into the file. Default 0. */
  readonly offset?: number;
}

export interface MremapOptions {
  /** MREMAP_*. Default MREMAP_MAYMOVE. */
  readonly flags?: number;
  /** Where to, with MREMAP_FIXED; without it, where MREMAP_DONTUNMAP should look first. */
  readonly newAddress?: number;
}

export interface RunOptions {
  /**
   * Which thread of the process runs the batch; it is started when it is first named. Batches of one thread queue up, those of
   * different threads run at the same time. Default 0, on which the single operations run too.
   */
  readonly thread?: number;
}

/** @internal What an address space asks of the Hmm that it belongs to. */
export interface SpaceOwner {
  adopt(space: BackendAddressSpace): AddressSpace;
  forget(space: AddressSpace): void;
}

/** Threads that a process may have for its operations. */
export const MAX_THREADS = 16;

/**
 * A process whose memory can be mirrored, the kernel's mm. On the kernel backend it is a process of its own, so that
 * a callback never waits for the lock that its own thread holds; on the simulation it is an object. The operations are
 * what the process does to its own memory: what its CPU would get as SIGSEGV or SIGBUS is HmmError EFAULT here.
 */
export class AddressSpace implements AsyncDisposable {
  readonly pid: number;
  /** @internal */
  readonly [SESSION]: Session;
  readonly #backend: BackendAddressSpace;
  readonly #devices: readonly Device[];
  readonly #owner: SpaceOwner;
  #closing: Promise<void> | null = null;

  /** @internal */
  constructor(session: Session, backend: BackendAddressSpace, devices: readonly Device[], owner: SpaceOwner) {
    this[SESSION] = session;
    this.#backend = backend;
    this.#devices = devices;
    this.#owner = owner;
    this.pid = backend.pid;
  }

  /** False once the process has gone, by exit() or by itself. */
  get alive(): boolean {
    return !this.closed && this.#backend.alive;
  }

  /** True once it, or its Hmm, is being closed. */
  get closed(): boolean {
    return this.#closing !== null || this[SESSION].closed;
  }

  /** mmap(2): `length` bytes. @returns the address */
  async mmap(length: number, options: MmapOptions = {}): Promise<number> {
    checkKeys(options, 'options', ['address', 'protection', 'flags', 'file', 'offset'] satisfies (keyof MmapOptions)[]);
    const { address, protection, flags, file, offset } = options;
    return await this.#one<number>({ op: 'mmap', length, address, protection, flags, file, offset });
  }

  munmap(address: number, length: number): Promise<void> {
    return this.#one<void>({ op: 'munmap', address, length });
  }

  mprotect(address: number, length: number, protection: number): Promise<void> {
    return this.#one<void>({ op: 'mprotect', address, length, protection });
  }

  madvise(address: number, length: number, advice: number): Promise<void> {
    return this.#one<void>({ op: 'madvise', address, length, advice });
  }

  /** mremap(2). @returns the new address */
  async mremap(address: number, oldLength: number, newLength: number, options: MremapOptions = {}): Promise<number> {
    checkKeys(options, 'options', ['flags', 'newAddress'] satisfies (keyof MremapOptions)[]);
    const { flags, newAddress } = options;
    return await this.#one<number>({ op: 'mremap', address, oldLength, newLength, flags, newAddress });
  }

  /** Loads by a CPU of the process: they fault as a program's do. @throws {HmmError} EFAULT with `address` and `signal` */
  read(address: number, length: number): Promise<Uint8Array> {
    return this.#one<Uint8Array>({ op: 'read', address, length });
  }

  /** Stores by a CPU of the process, ascending. @throws {HmmError} EFAULT with `address` and `signal`; what lies before it was stored */
  write(address: number, bytes: Uint8Array): Promise<void> {
    return this.#one<void>({ op: 'write', address, bytes });
  }

  /** A batch, in order, at native speed; a failing operation does not stop the rest. One result per operation. */
  async run(operations: readonly PublicOperation[], options: RunOptions = {}): Promise<OperationResult[]> {
    checkKeys(options, 'options', ['thread'] satisfies (keyof RunOptions)[]);
    const thread = checkInteger(orElse(options.thread, 0), 'options.thread', 0, MAX_THREADS - 1);
    const checked = checkArray(operations, 'operations').map((each, at) =>
      checkOperation(this[SESSION], each, `operations[${at}]`),
    );
    return await this[SESSION].share.settle(this[BACKEND]('run').run(thread, checked), 1 + (checked.length >> 3));
  }

  /** A tmpfs file (memfd_create) of `length` bytes, for file-backed and for shared mappings, here and in forked children. */
  async createFile(length: number): Promise<MemoryFile> {
    checkInteger(length, 'length');
    const backend = this[BACKEND]('memfd_create');
    return new MemoryFile(this[SESSION], await backend.createFile(length), (operation) => this.#one<void>(operation));
  }

  /** fork(2). The child starts without notifiers. */
  async fork(): Promise<AddressSpace> {
    return this.#owner.adopt(await this[BACKEND]('fork').fork());
  }

  /** The process ends and its mm goes away: notifiers see 'release', and can still be removed. */
  async exit(): Promise<void> {
    await this[BACKEND]('exit').exit();
  }

  /**
   * mmu_interval_notifier_insert() over [start, start + length): any number of notifiers, overlapping as they like.
   * @throws {HmmError} EOVERFLOW for length 0; EFAULT if the process has gone
   */
  async insertIntervalNotifier(start: number, length: number, ops: NotifierOps): Promise<IntervalNotifier> {
    checkSpan(start, length, 'start', 'length');
    if (typeof ops !== 'object' || ops === null) throw new TypeError('ops must be an object');
    if (typeof ops.invalidate !== 'function') throw new TypeError('ops.invalidate must be a function');
    const backend = this[BACKEND]('mmu_interval_notifier_insert');
    const sink = new CallbackSink(ops, this.#devices);
    return new IntervalNotifier(this, await backend.insertNotifier(start, length, sink), sink);
  }

  /** The driver of hmm.rst over [start, start + length), whole pages, for `device`. */
  async mirror(device: Device, span: { readonly start: number; readonly length: number }): Promise<Mirror> {
    checkSession(this[SESSION], checkInstance(device, Device, 'device'), 'device');
    checkKeys(span, 'span', ['start', 'length']);
    checkSpan(span.start, span.length, 'span.start', 'span.length');
    const backend = this[BACKEND]('mirror');
    const queue = new EventQueue<MirrorEvent>();
    const sink = eventSink(queue, this.#devices);
    const mirror = await backend.createMirror(device.id, span.start, span.length, sink);
    return new Mirror(this, device, this.#devices, mirror, queue);
  }

  /** exit(), then removes what notifiers and mirrors are left. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#backend.close().finally(() => this.#owner.forget(this));
    await this.#closing;
  }

  /** @internal */
  [BACKEND](syscall: string): BackendAddressSpace {
    if (this.closed) throw closedError('address space', syscall);
    return this.#backend;
  }

  /**
   * A batch of one. Not an async function, nor are those that have nothing to add to it: each would put the answer off by three turns of the
   * microtasks, and throw a refusal once more.
   */
  #one<T extends number | Uint8Array | void>(operation: PublicOperation): Promise<T> {
    const { share } = this[SESSION];
    try {
      const checked = checkArguments(this[SESSION], operation, '');
      const results = share.settle(this[BACKEND](operation.op).run(0, [checked]));
      if (results instanceof Promise) return results.then(valueOf<T>);
      const error = results[0]?.error;
      return error === undefined ? Promise.resolve(valueOf<T>(results)) : share.fail(error);
    } catch (error) {
      return share.fail(error);
    }
  }
}

/** What a batch of one gave. */
function valueOf<T>([result]: readonly OperationResult[]): T {
  if (result === undefined) throw new Error('the backend gave no result');
  if (result.error !== undefined) throw result.error;
  return result.value as T;
}
