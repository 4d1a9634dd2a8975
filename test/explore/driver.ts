/**
 * The driver of hmm.rst, as a driver author would write it, each step of the loop a method: right in every one, so that a wrong driver is this one with a single method
 * written otherwise.
 */
import {
  DriverPageTable,
  HMM_PFN_REQ_FAULT,
  HMM_PFN_REQ_WRITE,
  HmmError,
  HmmRange,
  type AddressSpace,
  type Device,
  type Hmm,
  type IntervalNotifier,
  type Lock,
  type NotifierRange,
} from 'node-hmm';
import type { World } from 'node-hmm/explore';

export const PAGE = 4096;

/** What a driver asks for of every page. */
export const FAULT = HMM_PFN_REQ_FAULT;
export const WRITE = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE;
/** Whatever is there; nothing is faulted. */
export const SNAPSHOT = 0n;

/** What the world has in it before the tasks begin. */
export interface Setup {
  readonly world: World;
  readonly hmm: Hmm;
  readonly space: AddressSpace;
  /** First byte of the mapping that is mirrored. */
  readonly start: number;
  readonly end: number;
}

export class Driver {
  readonly table = new DriverPageTable();
  readonly lock: Lock;
  notifier!: IntervalNotifier;

  constructor(readonly setup: Setup) {
    this.lock = setup.hmm.createLock();
  }

  get device(): Device {
    return this.setup.hmm.devices[0]!;
  }

  async attach(): Promise<void> {
    const { space, start, end, world } = this.setup;
    this.notifier = await space.insertIntervalNotifier(start, end - start, {
      invalidate: (range) => this.invalidate(range),
    });
    world.watch(this.table, this.notifier, { device: this.device });
  }

  invalidate(range: NotifierRange): void | boolean | Promise<void | boolean> {
    return this.lock.run(() => this.table.invalidate(range.start, range.end));
  }

  newRange(request: bigint): HmmRange {
    const { notifier } = this;
    return new HmmRange({ notifier, start: this.setup.start, end: this.setup.end, defaultFlags: request });
  }

  /** The retry loop. 'ok', or how the fault was refused. @param request what is asked for of every page: FAULT, WRITE or SNAPSHOT */
  async populate(request = FAULT): Promise<string> {
    const range = this.newRange(request);
    for (;;) {
      await this.begin(range);
      const refused = await this.fault(range);
      if (refused === 'EBUSY') continue;
      if (refused !== null) return refused;
      if (await this.commit(range)) return 'ok';
    }
  }

  /** Another thread of the driver has the pages faulted in, and leaves them to whoever populates. */
  async prefetch(): Promise<string | null> {
    const range = this.newRange(FAULT);
    await this.begin(range);
    return await this.fault(range);
  }

  async begin(range: HmmRange): Promise<void> {
    range.notifierSequence = await this.notifier.readBegin();
  }

  /** hmm_range_fault: null, or the code of what it says. */
  async fault(range: HmmRange): Promise<string | null> {
    try {
      await this.setup.hmm.rangeFault(range);
      return null;
    } catch (error) {
      if (error instanceof HmmError && ['EBUSY', 'EFAULT', 'EPERM'].includes(error.code)) return error.code;
      throw error;
    }
  }

  /** False: what was faulted does not hold any more. */
  commit(range: HmmRange): Promise<boolean> {
    return this.lock.run(async () => {
      if (this.isStale(range)) return false;
      await this.store(range);
      return true;
    });
  }

  isStale(range: HmmRange): boolean {
    return this.notifier.readRetry(range.notifierSequence);
  }

  /** Writes to a device take their time: between the decision and the entry anything may happen that the lock does not keep out. */
  async store(range: HmmRange): Promise<void> {
    await this.setup.world.point('device page table update');
    this.table.update(range.start, range.pfns);
  }

  /** The end of the driver: as long as it has an entry it must hear of invalidations, so the entries go first. Nobody populates any more. */
  async detach(): Promise<void> {
    const { start, end } = this.setup;
    await this.lock.run(() => this.table.invalidate(start, end));
    await this.notifier.remove();
  }
}
