/** struct mm_struct: an address space, with what all parts of it share. */
import { HmmError } from '../errors.js';
import { Subscriptions } from './notifiers.js';
import { PageTable } from './page-table.js';
import { RwLock } from './engine/locks.js';
import { VmaSet } from './vma.js';
import { Wait } from './engine/engine.js';
import type { ErrnoCode } from '../errors.js';
import type { InvalidationEvent } from '../backend.js';
import type { Engine, Routine } from './engine/engine.js';
import type { Frames } from './frames.js';
import type { Profile } from './profile.js';
import type { NotifierRange } from './notifiers.js';

/** What all address spaces of one simulation share. */
export interface Machine {
  readonly engine: Engine;
  readonly frames: Frames;
  readonly profile: Profile;
  /** Bound of the wait for a callback, ms; null with a scheduler, which has no clock. */
  readonly callbackTimeout: number | null;
  /** A monotonic clock that ticks once per delivered invalidation. */
  tick(): bigint;
}

export class Mm {
  readonly vmas = new VmaSet();
  readonly pageTable = new PageTable();
  readonly lock: RwLock;
  /** notifier_subscriptions; null before the first insertion. */
  subscriptions: Subscriptions | null = null;
  /** mm_users: the process itself, and whoever works on its page tables now. */
  #users = 1;
  #unused: Wait | null = null;

  constructor(readonly machine: Machine) {
    this.lock = new RwLock(machine.engine);
  }

  get engine(): Engine {
    return this.machine.engine;
  }

  get frames(): Frames {
    return this.machine.frames;
  }

  get profile(): Profile {
    return this.machine.profile;
  }

  /** mmget_not_zero */
  tryGet(): boolean {
    if (this.#users === 0) return false;
    this.#users++;
    return true;
  }

  /** mmput. The last one does not tear down by itself: waitUnused() does that for it. */
  put(): void {
    if (--this.#users === 0) this.#unused?.settle();
  }

  *waitUnused(): Routine<void> {
    if (this.#users === 0) return;
    this.#unused = new Wait(this.engine, 'exit_mm');
    yield this.#unused;
  }

  /**
   * mmu_notifier_invalidate_range_start. Callers skip the generator if there is nobody to notify:
   * `if (mm.subscriptions !== null) range = yield* mm.invalidateStart(...)`.
   */
  *invalidateStart(event: InvalidationEvent, start: number, end: number): Routine<NotifierRange | null> {
    const { subscriptions } = this;
    if (subscriptions === null) return null;
    const range: NotifierRange = { start, end, event };
    const callbacks = subscriptions.start(range);
    if (callbacks !== null) yield* callbacks;
    return range;
  }

  /** mmu_notifier_invalidate_range_end, of what invalidateStart() answered. */
  *invalidateEnd(range: NotifierRange | null): Routine<void> {
    if (range === null) return;
    if (this.engine.preemptive) yield 'mmu_notifier_invalidate_range_end';
    this.subscriptions!.end(range);
  }

  /** The subscriptions, made by the first insertion as mmu_notifier_register does, with mmap_lock held for writing. */
  *ensureSubscriptions(): Routine<Subscriptions> {
    if (this.subscriptions === null) {
      yield* this.lock.write();
      this.subscriptions ??= new Subscriptions(this.engine);
      this.lock.unlockWrite();
    }
    return this.subscriptions;
  }
}

export function refuse(code: ErrnoCode, syscall: string, message?: string): never {
  throw new HmmError(code, syscall, message);
}

export function notModelled(syscall: string, what: string): never {
  throw new HmmError('ERR_HMM_NOT_MODELLED', syscall, `the simulation does not model ${what}`);
}
