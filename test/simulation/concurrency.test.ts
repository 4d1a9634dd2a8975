import { describe, expect, test } from 'vitest';
import { openSimulation } from '../../lib/simulation/index.js';
import { checkInvariant } from '../../lib/simulation/invariant.js';
import { Random, RunUntil } from './schedulers.js';
import { BASE, MAP_FIXED, PAGE, PRIVATE, openWorld, words } from './world.js';
import type { Backend, BackendAddressSpace, Invalidation } from '../../lib/backend.js';
import type { Scheduler } from '../../lib/scheduler.js';

async function mapped(simulation: Backend): Promise<BackendAddressSpace> {
  const space = await simulation.createAddressSpace();
  const [result] = await space.run(0, [{ op: 'mmap', address: BASE, length: 4 * PAGE, flags: PRIVATE | MAP_FIXED }]);
  expect(result!.error).toBeUndefined();
  return space;
}

describe('with a scheduler', () => {
  test('populate that is overtaken between the walk and its lock begins again', async () => {
    const scheduler = new RunUntil('populate', 'mutex_lock');
    const simulation = openSimulation({ scheduler });
    const space = await mapped(simulation);
    const mirror = await space.createMirror(0, BASE, 4 * PAGE, { event: () => undefined });
    const populated = mirror.populate(BASE, BASE + 4 * PAGE, { write: false, snapshot: false });
    const cleared = space.run(0, [{ op: 'madvise', address: BASE, length: PAGE, advice: 4 }]);
    expect(await populated).toEqual({ pages: 4, retries: 1 });
    await cleared;
    expect(scheduler.seen).toContain('madvise@mmu_notifier_invalidate_range_start');
    expect(checkInvariant(simulation)).toEqual([]);
    await simulation.close();
  });

  test('populate that is overtaken within its walk begins again, by EBUSY', async () => {
    const simulation = openSimulation({ scheduler: new RunUntil('populate', 'handle_mm_fault') });
    const space = await mapped(simulation);
    const mirror = await space.createMirror(0, BASE, 4 * PAGE, { event: () => undefined });
    const populated = mirror.populate(BASE, BASE + 4 * PAGE, { write: false, snapshot: false });
    const cleared = space.run(0, [{ op: 'madvise', address: BASE, length: PAGE, advice: 4 }]);
    expect(await populated).toEqual({ pages: 4, retries: 1 });
    await cleared;
    await simulation.close();
  });

  test('a driver that forgets readRetry ends up with a frame that the process no longer has', async () => {
    // Between the walk and the update somebody unmaps: the retry is what would have told.
    const simulation = openSimulation({ scheduler: new RunUntil('hmm_range_fault', 'never') });
    const space = await mapped(simulation);
    await space.run(0, [{ op: 'write', address: BASE, bytes: Uint8Array.of(1) }]);
    const notifier = await space.insertNotifier(BASE, 4 * PAGE, { invalidate: () => true, timedOut: () => undefined });
    const sequence = await notifier.readBegin();
    const pfns = new BigUint64Array(1);
    const range = {
      notifier,
      start: BASE,
      end: BASE + PAGE,
      revision: 0,
      notifierSequence: sequence,
      defaultFlags: 0n,
      pfnFlagsMask: 0n,
      owner: null,
      pfns,
    };
    await space.rangeFault(range);
    expect(words(pfns)).toBe('VW');
    await space.run(0, [{ op: 'munmap', address: BASE, length: PAGE }]);
    expect(notifier.readRetry(sequence)).toBe(true);
    await expect(space.deviceRead(0, BASE, 1, pfns)).rejects.toMatchObject({ code: 'ESTALE' });
    await simulation.close();
  });

  test('any interleaving keeps the device honest', async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const simulation = openSimulation({ scheduler: new Random(seed) });
      const space = await mapped(simulation);
      let broken: string[] = [];
      const look = (): void => {
        if (broken.length === 0) broken = checkInvariant(simulation);
      };
      const mirror = await space.createMirror(0, BASE, 4 * PAGE, { event: look });
      const jobs = [
        mirror.populate(BASE, BASE + 4 * PAGE, { write: false, snapshot: false }),
        mirror.populate(BASE + PAGE, BASE + 3 * PAGE, { write: true, snapshot: false }),
        space.run(0, [
          { op: 'madvise', address: BASE, length: 2 * PAGE, advice: 4 },
          { op: 'write', address: BASE, bytes: new Uint8Array(PAGE).fill(1) },
        ]),
        space.run(1, [{ op: 'mprotect', address: BASE + 3 * PAGE, length: PAGE, protection: 1 }]),
        space.fork().then((child) => child.exit()),
      ];
      await Promise.all(jobs.map(async (job) => (await job, look())));
      expect({ seed, broken }).toEqual({ seed, broken: [] });
      await simulation.close();
      expect((simulation as unknown as { machine: { frames: { used: number } } }).machine.frames.used).toBe(0);
    }
  });

  test('an answer that is not a runnable task fails the operation, with the reason', async () => {
    const scheduler: Scheduler = { newExecution: () => true, nextTask: () => 77, nextU64: () => 0n };
    const simulation = openSimulation({ scheduler });
    const space = await simulation.createAddressSpace();
    await expect(space.run(0, [{ op: 'mmap', length: PAGE }])).rejects.toThrow(RangeError);
  });
});

describe('without one', () => {
  test('an asynchronous callback holds the operation up, until it settles', async () => {
    const world = await openWorld();
    world.map(0, PAGE);
    let settle = (): void => undefined;
    const order: string[] = [];
    await world.space.insertNotifier(BASE, PAGE, {
      invalidate: () =>
        new Promise((resolve) => {
          settle = () => {
            order.push('callback');
            resolve(true);
          };
        }),
      timedOut: () => order.push('timed out'),
    });
    const done = Promise.resolve(world.space.run(0, [{ op: 'munmap', address: BASE, length: PAGE }])).then(() =>
      order.push('munmap'),
    );
    // The same thread queues, another one does not.
    const queued = Promise.resolve(world.space.run(0, [{ op: 'mmap', length: PAGE }])).then(() => order.push('mmap'));
    expect(world.space.run(1, [{ op: 'read', address: BASE + 0x10_0000, length: 0 }])).toHaveLength(1);
    settle();
    await Promise.all([done, queued]);
    expect(order).toEqual(['callback', 'munmap', 'mmap']);
  });

  test('munmap tells its notifiers with the lock downgraded: others can look, and find the range gone; mprotect does not', async () => {
    const world = await openWorld();
    world.map(0, 2 * PAGE);
    world.map(0x10_0000, PAGE);
    const inside: unknown[] = [];
    const quiet = await world.space.insertNotifier(BASE + 0x10_0000, PAGE, {
      invalidate: () => true,
      timedOut: () => undefined,
    });
    await world.space.insertNotifier(BASE, 2 * PAGE, {
      invalidate: ({ event }) => {
        const pfns = new BigUint64Array(1);
        const outcome = world.space.rangeFault({
          notifier: quiet,
          start: BASE + 0x10_0000,
          end: BASE + 0x10_1000,
          revision: 0,
          notifierSequence: quiet.readBegin() as number,
          defaultFlags: 0n,
          pfnFlagsMask: 0n,
          owner: null,
          pfns,
        });
        inside.push(event, outcome instanceof Promise ? 'waits' : words(pfns));
        return true;
      },
      timedOut: () => undefined,
    });
    world.touch(0);
    world.touch(0x10_0000);
    world.run({ op: 'mprotect', address: BASE, length: PAGE, protection: 1 });
    world.run({ op: 'munmap', address: BASE, length: PAGE });
    expect(inside).toEqual(['protection-vma', 'waits', 'unmap', 'VW']);
  });

  test('while mprotect tells its notifiers, 6.12 faults in other mappings, 6.1 waits for mmap_lock', async () => {
    for (const [kernel, expected] of [
      ['6.12', [true, false]],
      ['6.1', [false, false]],
    ] as const) {
      const world = await openWorld({ kernel });
      world.map(0, PAGE);
      world.map(0x10_0000, PAGE);
      world.touch(0);
      const atOnce: boolean[] = [];
      await world.space.insertNotifier(BASE, PAGE, {
        invalidate: ({ event }) => {
          if (event !== 'protection-vma') return true;
          const reads = [0x10_0000, 0x10_0001].map((at) =>
            world.space.run(at, [{ op: 'read', address: BASE + at, length: 1 }]),
          );
          // The first write to memory that has no anon_vma needs mmap_lock on both.
          const written = world.space.run(3, [{ op: 'write', address: BASE + 0x10_0000, bytes: Uint8Array.of(1) }]);
          atOnce.push(!(reads[0] instanceof Promise), !(written instanceof Promise));
          return true;
        },
        timedOut: () => undefined,
      });
      void world.space.run(0, [{ op: 'mprotect', address: BASE, length: PAGE, protection: 1 }]);
      expect(atOnce).toEqual(expected);
      await world.simulation.close();
    }
  });

  test('a callback that takes too long is reported, and the operation goes on', async () => {
    const world = await openWorld({ callbackTimeout: 10 });
    world.map(0, PAGE);
    const late: Invalidation[] = [];
    await world.space.insertNotifier(BASE, PAGE, {
      invalidate: () => new Promise(() => undefined),
      timedOut: (event) => late.push(event),
    });
    await world.space.run(0, [{ op: 'madvise', address: BASE, length: PAGE, advice: 4 }]);
    expect(late).toMatchObject([{ event: 'clear', sequence: 3 }]);
  });

  test('exit waits for what is under way; then nothing goes on', async () => {
    const world = await openWorld();
    world.map(0, PAGE);
    world.touch(0);
    let settle = (): void => undefined;
    const notifier = await world.space.insertNotifier(BASE, PAGE, {
      invalidate: ({ event }) => (event === 'clear' ? new Promise((resolve) => (settle = () => resolve(true))) : true),
      timedOut: () => undefined,
    });
    const running = world.space.run(0, [
      { op: 'madvise', address: BASE, length: PAGE, advice: 4 },
      { op: 'mmap', length: PAGE },
    ]);
    const exited = world.space.exit();
    expect(world.space.alive).toBe(false);
    settle();
    await expect(running).rejects.toMatchObject({ code: 'ESRCH' });
    await exited;
    await expect(world.space.run(0, [])).rejects.toMatchObject({ code: 'ESRCH' });
    await expect(world.space.fork()).rejects.toMatchObject({ code: 'ESRCH' });
    await notifier.remove();
    expect(world.simulation.machine.frames.used).toBe(0);
  });
});
