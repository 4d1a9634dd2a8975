/** A simulated process: the operations of one, by its threads, and what mirrors it. */
import { CallbackOps } from './callback.js';
import { HmmError } from '../errors.js';
import { KERNEL, NOTIFIERS, THREADS, USERS, reads, writes } from './engine/touch.js';
import { Mirror } from './mirror.js';
import { MirrorOps } from './mirror-ops.js';
import { MAX_RANGE_PAGES } from '../constants.js';
import { MemoryFile } from './file.js';
import type { Mm } from './mm.js';
import { Mutex } from './engine/locks.js';
import { PAGE } from './layout.js';
import { deviceAccess } from './device-access.js';
import { dupMmap } from './fork.js';
import { evictContext } from './evict.js';
import { execute } from './operations.js';
import { exitMmap } from './exit.js';
import { rangeFaultOnce, snapshotAtOnce } from './fault-loop.js';
import type {
  BackendAddressSpace,
  BackendMirror,
  BackendNotifier,
  BackendRange,
  EventSink,
  InvalidationSink,
  MaybePromise,
  OperationResult,
} from '../backend.js';
import type { IntervalNotifier, IntervalNotifierOps } from './notifiers.js';
import type { Operation } from '../operations.js';
import type { Routine } from './engine/engine.js';

/** What an address space asks of the simulation that it belongs to. */
export interface SpaceOwner {
  adopt(mm: Mm): AddressSpace;
  hasDevice(device: number): boolean;
  forget(space: AddressSpace): void;
}

/** Operations that begin by taking mmap_lock; the others must be preemptible before they touch anything. */
const LOCKS_FIRST: ReadonlySet<Operation['op']> = new Set(['mmap', 'munmap', 'mprotect', 'madvise', 'mremap']);

export class AddressSpace implements BackendAddressSpace {
  readonly pid: number;
  readonly mm: Mm;
  /** Of the mirrors that have not been removed. */
  readonly mirrors = new Set<MirrorOps>();
  #alive = true;
  readonly #owner: SpaceOwner;
  readonly #threads = new Map<number, Mutex>();
  readonly #notifiers = new Set<Notifier>();
  readonly #files: MemoryFile[] = [];
  #exiting: Promise<void> | null = null;
  #closing: Promise<void> | null = null;

  constructor(owner: SpaceOwner, pid: number, mm: Mm) {
    this.#owner = owner;
    this.pid = pid;
    this.mm = mm;
  }

  get alive(): boolean {
    return this.#alive;
  }

  run(thread: number, operations: readonly Operation[]): MaybePromise<OperationResult[]> {
    if (!this.#alive) return Promise.reject(gone('run'));
    return this.mm.engine.start(
      operations[0]?.op ?? 'run',
      this.#run(thread, operations),
      writes(THREADS) | reads(USERS),
    );
  }

  createFile(length: number): Promise<MemoryFile> {
    if (!this.#alive) return Promise.reject(gone('memfd_create'));
    const file = new MemoryFile(this.mm.frames, length);
    file.acquire();
    this.#files.push(file);
    return Promise.resolve(file);
  }

  async fork(): Promise<AddressSpace> {
    if (!this.#alive || !this.mm.tryGet()) throw gone('fork');
    return this.#owner.adopt(await this.mm.engine.start('fork', this.#fork(), reads(USERS)));
  }

  exit(): Promise<void> {
    if (this.#exiting === null) {
      this.#alive = false;
      this.mm.engine.touch(writes(USERS));
      this.mm.put();
      this.#exiting = Promise.resolve(this.mm.engine.start('exit', this.#exit()));
    }
    return this.#exiting;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async insertNotifier(start: number, length: number, sink: InvalidationSink): Promise<BackendNotifier> {
    const ops = new CallbackOps(this.mm.machine, sink);
    const interval = await this.#insert(start, length, ops);
    return this.#register(new Notifier(this, interval, null));
  }

  async createMirror(device: number, start: number, length: number, sink: EventSink): Promise<BackendMirror> {
    const syscall = 'mmu_interval_notifier_insert';
    if (start % PAGE !== 0 || length % PAGE !== 0) throw new HmmError('EINVAL', syscall, 'a mirror spans whole pages');
    if (!this.#owner.hasDevice(device)) throw new HmmError('ENODEV', syscall);
    const ops = new MirrorOps(this.mm, device, sink);
    const interval = await this.#insert(start, length, ops);
    this.mirrors.add(ops);
    return new Mirror(this.mm, ops, interval, this.#register(new Notifier(this, interval, ops)), this);
  }

  rangeFault(range: BackendRange): MaybePromise<void> {
    const syscall = 'hmm_range_fault';
    const { notifier, start, end, owner } = range;
    if (owner !== null && !this.#owner.hasDevice(owner)) throw new HmmError('ENODEV', syscall);
    if (start >= end || start % PAGE !== 0 || end % PAGE !== 0) {
      throw new HmmError('EINVAL', syscall, 'the range is empty, or not of whole pages');
    }
    if ((end - start) / PAGE > MAX_RANGE_PAGES) throw new HmmError('EINVAL', syscall, 'too many pages for one call');
    if (!(notifier instanceof Notifier) || !this.#notifiers.has(notifier))
      throw new HmmError('ENOENT', syscall, 'no such notifier');
    if (start < notifier.start || end > notifier.start + notifier.length) {
      throw new HmmError('EINVAL', syscall, 'outside the interval of the notifier');
    }
    const outcome = snapshotAtOnce(this.mm, notifier.interval, range);
    if (outcome === undefined) return undefined;
    if (outcome !== null) throw outcome;
    return this.mm.engine.start('hmm_range_fault', rangeFaultOnce(this.mm, notifier.interval, range), reads(USERS));
  }

  async deviceRead(device: number, address: number, length: number, entries: BigUint64Array): Promise<Uint8Array> {
    if (!this.#owner.hasDevice(device)) throw new HmmError('ENODEV', 'device_read');
    const bytes = new Uint8Array(length);
    await this.mm.engine.start('device_read', deviceAccess(this.mm, { device, address, bytes, write: false, entries }));
    return bytes;
  }

  async deviceWrite(device: number, address: number, bytes: Uint8Array, entries: BigUint64Array): Promise<void> {
    if (!this.#owner.hasDevice(device)) throw new HmmError('ENODEV', 'device_write');
    await this.mm.engine.start('device_write', deviceAccess(this.mm, { device, address, bytes, write: true, entries }));
  }

  /** @internal A notifier that is being removed; later calls find it gone. */
  drop(notifier: Notifier, mirror: MirrorOps | null): void {
    this.#notifiers.delete(notifier);
    if (mirror !== null) this.mirrors.delete(mirror);
  }

  #register(notifier: Notifier): Notifier {
    this.#notifiers.add(notifier);
    return notifier;
  }

  async #insert(start: number, length: number, ops: CallbackOps | MirrorOps): Promise<IntervalNotifier> {
    return await this.mm.engine.start('mmu_interval_notifier_insert', this.#insertRoutine(start, length, ops));
  }

  *#insertRoutine(
    start: number,
    length: number,
    ops: IntervalNotifierOps & { notifier: IntervalNotifier | null },
  ): Routine<IntervalNotifier> {
    const { mm } = this;
    if (!mm.tryGet()) throw new HmmError('EFAULT', 'mmu_interval_notifier_insert', 'the process has gone');
    try {
      const subscriptions = yield* mm.ensureSubscriptions();
      if (mm.engine.preemptive) yield 'mmu_interval_notifier_insert';
      const notifier = subscriptions.insert(start, length, ops);
      ops.notifier = notifier;
      return notifier;
    } finally {
      mm.put();
    }
  }

  /** The thread holds mm_users while it runs, as every thread of a process does. */
  *#run(thread: number, operations: readonly Operation[]): Routine<OperationResult[]> {
    const { mm } = this;
    let queue = this.#threads.get(thread);
    if (queue === undefined) this.#threads.set(thread, (queue = new Mutex(mm.engine, 'thread of the process')));
    if (!queue.tryAcquire()) yield* queue.acquireNow();
    try {
      const results: OperationResult[] = [];
      for (const operation of operations) {
        if (!this.#alive || !mm.tryGet()) throw gone('run');
        try {
          if (mm.engine.current !== null) mm.engine.current.name = operation.op;
          if (mm.engine.preemptive && !LOCKS_FIRST.has(operation.op)) yield operation.op;
          results.push(yield* execute(mm, operation));
        } finally {
          mm.put();
        }
      }
      return results;
    } finally {
      queue.release();
    }
  }

  *#fork(): Routine<Mm> {
    try {
      return yield* dupMmap(this.mm);
    } finally {
      this.mm.put();
    }
  }

  *#exit(): Routine<void> {
    yield* this.mm.waitUnused();
    yield* exitMmap(this.mm);
  }

  async #close(): Promise<void> {
    for (const mirror of this.mirrors) mirror.updateLock.close();
    await this.exit();
    await Promise.all([...this.#notifiers].map((notifier) => notifier.remove()));
    for (const file of this.#files.splice(0)) file.release();
    // What migrated through this context, and others still map (after a fork), goes back to system memory.
    const { machine } = this.mm;
    for (const memory of machine.devices.memories) {
      if (memory.used === 0) continue;
      await machine.engine.start('migrate_device_range', evictContext(machine, memory, this));
    }
    this.#owner.forget(this);
  }
}

export class Notifier implements BackendNotifier {
  readonly start: number;
  readonly length: number;
  readonly interval: IntervalNotifier;
  readonly #space: AddressSpace;
  readonly #mirror: MirrorOps | null;
  #removing: Promise<void> | null = null;

  constructor(space: AddressSpace, interval: IntervalNotifier, mirror: MirrorOps | null) {
    this.#space = space;
    this.interval = interval;
    this.start = interval.start;
    this.length = interval.length;
    this.#mirror = mirror;
  }

  readBegin(): MaybePromise<number> {
    this.#check('mmu_interval_read_begin');
    const { interval } = this;
    const { engine } = this.#space.mm;
    if (!engine.preemptive && interval.sequence !== interval.subscriptions.sequence) return interval.sequence;
    return engine.start('mmu_interval_read_begin', interval.subscriptions.readBegin(interval), 0);
  }

  readRetry(sequence: number): boolean {
    this.#check('mmu_interval_read_retry');
    this.#space.mm.engine.touch(reads(NOTIFIERS));
    return this.interval.readRetry(sequence);
  }

  remove(): Promise<void> {
    if (this.#removing === null) {
      this.#space.mm.engine.touch(KERNEL);
      this.#space.drop(this, this.#mirror);
      if (this.#mirror !== null) {
        this.#mirror.removed = true;
        this.#mirror.pageTable.clear(this.start, this.start + this.length);
        this.#mirror.updateLock.remove();
      }
      const { interval } = this;
      const removal = this.#space.mm.engine.start(
        'mmu_interval_notifier_remove',
        interval.subscriptions.remove(interval),
      );
      this.#removing = Promise.resolve(removal);
    }
    return this.#removing;
  }

  #check(syscall: string): void {
    if (this.#removing !== null) throw new HmmError('ENOENT', syscall, 'the notifier has been removed');
  }
}

function gone(syscall: string): HmmError {
  return new HmmError('ESRCH', syscall);
}
