/**
 * Drivers that are wrong, each by one mistake that real drivers have made or could make, with the race that shows it. Each is the right driver (../driver.ts) with one
 * method written otherwise.
 */
import { PROT_READ } from 'node-hmm';
import * as invalidate from './invalidate.js';
import * as loop from './loop.js';
import { Driver, FAULT, PAGE } from '../driver.js';
import { FROM_ANOTHER_DEVICE, RACES, raceScenario, setUp, type DriverClass, type Race } from '../races.js';
import type { Scenario, ViolationKind, World } from 'node-hmm/explore';

export interface Mutant {
  readonly name: string;
  /** What it does wrong, in a line. */
  readonly mistake: string;
  /** As what it shows in the exhaustive exploration. */
  readonly kind: ViolationKind;
  readonly scenario: Scenario;
  /** The right driver in the same scenario. */
  readonly right: Scenario;
}

const TWO_PAGES: Race = { pages: 2, cpu: ({ space, start, end }) => space.munmap(start, end - start) };
/** The process works on its memory, and the device comes once more. */
const TWICE: Race = { ...RACES.munmap, again: true };

function race(name: string, mistake: string, kind: ViolationKind, against: Race, wrong: DriverClass): Mutant {
  return { name, mistake, kind, scenario: raceScenario(against, wrong), right: raceScenario(against) };
}

function detachScenario(driverClass: DriverClass): Scenario {
  return async (world: World) => {
    const setup = await setUp(world, 1);
    const driver = new driverClass(setup);
    await driver.attach();
    await driver.populate();
    await world.parallel({
      cpu: () => setup.space.munmap(setup.start, PAGE),
      driver: () => driver.detach(),
    });
    return driver.table.get(setup.start);
  };
}

function doubleScenario(driverClass: DriverClass): Scenario {
  return async (world: World) => {
    const setup = await setUp(world, 1);
    const driver = new driverClass(setup);
    await driver.attach();
    // One thread of the driver has come as far as its fault; the other faults for itself.
    const range = driver.newRange(FAULT);
    await driver.begin(range);
    await driver.fault(range);
    const { one, two } = await world.parallel({
      cpu: () => setup.space.munmap(setup.start, PAGE),
      one: () => driver.commit(range),
      two: () => driver.prefetch(),
    });
    return { one, two };
  };
}

function reaperScenario(driverClass: DriverClass): Scenario {
  return async (world: World) => {
    const setup = await setUp(world, 1);
    const driver = new driverClass(setup);
    await driver.attach();
    const { reaper } = await world.parallel({
      reaper: () => world.oomReap(setup.space),
      device: () => driver.populate(),
    });
    return reaper.refused;
  };
}

const PART: Race = { pages: 2, cpu: ({ space, start }) => space.munmap(start + PAGE, PAGE) };
const PROTECT_READ: Race = { pages: 1, cpu: ({ space, start }) => space.mprotect(start, PAGE, PROT_READ) };

export const MUTANTS: readonly Mutant[] = [
  race(
    'no read_retry',
    'stores what it faulted without asking whether it still holds',
    'stale-entry',
    RACES.munmap,
    loop.NoReadRetry,
  ),
  race(
    'read_retry before the lock',
    'asks, then takes the lock: the answer is old when it is used',
    'stale-entry',
    RACES.munmap,
    loop.RetryBeforeLock,
  ),
  race(
    'no lock in invalidate',
    'invalidate() clears the table while populate() is between read_retry and the update',
    'stale-entry',
    RACES.munmap,
    invalidate.NoLockInInvalidate,
  ),
  race(
    'EBUSY faults again',
    'calls hmm_range_fault again with the old sequence',
    'livelock',
    RACES['madvise DONTNEED'],
    loop.BusyDoesNotBeginAgain,
  ),
  race('sequence taken once', 'read_begin outside the loop', 'livelock', RACES['madvise DONTNEED'], loop.SequenceOnce),
  race(
    'update after unlock',
    'asks under the lock, stores without it',
    'stale-entry',
    RACES.munmap,
    loop.UpdateAfterUnlock,
  ),
  race(
    'sequence taken after the fault',
    'a second read_begin before the lock vouches for nothing',
    'stale-entry',
    RACES.munmap,
    loop.SequenceAfterFault,
  ),
  race(
    'old pfns after a retry',
    'begins again, but keeps what it faulted before',
    'stale-entry',
    RACES.munmap,
    loop.KeepsPfnsOnRetry,
  ),
  race(
    'a flag of its own',
    'resets its own "invalidated" after the fault instead of before',
    'stale-entry',
    RACES['madvise DONTNEED'],
    loop.OwnSequence,
  ),
  race(
    'lock held over the fault',
    'hmm_range_fault takes mmap_lock, under which invalidate() waits for the driver’s lock',
    'lock-order',
    RACES.munmap,
    loop.LockAcrossFault,
  ),
  race(
    'read_begin under the lock',
    'waits for the end of an invalidation whose callback waits for the lock',
    'lock-order',
    RACES.munmap,
    loop.ReadBeginUnderLock,
  ),
  race(
    'lock kept on retry',
    'goes round the loop without releasing',
    'lock-order',
    RACES['madvise DONTNEED'],
    loop.KeepsLockOnRetry,
  ),
  race(
    'pfns of a failed fault',
    'EBUSY, and what was there before is stored under a new sequence',
    'stale-entry',
    RACES.mremap,
    loop.StoresInvalidatedOnError,
  ),
  race(
    'clears the first page only',
    'the range has more',
    'unfinished-invalidate',
    TWO_PAGES,
    invalidate.FirstPageOnly,
  ),
  race('clears from the second page', 'off by one', 'unfinished-invalidate', RACES.munmap, invalidate.OffByOne),
  race(
    'clears when all is covered',
    'an event for a part of the interval is taken for one that is elsewhere',
    'unfinished-invalidate',
    PART,
    invalidate.OnlyWhenCovered,
  ),
  race(
    'ignores every migration',
    'only its own would be its business',
    'unfinished-invalidate',
    FROM_ANOTHER_DEVICE,
    invalidate.IgnoresEveryMigration,
  ),
  race(
    'ignores another’s migrations',
    'compares the owner the wrong way round',
    'unfinished-invalidate',
    FROM_ANOTHER_DEVICE,
    invalidate.IgnoresOwnMigrationOfOther,
  ),
  race(
    'true, and nothing done',
    'invalidate() answers without clearing',
    'unfinished-invalidate',
    RACES.munmap,
    invalidate.DoesNothing,
  ),
  race(
    'does it later',
    'invalidate() starts the work and does not wait for it',
    'unfinished-invalidate',
    RACES.munmap,
    invalidate.DoesItLater,
  ),
  race(
    'write permission kept',
    'PROTECTION_VMA is taken for a matter of the CPU',
    'unfinished-invalidate',
    PROTECT_READ,
    invalidate.IgnoresProtection,
  ),
  race(
    'fork ignored',
    'PROTECTION_PAGE is taken for a matter of the CPU: the device writes what the child shares',
    'unfinished-invalidate',
    RACES.fork,
    invalidate.IgnoresFork,
  ),
  race(
    'CLEAR ignored',
    'the mapping is still there, but not the page',
    'unfinished-invalidate',
    RACES['madvise DONTNEED'],
    invalidate.IgnoresClear,
  ),
  race('writable whatever was said', 'sets the write bit itself', 'stale-entry', PROTECT_READ, loop.WritesAnyway),
  race(
    'deaf until mapped',
    'ignores events until the first populate has ended',
    'stale-entry',
    TWICE,
    invalidate.MappedFlag,
  ),
  race(
    'trylock taken for done',
    'skips the work if populate() has the lock',
    'stale-entry',
    RACES.munmap,
    invalidate.SkipsWhenBusy,
  ),
  {
    name: 'entries left on remove',
    mistake: 'the notifier goes, and what it kept true stays',
    kind: 'stale-entry',
    scenario: detachScenario(invalidate.KeepsEntriesOnDetach),
    right: detachScenario(Driver),
  },
  {
    name: 'entries cleared after remove',
    mistake: 'the notifier goes first, and between the two nobody hears of an unmap',
    kind: 'stale-entry',
    scenario: detachScenario(invalidate.ClearsAfterRemove),
    right: detachScenario(Driver),
  },
  {
    name: 'double populate',
    mistake: 'two faults at once share one range, so one’s sequence vouches for the other’s pfns',
    kind: 'stale-entry',
    scenario: doubleScenario(loop.SharedRange),
    right: doubleScenario(Driver),
  },
  {
    name: 'waits for the OOM reaper',
    mistake: 'takes a sleeping lock in an invalidation that is not blockable',
    kind: 'blocking-callback',
    scenario: reaperScenario(invalidate.WaitsForReaper),
    right: reaperScenario(invalidate.AnswersReaper),
  },
];
