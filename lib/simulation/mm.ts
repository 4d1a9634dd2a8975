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
import type { HugetlbPool } from './hugetlb-pool.js';
import type { DeviceSet } from './device-memory.js';
import type { PageLocks } from './page-lock.js';
import type { Profile } from './profile.js';
import type { NotifierRange } from './notifiers.js';
import type { WaitBudget } from './wait-budget.js';
import type { SpareMemory } from './spare-memory.js';

/** The function of mm that changes the page table once the callbacks have returned. */
const CHANGES: { readonly [event in InvalidationEvent]: string | null } = {
  unmap: 'zap_pte_range',
  clear: 'zap_pte_range',
  'protection-vma': 'change_pte_range',
  'protection-page': 'copy_pte_range',
  'soft-dirty': 'clear_soft_dirty',
  release: 'mmu_notifier_release',
  // It has points of its own, one for each table (migrate.ts).
  migrate: null,
  exclusive: 'page_make_device_exclusive_one',
};

/** What all address spaces of one simulation share. */
export interface Machine {
  readonly engine: Engine;
  readonly frames: Frames;
  readonly profile: Profile;
  readonly hugetlb: HugetlbPool;
  readonly pageLocks: PageLocks;
  readonly devices: DeviceSet;
  /** Of an exploration, which makes one machine after the other; else null. */
  readonly spare: SpareMemory | null;
  /** Bound of the wait for a callback, ms; null with a scheduler, which has no clock. */
  readonly callbackTimeout: number | null;
  /** A monotonic clock that ticks once per delivered invalidation. */
  tick(): bigint;
}

export class Mm {
  readonly vmas = new VmaSet();
  readonly pageTable: PageTable;
  readonly lock: RwLock;
  /** MMF_UNSTABLE: the OOM reaper has been here, and private memory that is missing may have held data (check_stable_address_space). */
  unstable = false;
  /** notifier_subscriptions; null before the first insertion. */
  subscriptions: Subscriptions | null = null;
  /** mm_users: the process itself, and whoever works on its page tables now. */
  #users = 1;
  #unused: Wait | null = null;
  /** The teardown waits for the program as one invalidation would, although it makes two. */
  readonly #teardown: WaitBudget = { waited: 0 };

  constructor(readonly machine: Machine) {
    this.pageTable = new PageTable(machine.spare);
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
   * @param owner of 'migrate' and 'exclusive': the device that they are done for
   * @param blockable false: callbacks may refuse, and the caller looks at `refused`; a range that was refused has no invalidateEnd()
   */
  *invalidateStart(
    event: InvalidationEvent,
    start: number,
    end: number,
    owner: number | null = null,
    blockable = true,
  ): Routine<NotifierRange | null> {
    const { subscriptions } = this;
    if (subscriptions === null) return null;
    const range: NotifierRange = blockable ? { start, end, event, owner } : { start, end, event, owner, blockable };
    if (this.#users === 0) range.budget = this.#teardown;
    const callbacks = subscriptions.start(range);
    if (callbacks !== null) yield* callbacks;
    // mn_itree_invalidate: the range has ended already, and nothing of it may be changed.
    if (range.refused === true) return range;
    // The callbacks have returned, and the page table is as it was.
    const change = CHANGES[event];
    if (this.engine.preemptive && change !== null) yield change;
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
