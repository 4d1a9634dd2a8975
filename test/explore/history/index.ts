/**
 * Races that drivers in the kernel really had, as scenarios: the driver as it was, and with its fix. What is rebuilt is the order of the steps that went wrong, over
 * this library's calls; no line of those drivers is here. Commits are named by their subject, as `git log --grep` finds them.
 */
import {
  HMM_PFN_REQ_FAULT,
  HMM_PFN_REQ_WRITE,
  HMM_PFN_WRITE,
  HmmRange,
  MADV_DONTNEED,
  type NotifierRange,
} from 'node-hmm';
import { Driver, PAGE, type Setup } from '../driver.js';
import { RACES, raceScenario, setUp, type DriverClass } from '../races.js';
import type { Scenario, ViolationKind } from 'node-hmm/explore';

export interface HistoricRace {
  readonly driver: string;
  /** Subject of the commit that fixed it. */
  readonly fix: string;
  /** What went wrong, in two lines. */
  readonly story: string;
  readonly kind: ViolationKind;
  /** Executions up to the first that fails. */
  readonly found: number;
  readonly before: Scenario;
  readonly after: Scenario;
}

/**
 * amdgpu, user pointers of KFD: the restore worker asked for each buffer whether its pages were still valid, and then updated the GPU's page tables; between the two
 * a notifier could invalidate them, because nothing that the notifier took was held.
 */
class UserptrRestore extends Driver {
  override async commit(range: HmmRange): Promise<boolean> {
    if (await this.lock.run(() => this.isStale(range))) return false;
    await this.store(range);
    return true;
  }
}

/** The fix: one notifier lock, held over the check and the update. */
class UserptrRestoreFixed extends Driver {}

/**
 * nouveau, SVM: requests stood in the array that hmm_range_fault answers in, and the bits of an answer are those of a request. After EBUSY the array held answers of
 * the first attempt: a page that had been found writable was asked for, in the second, for writing.
 */
class PfnsAsRequests extends Driver {
  override newRange(): HmmRange {
    const { start, end } = this.setup;
    const range = new HmmRange({
      notifier: this.notifier,
      start,
      end,
      pfnFlagsMask: HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE,
    });
    range.pfns.fill(HMM_PFN_REQ_FAULT);
    return range;
  }
}

/** The fix: what is wanted of all pages stands in default_flags, and the array is for answers alone. */
class DefaultFlags extends Driver {
  override newRange(): HmmRange {
    const { start, end } = this.setup;
    return new HmmRange({ notifier: this.notifier, start, end, defaultFlags: HMM_PFN_REQ_FAULT });
  }
}

/** Two pages, of which the second has to be faulted; the first is dropped meanwhile. The device asks to read: what it is given of a dropped page is the zero page. */
function readScenario(driverClass: DriverClass): Scenario {
  return async (world) => {
    const setup = await setUp(world, 2);
    const { space, start } = setup;
    await space.madvise(start + PAGE, PAGE, MADV_DONTNEED);
    const driver = new driverClass(setup);
    await driver.attach();
    await world.parallel({ cpu: () => space.madvise(start, PAGE, MADV_DONTNEED), device: () => driver.populate() });
    if ((driver.table.get(start) & HMM_PFN_WRITE) !== 0n)
      throw new Error('the device asked to read, and a page was allocated for it to write');
    return driver.table.get(start) !== 0n;
  };
}

/**
 * amdkfd, SVM: hmm_range_fault was called with the range's lock held. A page of the range that was in device memory after all had to come back, which
 * calls the driver's own invalidation and migration, and those wait for the lock that their caller holds.
 */
class FaultUnderRangeLock extends Driver {
  override async fault(range: HmmRange): Promise<string | null> {
    return await this.lock.run(() => super.fault(range));
  }
}

/** Here the fix is the rule that hmm.rst gives: no lock that invalidate() takes is held over the fault. The kernel's was to recognise its own task. */
class FaultWithoutRangeLock extends Driver {}

/** mlx5, on-demand paging: the region was torn down while its notifier could still run, and what the one had released the other used. */
class TeardownRace extends Driver {
  #alive = true;

  override invalidate(range: NotifierRange): void | Promise<void> {
    // "The region is going away, there is nothing to invalidate." But its translations are still there.
    if (!this.#alive) return;
    return super.invalidate(range) as Promise<void>;
  }

  override async detach(): Promise<void> {
    this.#alive = false;
    await super.detach();
  }
}

/** The fix: the notifier works until nothing is left that it must keep true. */
class TeardownInOrder extends Driver {}

function teardownScenario(driverClass: DriverClass): Scenario {
  return async (world) => {
    const setup: Setup = await setUp(world, 1);
    const driver = new driverClass(setup);
    await driver.attach();
    await driver.populate();
    await world.parallel({ cpu: () => setup.space.munmap(setup.start, PAGE), destroy: () => driver.detach() });
    return driver.table.get(setup.start);
  };
}

export const HISTORY: readonly HistoricRace[] = [
  {
    driver: 'amdgpu (KFD user pointers)',
    fix: 'drm/amdgpu: Add notifier lock for KFD userptrs',
    story: 'validity is checked, then the page table is updated, and no lock of the notifier covers both',
    kind: 'stale-entry',
    found: 7,
    before: raceScenario(RACES['madvise DONTNEED'], UserptrRestore),
    after: raceScenario(RACES['madvise DONTNEED'], UserptrRestoreFixed),
  },
  {
    driver: 'nouveau (SVM)',
    fix: 'nouveau/hmm: fault one page at a time',
    story: 'answers of an attempt that ended in EBUSY are taken for the requests of the next',
    kind: 'error',
    found: 9,
    before: readScenario(PfnsAsRequests),
    after: readScenario(DefaultFlags),
  },
  {
    driver: 'amdkfd (SVM)',
    fix: 'drm/amdkfd: avoid recursive lock in migrations back to RAM',
    story: 'hmm_range_fault under the lock that the invalidation of its own migration takes',
    kind: 'lock-order',
    found: 1,
    before: raceScenario(RACES.munmap, FaultUnderRangeLock),
    after: raceScenario(RACES.munmap, FaultWithoutRangeLock),
  },
  {
    driver: 'mlx5 (on-demand paging)',
    fix: 'RDMA/mlx5: Do not race with mlx5_ib_invalidate_range during create and destroy',
    story: 'invalidations that come while a region is torn down find it half gone',
    kind: 'unfinished-invalidate',
    found: 31,
    before: teardownScenario(TeardownRace),
    after: teardownScenario(TeardownInOrder),
  },
];
