import { describe, expect, test } from 'vitest';
import { checkInvariant } from '../../lib/simulation/invariant.js';
import { Simulation } from '../../lib/simulation/simulation.js';
import { Hold, Random } from './schedulers.js';
import { BASE, MAP_FIXED, PAGE, PRIVATE, openWorld, shown } from './world.js';
import type { BackendAddressSpace, BackendMirror, Invalidation } from '../../lib/backend.js';
import type { Operation } from '../../lib/operations.js';
import type { Scheduler } from '../../lib/scheduler.js';

interface Scene {
  readonly simulation: Simulation;
  readonly space: BackendAddressSpace;
  readonly mirror: BackendMirror;
  readonly events: Invalidation[];
}

const WRITE: Operation = { op: 'write', address: BASE, bytes: Uint8Array.of(5) };
const READ: Operation = { op: 'read', address: BASE, length: 1 };

/** Four pages at BASE, the first with a 5 in it, and a mirror of device 0. */
async function scene(scheduler?: Scheduler): Promise<Scene> {
  const simulation = new Simulation(scheduler === undefined ? {} : { scheduler });
  const space = await simulation.createAddressSpace();
  await space.run(0, [{ op: 'mmap', address: BASE, length: 4 * PAGE, flags: PRIVATE | MAP_FIXED }, WRITE]);
  const events: Invalidation[] = [];
  const mirror = await space.createMirror(0, BASE, 4 * PAGE, { event: (event) => events.push(event) });
  return { simulation, space, mirror, events };
}

async function value(space: BackendAddressSpace, operation: Operation, thread = 1): Promise<unknown> {
  const [result] = await space.run(thread, [operation]);
  if (result!.error !== undefined) throw result!.error;
  return result!.value;
}

/** Nothing is left of what was under way. */
async function expectClean({ simulation }: Scene): Promise<void> {
  expect(checkInvariant(simulation)).toEqual([]);
  expect(simulation.machine.pageLocks.size).toBe(0);
  await simulation.close();
  expect(simulation.machine.frames.used).toBe(0);
  expect(simulation.devices.map(({ id }) => simulation.deviceUsage(id))).toEqual([0, 0, 0, 0]);
}

describe('a migration that is under way', () => {
  for (const at of ['migrate_device_unmap', 'migrate_vma_pages', 'migrate_vma_finalize']) {
    test(`a CPU that touches the page waits (${at})`, async () => {
      const scheduler = new Hold('migrate_to_device', at);
      const world = await scene(scheduler);
      const moved = world.mirror.migrateToDevice(BASE, BASE + PAGE);
      const read = value(world.space, READ);
      expect(await moved).toEqual({ migrated: 1 });
      expect(await read).toEqual(Uint8Array.of(5));
      expect(scheduler.seen).toContain('read@migration_entry_wait');
      // It came back at once: the device has not kept an entry.
      expect(world.events.map(shown)).toEqual(['migrate +0x0..+0x1000', 'migrate +0x0..+0x1000']);
      expect(await world.mirror.entries(BASE, BASE + PAGE)).toEqual(new BigUint64Array(1));
      await expectClean(world);
    });
  }

  test('so does a range fault, and goes on where it was', async () => {
    const scheduler = new Hold('migrate_to_device', 'migrate_vma_finalize');
    const world = await scene(scheduler);
    const other = await world.space.createMirror(2, BASE, 4 * PAGE, { event: () => undefined });
    const moved = world.mirror.migrateToDevice(BASE, BASE + PAGE);
    const populated = other.populate(BASE, BASE + 2 * PAGE, { write: false, snapshot: false });
    await moved;
    // Then it finds another device's memory, faults that, and begins again because of the event.
    expect(await populated).toEqual({ pages: 2, retries: 1 });
    expect(scheduler.seen).toContain('populate@migration_entry_wait');
    await expectClean(world);
  });

  test('DONTNEED in between: the page is gone, and the device has nothing', async () => {
    const world = await scene(new Hold('migrate_to_device', 'migrate_vma_finalize'));
    const moved = world.mirror.migrateToDevice(BASE, BASE + PAGE);
    const dropped = value(world.space, { op: 'madvise', address: BASE, length: PAGE, advice: 4 });
    expect(await moved).toEqual({ migrated: 1 });
    await dropped;
    expect(world.simulation.deviceUsage(0)).toBe(0);
    expect(await world.mirror.entries(BASE, BASE + PAGE)).toEqual(new BigUint64Array(1));
    await expectClean(world);
  });

  test('DONTNEED between the migration and the snapshot that follows it', async () => {
    const world = await scene(new Hold('migrate_to_device', 'mutex_lock'));
    const moved = world.mirror.migrateToDevice(BASE, BASE + PAGE);
    const dropped = value(world.space, { op: 'madvise', address: BASE, length: PAGE, advice: 4 });
    expect(await moved).toEqual({ migrated: 1 });
    await dropped;
    expect(await world.mirror.entries(BASE, BASE + PAGE)).toEqual(new BigUint64Array(1));
    await expectClean(world);
  });

  test('another device finds the page locked, and leaves it', async () => {
    const world = await scene(new Hold('migrate_to_device', 'migrate_vma_finalize'));
    const other = await world.space.createMirror(1, BASE, 4 * PAGE, { event: () => undefined });
    const [first, second] = await Promise.all([
      world.mirror.migrateToDevice(BASE, BASE + PAGE),
      other.migrateToSystem(BASE, BASE + PAGE),
    ]);
    expect([first, second]).toEqual([{ migrated: 1 }, { migrated: 0 }]);
    await expectClean(world);
  });

  test('a page that is just being copied does not move', async () => {
    const world = await scene(new Hold('write', 'mmu_notifier_invalidate_range_start'));
    const child = await world.space.fork();
    const written = value(world.space, { op: 'write', address: BASE, bytes: Uint8Array.of(6) });
    const moved = world.mirror.migrateToDevice(BASE, BASE + PAGE);
    expect(await moved).toEqual({ migrated: 0 });
    await written;
    expect([await value(world.space, READ), await value(child, READ)]).toEqual([Uint8Array.of(6), Uint8Array.of(5)]);
    await expectClean(world);
  });

  test('fork by the other process: the grandchild is mapped too', async () => {
    const world = await scene(new Hold('migrate_to_device', 'migrate_vma_finalize'));
    const child = await world.space.fork();
    const moved = world.mirror.migrateToDevice(BASE, BASE + PAGE);
    const grandchild = child.fork();
    expect(await moved).toEqual({ migrated: 1 });
    for (const space of [await grandchild, child, world.space])
      expect(await value(space, READ)).toEqual(Uint8Array.of(5));
    await expectClean(world);
  });
});

describe('two faults on one page of private memory', () => {
  test('one brings it back, the other waits and finds it there', async () => {
    const world = await scene(new Hold('read', 'migrate_vma_finalize'));
    await world.mirror.migrateToDevice(BASE, BASE + PAGE);
    const [one, other] = await Promise.all([
      value(world.space, READ, 1),
      value(world.space, { op: 'write', address: BASE + 1, bytes: Uint8Array.of(9) }, 2),
    ]);
    expect([one, other]).toEqual([Uint8Array.of(5), undefined]);
    expect(await value(world.space, { op: 'read', address: BASE, length: 2 })).toEqual(Uint8Array.of(5, 9));
    await expectClean(world);
  });

  test('when each holds the page before it is locked, neither moves it at first, and both are served', async () => {
    const world = await scene(new Hold('read', 'migrate_vma_collect'));
    await world.mirror.migrateToDevice(BASE, BASE + PAGE);
    const reads = [1, 2, 3].map((thread) => value(world.space, READ, thread));
    expect(await Promise.all(reads)).toEqual([Uint8Array.of(5), Uint8Array.of(5), Uint8Array.of(5)]);
    await expectClean(world);
  });

  test('a callback that waits holds up the one, and the other with it', async () => {
    const world = await scene();
    await world.mirror.migrateToDevice(BASE, BASE + PAGE);
    const answers: (() => void)[] = [];
    await world.space.insertNotifier(BASE, PAGE, {
      invalidate: () => new Promise<boolean>((resolve) => answers.push(() => resolve(true))),
      timedOut: () => undefined,
    });
    const reads = [value(world.space, READ, 1), value(world.space, READ, 2)];
    await new Promise((resolve) => setImmediate(resolve));
    expect(answers.length).toBe(2);
    for (const answer of answers) answer();
    const settled = Promise.all(reads);
    const timer = setInterval(() => answers.splice(0).forEach((answer) => answer()), 1);
    expect(await settled).toEqual([Uint8Array.of(5), Uint8Array.of(5)]);
    clearInterval(timer);
    await expectClean(world);
  });
});

describe('exclusive access', () => {
  test('a CPU that wants the page back waits until the device has its entry', async () => {
    const scheduler = new Hold('make_device_exclusive_range', 'mmu_notifier_invalidate_range_end');
    const world = await scene(scheduler);
    const other = await world.space.createMirror(1, BASE, 4 * PAGE, { event: () => undefined });
    expect(await world.mirror.makeExclusive(BASE, BASE + PAGE)).toEqual({ pages: 1 });
    const again = other.makeExclusive(BASE, BASE + PAGE);
    const read = value(world.space, READ);
    expect(await again).toEqual({ pages: 1 });
    expect(await read).toEqual(Uint8Array.of(5));
    await expectClean(world);
  });

  test('DONTNEED between taking the page and storing the entry: begun again, with the page that is there then', async () => {
    const scheduler = new Hold('make_device_exclusive_range', 'mmu_notifier_invalidate_range_end');
    const world = await scene(scheduler);
    const taken = world.mirror.makeExclusive(BASE, BASE + PAGE);
    const dropped = value(world.space, { op: 'madvise', address: BASE, length: PAGE, advice: 4 });
    await dropped;
    expect(await taken).toEqual({ pages: 1 });
    expect(checkInvariant(world.simulation)).toEqual([]);
    expect(await world.mirror.atomicAdd(BASE, 1n)).toBe(0n);
    await expectClean(world);
  });

  test('a fork waits for who is giving such a page up, and copies it', async () => {
    const scheduler = new Hold('read', 'mmu_notifier_invalidate_range_start');
    const world = await scene(scheduler);
    await world.mirror.makeExclusive(BASE, BASE + PAGE);
    const read = value(world.space, READ);
    const child = await world.space.fork();
    expect([await read, await value(child, READ)]).toEqual([Uint8Array.of(5), Uint8Array.of(5)]);
    expect(scheduler.seen).toContain('fork@mmap_write_lock');
    await expectClean(world);
  });

  test('a fork that finds such a page locked all the same fails, and leaves no trace', async () => {
    const world = await scene();
    await world.mirror.makeExclusive(BASE, BASE + PAGE);
    const { pageLocks } = world.simulation.machine;
    const [entry] = await world.mirror.entries(BASE, BASE + PAGE);
    const frame = Number(entry! & 0xffff_ffffn);
    pageLocks.tryLock(frame);
    await expect(world.space.fork()).rejects.toMatchObject({ code: 'ENOMEM', syscall: 'fork' });
    pageLocks.unlock(frame);
    expect(await value(await world.space.fork(), READ)).toEqual(Uint8Array.of(5));
    await expectClean(world);
  });
});

describe('frames and devices', () => {
  test('device memory has numbers of its own, and content goes with the page', async () => {
    const world = await openWorld({
      devices: [
        { kind: 'private', capacity: 2 },
        { kind: 'none', capacity: 9 },
      ],
    });
    expect(world.simulation.devices).toEqual([
      { id: 0, kind: 'private', capacity: 2 },
      { id: 1, kind: 'none', capacity: 0 },
    ]);
    expect(world.simulation.features).toMatchObject({ devicePrivate: true, deviceCoherent: false });
    expect(world.simulation.features.reasons.deviceCoherent).toBeDefined();
    world.map(0, 4 * PAGE);
    for (let page = 0; page < 4; page++) world.touch(page * PAGE, page + 1);
    const mirror = await world.space.createMirror(0, BASE, 4 * PAGE, { event: () => undefined });
    const { frames } = world.simulation.machine;
    expect([frames.used, frames.stored]).toEqual([4, 4]);
    expect(mirror.migrateToDevice(BASE, BASE + 4 * PAGE)).toEqual({ migrated: 2 });
    expect([frames.used, frames.stored, world.simulation.deviceUsage(0)]).toEqual([2, 4, 2]);
    const { locations } = await mirror.query(BASE, BASE + 4 * PAGE);
    expect([...locations]).toEqual([16, 16, 1, 1]);
    world.run({ op: 'munmap', address: BASE, length: PAGE });
    expect([frames.used, frames.stored, world.simulation.deviceUsage(0)]).toEqual([2, 3, 1]);
    expect(world.look(PAGE)[0]).toBe(2);
    expect(() => world.simulation.deviceUsage(2)).toThrow();
  });

  test('no system memory for the way back: the CPU’s access fails, a migration leaves the page', async () => {
    const world = await openWorld({ frames: 1, devices: [{ kind: 'private', capacity: 4 }] });
    world.map(0, 2 * PAGE);
    world.touch(0, 7);
    const mirror = await world.space.createMirror(0, BASE, 2 * PAGE, { event: () => undefined });
    expect(mirror.migrateToDevice(BASE, BASE + PAGE)).toEqual({ migrated: 1 });
    world.touch(PAGE);
    expect(mirror.migrateToSystem(BASE, BASE + PAGE)).toEqual({ migrated: 0 });
    expect(await world.simulation.evictDevice(0)).toEqual({ migrated: 0 });
    expect(world.code({ op: 'read', address: BASE, length: 1 })).toBe('ERR_HMM_NOT_MODELLED');
    world.run({ op: 'munmap', address: BASE + PAGE, length: PAGE });
    expect(world.look(0)[0]).toBe(7);
  });
});

// 6.1: GUP faults them in, and none of them qualifies. 6.12: GUP refuses them first.
test.each(['6.1', '6.12'] as const)('pages of hugetlb are never migrated, nor exclusive (%s)', async (kernel) => {
  const world = await openWorld({ kernel });
  const HUGETLB = 0x40000;
  world.map(0, 0x20_0000, 3, PRIVATE | HUGETLB);
  world.touch(0, 3);
  const mirror = await world.space.createMirror(0, BASE, 0x20_0000, { event: () => undefined });
  await world.listen();
  expect(() => mirror.migrateToDevice(BASE, BASE + PAGE)).toThrow(
    expect.objectContaining({ code: 'EINVAL', address: BASE, done: 0 }) as Error,
  );
  if (kernel === '6.1') expect(mirror.makeExclusive(BASE, BASE + 2 * PAGE)).toEqual({ pages: 0 });
  else {
    expect(() => mirror.makeExclusive(BASE, BASE + 2 * PAGE)).toThrow(
      expect.objectContaining({ code: 'EFAULT', address: BASE, done: 0 }) as Error,
    );
  }
  expect(() => mirror.atomicAdd(BASE, 1n)).toThrow(expect.objectContaining({ code: 'EOPNOTSUPP' }) as Error);
  expect(world.events()).toEqual([]);
  expect(world.look(0)[0]).toBe(3);
});

test('any interleaving keeps the device honest, the bytes right, and leaves nothing behind', async () => {
  for (let seed = 1; seed <= 80; seed++) {
    const world = await scene(new Random(seed));
    const { simulation, space, mirror } = world;
    let broken: string[] = [];
    const look = (): void => {
      if (broken.length === 0) broken = checkInvariant(simulation);
    };
    const other = await space.createMirror(seed % 2 === 0 ? 1 : 2, BASE, 4 * PAGE, { event: look });
    const child = await space.fork();
    const end = BASE + 4 * PAGE;
    const jobs: Promise<unknown>[] = [
      Promise.resolve(mirror.migrateToDevice(BASE, end)),
      Promise.resolve(other.migrateToDevice(BASE, BASE + 2 * PAGE)),
      Promise.resolve(mirror.makeExclusive(BASE + PAGE, BASE + 3 * PAGE)),
      Promise.resolve(mirror.atomicAdd(BASE + 3 * PAGE, 1n)),
      Promise.resolve(other.atomicAdd(BASE + 3 * PAGE, 1n)),
      value(space, { op: 'read', address: BASE, length: 4 * PAGE }, 1),
      value(space, { op: 'madvise', address: BASE + 2 * PAGE, length: PAGE, advice: 4 }, 2),
      value(child, { op: 'write', address: BASE + PAGE, bytes: Uint8Array.of(1) }),
      simulation.evictDevice(0),
      Promise.resolve(mirror.migrateToSystem(BASE, end)),
      child.fork().then((grandchild) => grandchild.exit()),
    ];
    await Promise.all(jobs.map(async (job) => (await job, look())));
    expect({ seed, broken }).toEqual({ seed, broken: [] });
    expect(await value(space, { op: 'read', address: BASE + 3 * PAGE, length: 8 })).toEqual(
      Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0),
    );
    expect([await value(space, READ), await value(child, READ)]).toEqual([Uint8Array.of(5), Uint8Array.of(5)]);
    await expectClean(world);
  }
});
