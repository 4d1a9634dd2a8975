import type { ENGINE } from '../simulation/engine/engine.js';
import { type Engine } from '../simulation/engine/engine.js';
import { HMM_PFN_VALID, HMM_PFN_WRITE, PAGE_SIZE, hmmPfnToFrame } from '../constants.js';
import type { AddressSpace as SimulatedSpace } from '../simulation/address-space.js';
import { type Notifier } from '../simulation/address-space.js';
import { BACKEND } from '../session.js';
import { MAX_WATCHED_PAGES, type Oracle } from './oracle.js';
import { oomReap } from './oom-reaper.js';
import { openHmm, type OpenHmmOptions } from '../open.js';
import type { AddressSpace } from '../address-space.js';
import type { Device } from '../device.js';
import type { Hmm } from '../hmm.js';
import type { IntervalNotifier } from '../notifier.js';
import type { Scheduler } from '../scheduler.js';
import type { SPARE, SpareMemory } from '../simulation/spare-memory.js';

/** A scenario sets up, runs tasks in parallel, and checks what came of it. What it returns is its outcome, and must be data. */
export type Scenario = (world: World) => unknown;

/** One thread of the scenario: a CPU of the process, a thread of the driver, reclaim in the background. */
export type TaskBody = () => unknown;

/** A driver's page table, as the oracle looks at it: a DriverPageTable, or anything with this method. */
export interface Watchable {
  /** The entry of the page at `address`, in the kernel's encoding; 0n for none. */
  get(address: number): bigint;
}

export interface WatchOptions {
  /** Default: 'driver', 'driver 2', … */
  readonly name?: string;
  /** Whose table it is: its own private memory may stand in it, and its own migrations are its own business. */
  readonly device?: Device;
}

/** What a scenario is given. Everything that it uses it makes anew, from this and from the library. */
export interface World {
  /** For openHmm({ scheduler }): its every step is the explorer's to order, once parallel() has been called. */
  readonly scheduler: Scheduler;
  /** openHmm() with that scheduler. */
  open(options?: Pick<OpenHmmOptions, 'kernel' | 'devices'>): Promise<Hmm>;
  /**
   * Runs the tasks in all the orders that the strategy chooses, and resolves with their results when all have ended. What comes before it and after it is
   * not interleaved with anything. Rejects with what the first task threw. Once per scenario.
   */
  parallel<T extends Record<string, TaskBody>>(tasks: T): Promise<{ [name in keyof T]: Awaited<ReturnType<T[name]>> }>;
  /** A preemption point in code of the scenario's own: between what comes before it and what comes after it others may go. */
  point(name?: string): Promise<void>;
  /** 64 random bits, which belong to the schedule: 0n under an exhaustive strategy. */
  random(): bigint;
  /** Has the oracle look at a driver's own page table after every step, over the interval of its notifier. Mirrors are looked at without. */
  watch(table: Watchable, notifier: IntervalNotifier, options?: WatchOptions): void;
  /**
   * One attempt of the OOM reaper (`__oom_reap_task_mm`): UNMAP of each private mapping, locked ones too, not blockable; hugetlb
   * memory and shared mappings stay. A callback that refuses keeps its mapping, and who comes behind it is not told.
   *
   * The process has been killed: from then on what is missing of its private memory cannot be faulted in (MMF_UNSTABLE). That is
   * EFAULT for a device, and for `space.write()`; `space.read()` reads zeroes there and maps nothing, as a core dump does.
   * @returns the mappings that stayed because a callback refused
   */
  oomReap(space: AddressSpace): Promise<{ refused: number }>;
}

/** What the simulations of one execution share. */
export interface MachineScheduler extends Scheduler {
  readonly [ENGINE]: Engine;
  readonly [SPARE]: SpareMemory;
}

/** What a world asks of the execution that it belongs to. */
export interface WorldOwner {
  readonly engine: Engine;
  readonly oracle: Oracle;
  readonly scheduler: MachineScheduler;
  parallel(tasks: Record<string, TaskBody>): Promise<Record<string, unknown>>;
  random(): bigint;
}

/** As small as a machine can be: it is made anew for every execution. */
const DEVICES: NonNullable<OpenHmmOptions['devices']> = [
  { kind: 'private', capacity: 64 },
  { kind: 'private', capacity: 64 },
];

export class ScenarioWorld implements World {
  readonly #owner: WorldOwner;

  constructor(owner: WorldOwner) {
    this.#owner = owner;
  }

  get scheduler(): Scheduler {
    return this.#owner.scheduler;
  }

  open(options: Pick<OpenHmmOptions, 'kernel' | 'devices'> = {}): Promise<Hmm> {
    return openHmm({ backend: 'simulation', devices: DEVICES, ...options, scheduler: this.#owner.scheduler });
  }

  parallel<T extends Record<string, TaskBody>>(tasks: T): Promise<{ [name in keyof T]: Awaited<ReturnType<T[name]>> }> {
    return this.#owner.parallel(tasks) as Promise<{ [name in keyof T]: Awaited<ReturnType<T[name]>> }>;
  }

  point(name = 'point'): Promise<void> {
    return this.#owner.engine.point(name);
  }

  random(): bigint {
    return this.#owner.random();
  }

  watch(table: Watchable, notifier: IntervalNotifier, { name, device }: WatchOptions = {}): void {
    if (notifier.length > MAX_WATCHED_PAGES * PAGE_SIZE) {
      throw new RangeError(
        `a table may be watched over ${MAX_WATCHED_PAGES} pages, not ${notifier.length / PAGE_SIZE}`,
      );
    }
    const { interval } = notifier[BACKEND]('watch') as Notifier;
    const { tables } = this.#owner.oracle;
    tables.push({
      name: name ?? (tables.length === 0 ? 'driver' : `driver ${tables.length + 1}`),
      mm: (notifier.backendSpace() as SimulatedSpace).mm,
      notifier: interval,
      device: device?.id ?? null,
      entry(address) {
        const pfn = table.get(address);
        if ((pfn & HMM_PFN_VALID) === 0n) return null;
        return { frame: Number(hmmPfnToFrame(pfn)), write: (pfn & HMM_PFN_WRITE) !== 0n, exclusive: false };
      },
    });
  }

  async oomReap(space: AddressSpace): Promise<{ refused: number }> {
    const backend = space[BACKEND]('oom_reap') as SimulatedSpace;
    return { refused: await this.#owner.engine.start('oom_reap_task_mm', oomReap(backend.mm)) };
  }
}
