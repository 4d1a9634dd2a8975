/** The driver of hmm.rst, as a driver author would write it: right in every method, so that a mutant shows its one mistake and nothing else. */
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

  newRange(write: boolean): HmmRange {
    const defaultFlags = write ? HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE : HMM_PFN_REQ_FAULT;
    const { notifier } = this;
    return new HmmRange({ notifier, start: this.setup.start, end: this.setup.end, defaultFlags });
  }

  /** Writes to a device take their time: between the decision and the entry anything may happen that the lock does not keep out. */
  async store(range: HmmRange): Promise<void> {
    await this.setup.world.point('device page table update');
    this.table.update(range.start, range.pfns);
  }

  /** The retry loop. 'ok', or how the fault was refused. */
  async populate(write = false): Promise<string> {
    const range = this.newRange(write);
    for (;;) {
      range.notifierSequence = await this.notifier.readBegin();
      const refused = await this.fault(range);
      if (refused === 'EBUSY') continue;
      if (refused !== null) return refused;
      const held = await this.lock.acquire();
      try {
        if (this.notifier.readRetry(range.notifierSequence)) continue;
        await this.store(range);
        return 'ok';
      } finally {
        held[Symbol.dispose]();
      }
    }
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

  /** The end of the driver: as long as it has an entry it must hear of invalidations, so the entries go first. Nobody populates any more. */
  async detach(): Promise<void> {
    const { start, end } = this.setup;
    await this.lock.run(() => this.table.invalidate(start, end));
    await this.notifier.remove();
  }
}
