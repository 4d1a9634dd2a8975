/** Invalidations that must not wait: the OOM reaper's. What an invalidate() may do then, and what it may not. */
import { DriverPageTable, HMM_PFN_REQ_FAULT, HmmError, HmmRange, type Lock, type NotifierRange } from 'node-hmm';
import { assertPassed, explore, type Scenario, type World } from 'node-hmm/explore';
import { describe, expect, it } from 'vitest';

const PAGE = 4096;

type Invalidate = (
  range: NotifierRange,
  lock: Lock,
  table: DriverPageTable,
  world: World,
) => void | boolean | Promise<void | boolean>;

/** A driver with that callback populates its table while the reaper, or munmap, is at work. */
function reaped(invalidate: Invalidate, by: 'reaper' | 'munmap' = 'reaper'): Scenario {
  return async (world) => {
    const hmm = await world.open();
    const space = await hmm.createAddressSpace();
    const start = await space.mmap(PAGE);
    await space.write(start, Uint8Array.of(1));
    const table = new DriverPageTable();
    const lock = hmm.createLock({ name: 'pt' });
    const notifier = await space.insertIntervalNotifier(start, PAGE, {
      invalidate: (range) => invalidate(range, lock, table, world),
    });
    world.watch(table, notifier);
    const { cpu } = await world.parallel({
      cpu: async () => {
        if (by === 'reaper') return (await world.oomReap(space)).refused;
        await space.munmap(start, PAGE);
        return 'unmapped';
      },
      device: async () => {
        const range = new HmmRange({ notifier, start, end: start + PAGE, defaultFlags: HMM_PFN_REQ_FAULT });
        for (;;) {
          range.notifierSequence = await notifier.readBegin();
          try {
            await hmm.rangeFault(range);
          } catch (error) {
            if (!(error instanceof HmmError)) throw error;
            if (error.code === 'EBUSY') continue;
            if (error.code === 'EFAULT') return;
            throw error;
          }
          await lock.acquire();
          try {
            if (notifier.readRetry(range.notifierSequence)) continue;
            await world.point('device page table update');
            table.update(start, range.pfns);
            return;
          } finally {
            lock.release();
          }
        }
      },
    });
    return cpu;
  };
}

const empty = (range: NotifierRange, table: DriverPageTable) => table.invalidate(range.start, range.end);

/** Async: it has returned a promise before it has answered, and yet it does not wait. */
const asynchronous: Invalidate = async (range, lock, table) => {
  if (range.blockable) await lock.acquire();
  else if (lock.tryAcquire() === null) return false;
  empty(range, table);
  lock.release();
  return true;
};

const synchronous: Invalidate = (range, lock, table) => {
  if (range.blockable) return lock.run(() => empty(range, table));
  const held = lock.tryAcquire();
  if (held === null) return false;
  empty(range, table);
  held.release();
  return true;
};

describe('passes: the lock is only tried', () => {
  it.each([
    ['in an async callback', asynchronous],
    ['in a callback that answers at once', synchronous],
  ])('%s', async (_, invalidate) => {
    const result = await explore(reaped(invalidate));
    assertPassed(result);
    // Both happen: the reaper finds the lock free, and finds it taken.
    expect([...result.outcomes.keys()].sort()).toEqual(['0', '1']);
    assertPassed(await explore(reaped(invalidate, 'munmap')));
  });

  it('with and without the reduction, with the same outcomes', async () => {
    const reduced = await explore(reaped(asynchronous));
    const all = await explore(reaped(asynchronous), { reduction: false });
    assertPassed(all);
    expect(reduced.executions).toBeLessThan(all.executions);
    expect([...reduced.outcomes.keys()].sort()).toEqual([...all.outcomes.keys()].sort());
  });
});

describe('fails: blocking-callback', () => {
  it.each<[string, Invalidate]>([
    ['the lock is waited for', (range, lock, table) => lock.run(() => empty(range, table))],
    [
      'a call is awaited before the lock is tried',
      async (range, lock, table, world) => {
        await world.point('elsewhere');
        return asynchronous(range, lock, table, world);
      },
    ],
    [
      'a call is awaited after the lock was had',
      async (range, lock, table, world) => {
        const answer = await asynchronous(range, lock, table, world);
        await world.point('elsewhere');
        return answer;
      },
    ],
    [
      'a promise is awaited that nobody settles',
      async (range, lock, table, world) => {
        if (!range.blockable) await new Promise(() => undefined);
        return asynchronous(range, lock, table, world);
      },
    ],
  ])('%s', async (_, invalidate) => {
    const result = await explore(reaped(invalidate));
    expect(result).toMatchObject({ result: 'failed', failure: { violation: { kind: 'blocking-callback' } } });
  });
});

it('as lockdep, no order of locks is taken from one that is only tried; one from it is', async () => {
  const both =
    (second: 'acquire' | 'tryAcquire'): Scenario =>
    async (world) => {
      const hmm = await world.open();
      const [one, two] = [hmm.createLock({ name: 'one' }), hmm.createLock({ name: 'two' })];
      await world.parallel({
        a: () => one.run(() => two.run(() => undefined)),
        b: async () => {
          const outer = two.tryAcquire();
          if (outer === null) return;
          const inner = second === 'acquire' ? await one.acquire() : one.tryAcquire();
          inner?.release();
          outer.release();
        },
      });
    };
  assertPassed(await explore(both('tryAcquire')));
  const reversed = await explore(both('acquire'));
  expect(reversed).toMatchObject({ result: 'failed', failure: { violation: { kind: 'lock-order' } } });
  // By their names.
  expect(reversed.result === 'failed' && reversed.failure.violation.message).toContain("takes 'one' with 'two' held");
});

it('a mirror whose update lock is held refuses the reaper, as the module does', async () => {
  const result = await explore(async (world) => {
    const hmm = await world.open();
    const space = await hmm.createAddressSpace();
    const start = await space.mmap(PAGE);
    const mirror = await space.mirror(hmm.devices[0]!, { start, length: PAGE });
    const { reaper } = await world.parallel({
      reaper: () => world.oomReap(space),
      holder: async () => {
        const held = mirror.updateLock.tryAcquire();
        await world.point();
        held?.release();
      },
    });
    return reaper.refused;
  });
  assertPassed(result);
  expect([...result.outcomes.keys()].sort()).toEqual(['0', '1']);
});
