/** What of huge pages only the simulation shows: what they cost, where frames go, the pool's numbers, and interleavings. */
import { describe, expect, test } from 'vitest';
import {
  MADV_COLD,
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_HUGEPAGE,
  MADV_PAGEOUT,
  MADV_POPULATE_WRITE,
  MAP_HUGETLB,
} from '../../lib/constants.js';
import { Random } from './schedulers.js';
import { BASE, GIB, MAP_FIXED, MIB2, PAGE, PRIVATE, RW, SHARED, openWorld, worldOf } from './world.js';
import { HugetlbPool } from '../../lib/simulation/hugetlb-pool.js';
import { checkInvariant } from '../../lib/simulation/invariant.js';
import { FrameNumbers } from '../../lib/simulation/frame-numbers.js';
import { Frames } from '../../lib/simulation/frames.js';
import { Simulation } from '../../lib/simulation/simulation.js';
import type { Operation } from '../../lib/operations.js';
import type { World } from './world.js';

function advise(offset: number, length: number, advice: number): Operation {
  return { op: 'madvise', address: BASE + offset, length, advice };
}

function mapHuge(world: World, offset: number, length: number, flags = PRIVATE): void {
  world.map(offset, length, RW, flags);
  world.run(advise(offset, length, MADV_HUGEPAGE));
}

describe('what it costs', () => {
  test('a huge page in every GiB of a TiB: its frames are numbers, and what was never written has no bytes', async () => {
    const world = await openWorld();
    const { frames } = world.simulation.machine;
    mapHuge(world, 0, 1024 * GIB, PRIVATE | 0x4000);
    for (let gib = 0; gib < 1024; gib++) world.touch(gib * GIB);
    expect([frames.used, frames.stored]).toEqual([1024 * 512, 1024]);
    world.run({ op: 'munmap', address: BASE, length: 1024 * GIB });
    expect([frames.used, frames.stored]).toEqual([0, 0]);
  });

  test('a split keeps the frames that are mapped no more until the whole folio is unmapped', async () => {
    const world = await openWorld();
    const { frames } = world.simulation.machine;
    mapHuge(world, 0, MIB2);
    world.touch(0);
    world.run(advise(PAGE, MIB2 - PAGE, MADV_DONTNEED));
    expect(frames.used).toBe(512);
    world.run(advise(0, PAGE, MADV_DONTNEED));
    expect(frames.used).toBe(0);
  });

  test.each(['6.1', '6.12'] as const)(
    'a split folio gives back what nothing maps, and on 6.12 what is zero (%s)',
    async (kernel) => {
      const world = await openWorld({ kernel });
      const { frames } = world.simulation.machine;
      mapHuge(world, 0, MIB2);
      world.touch(0);
      world.touch(9 * PAGE);
      world.run(advise(PAGE, PAGE, MADV_DONTNEED));
      world.run(advise(9 * PAGE, PAGE, MADV_COLD));
      expect(frames.used).toBe(kernel === '6.1' ? 511 : 2);
      world.run({ op: 'munmap', address: BASE, length: MIB2 });
      expect(frames.used).toBe(0);
    },
  );
});

describe('frames', () => {
  test('blocks are aligned; the numbers before one are used by single pages', () => {
    const numbers = new FrameNumbers(4096);
    const single = numbers.take();
    const block = numbers.takeBlock();
    expect([block % 512, block > single, numbers.used]).toEqual([0, true, 513]);
    expect(numbers.take()).toBe(single + 1);
  });

  test('single frames that make up a block are one again when it is needed, and the other way round', () => {
    const numbers = new FrameNumbers(1024);
    const first = numbers.takeBlock();
    expect(numbers.takeBlock()).not.toBe(0);
    expect([numbers.takeBlock(), numbers.take()]).toEqual([0, 0]);
    for (let frame = first; frame < first + 512; frame++) numbers.give(frame);
    expect(numbers.takeBlock()).toBe(first);
    numbers.giveBlock(first);
    expect([numbers.take(), numbers.used]).toEqual([first, 513]);
  });

  test('without 512 in a row a fault maps a page of 4 KiB, and a collapse is refused', async () => {
    const world = await openWorld({ frames: 600 });
    const notifier = await world.listen();
    mapHuge(world, 0, 2 * MIB2);
    world.touch(0);
    world.touch(MIB2);
    expect(await world.pages(notifier, MIB2, MIB2 + 2 * PAGE)).toBe('VW 0');
    expect(world.code(advise(MIB2, MIB2, MADV_COLLAPSE))).toBe('ENOMEM');
    expect(world.simulation.machine.frames.used).toBe(513);
  });

  test('a folio with a reference from elsewhere is not split', async () => {
    const world = await openWorld();
    const { frames } = world.simulation.machine;
    mapHuge(world, 0, MIB2);
    world.touch(0);
    const [space] = world.simulation.spaces;
    const { frame } = space!.mm.pageTable.huge(BASE / MIB2)!;
    frames.get(frame + 7);
    await world.listen();
    world.run(advise(0, PAGE, MADV_COLD));
    expect([world.events(), frames.used]).toEqual([[], 512]);
    frames.put(frame);
    world.run(advise(0, PAGE, MADV_COLD));
    expect(world.events()).toHaveLength(2);
  });
});

test('an atomic on a page that stays busy lets the event loop run, and gives up', async () => {
  const world = await openWorld();
  mapHuge(world, 0, MIB2);
  const mirror = await world.space.createMirror(0, BASE, MIB2, { event: () => undefined });
  expect(await mirror.makeExclusive(BASE, BASE + PAGE)).toEqual({ pages: 1 });
  // The third page is the CPU's: it keeps the folio busy, behind the second, which is the device's.
  world.touch(2 * PAGE);
  world.touch(0);
  let [turns, given] = [0, false];
  const count = () => void setImmediate(() => (given ? undefined : (turns++, count())));
  count();
  await expect(mirror.atomicAdd(BASE, 1n)).rejects.toMatchObject({ code: 'EBUSY', address: BASE });
  given = true;
  expect(turns).toBeGreaterThan(100);
});

describe('the pool of hugetlb', () => {
  test('reservations, allocations and what comes back', () => {
    const pool = new HugetlbPool(new Frames(4096), 3);
    expect([pool.reserve(2), pool.reserve(2), pool.free, pool.reserved]).toEqual([true, false, 3, 2]);
    expect(pool.allocate(true, false)).not.toBe(0);
    expect(pool.allocate(true, false)).toBe(0);
    expect(pool.allocate(true, true)).not.toBe(0);
    expect([pool.free, pool.reserved]).toEqual([1, 1]);
  });

  test.each(['6.1', '6.12'] as const)('everything is free again at the end, however it ended (%s)', async (kernel) => {
    const world = await openWorld({ kernel });
    const { hugetlb, frames } = world.simulation.machine;
    world.map(0, 4 * MIB2, RW, PRIVATE | MAP_HUGETLB);
    world.map(GIB, 4 * MIB2, RW, SHARED | MAP_HUGETLB);
    world.touch(0);
    world.touch(MIB2);
    world.touch(GIB);
    expect([hugetlb.free, hugetlb.reserved]).toEqual([61, 5]);
    const child = worldOf(await world.space.fork(), world.simulation);
    child.touch(0);
    child.look(GIB + MIB2);
    expect([hugetlb.free, hugetlb.reserved]).toEqual([59, 4]);
    // What is unmapped before the last page of a mapping goes is reserved again in 6.12, and lost to it in 6.1.
    world.run(advise(0, MIB2, MADV_DONTNEED));
    expect([hugetlb.free, hugetlb.reserved]).toEqual(kernel === '6.1' ? [60, 4] : [60, 5]);
    world.run({ op: 'munmap', address: BASE + 2 * MIB2, length: MIB2 });
    world.run({ op: 'mremap', address: BASE, oldLength: MIB2, newLength: MIB2, flags: 3, newAddress: BASE + 2 * GIB });
    await world.space.close();
    await child.space.close();
    expect([hugetlb.free, hugetlb.reserved, frames.used]).toEqual([64, 0, 0]);
  });

  test('the size is an option', async () => {
    const world = await openWorld({ hugePages: 1 });
    world.map(0, MIB2, RW, PRIVATE | MAP_HUGETLB);
    const again: Operation = { op: 'mmap', length: MIB2, flags: PRIVATE | MAP_HUGETLB };
    expect(world.code(again)).toBe('ENOMEM');
  });

  test('what could share page tables is not modelled, and what would take a page from a child neither', async () => {
    const world = await openWorld({ hugePages: 1 });
    const shared: Operation = {
      op: 'mmap',
      address: BASE,
      length: GIB,
      flags: SHARED | MAP_HUGETLB | MAP_FIXED | 0x4000,
    };
    expect(world.code(shared)).toBe('ERR_HMM_NOT_MODELLED');
    world.map(0, MIB2, RW, PRIVATE | MAP_HUGETLB);
    world.touch(0);
    await world.space.fork();
    expect(world.code({ op: 'write', address: BASE, bytes: Uint8Array.of(1) })).toBe('ERR_HMM_NOT_MODELLED');
  });
});

test('MADV_PAGEOUT tells every VMA that the reverse map leads to before the page is dropped', async () => {
  const world = await openWorld();
  world.map(0, 2 * PAGE);
  world.touch(0);
  const child = worldOf(await world.space.fork(), world.simulation);
  world.run(advise(0, PAGE, MADV_DONTNEED));
  child.run(advise(0, PAGE, MADV_FREE));
  await world.listen();
  await child.listen();
  child.run(advise(0, PAGE, MADV_PAGEOUT));
  expect([world.events(), child.events()]).toEqual([['clear +0x0..+0x1000'], ['clear +0x0..+0x1000']]);
  expect(world.simulation.machine.frames.used).toBe(0);
});

test.each(['6.1', '6.12'] as const)(
  'any interleaving of splits, collapses and a device keeps the device honest (%s)',
  async (kernel) => {
    for (let seed = 1; seed <= 40; seed++) {
      const simulation = new Simulation({ scheduler: new Random(seed), kernel });
      const space = await simulation.createAddressSpace();
      let broken: string[] = [];
      const look = (): void => {
        if (broken.length === 0) broken = checkInvariant(simulation);
      };
      const mirror = await space.createMirror(0, BASE, 2 * MIB2, { event: look });
      await space.run(0, [
        { op: 'mmap', address: BASE, length: 2 * MIB2, flags: PRIVATE | MAP_FIXED },
        advise(0, 2 * MIB2, MADV_HUGEPAGE),
        { op: 'write', address: BASE, bytes: Uint8Array.of(1) },
      ]);
      const jobs = [
        mirror.populate(BASE, BASE + 4 * PAGE, { write: true, snapshot: false }),
        mirror.populate(BASE + MIB2 - PAGE, BASE + MIB2 + PAGE, { write: false, snapshot: false }),
        space.run(0, [advise(2 * PAGE, PAGE, MADV_DONTNEED), { op: 'read', address: BASE + 2 * PAGE, length: 1 }]),
        space.run(1, [advise(0, MIB2, MADV_COLLAPSE), advise(3 * PAGE, PAGE, MADV_COLD)]),
        space.run(2, [{ op: 'write', address: BASE + PAGE, bytes: Uint8Array.of(2) }, advise(0, 2 * PAGE, MADV_FREE)]),
        space.run(3, [{ op: 'mprotect', address: BASE + PAGE, length: PAGE, protection: 1 }]),
      ];
      const outcomes = await Promise.allSettled(jobs.map(async (job) => await job));
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'EPERM' });
      }
      look();
      expect({ seed, broken }).toEqual({ seed, broken: [] });
      expect(simulation.machine.pageLocks.size).toBe(0);
      await simulation.close();
      expect({ seed, used: simulation.machine.frames.used }).toEqual({ seed, used: 0 });
    }
  },
);

test.each(['6.1', '6.12'] as const)(
  'a seeded walk over huge pages keeps bytes, invariants and frames (%s)',
  { timeout: 60_000 },
  async (kernel) => {
    for (let seed = 1; seed <= 20; seed++) {
      const choose = new Random(seed);
      const world = await openWorld({ kernel });
      const mirror = await world.space.createMirror(0, BASE, 8 * MIB2, { event: () => undefined });
      const model = new Map<number, number>();
      mapHuge(world, 0, 2 * MIB2);
      world.map(4 * MIB2, 2 * MIB2, RW, (choose.below(2) === 0 ? PRIVATE : SHARED) | MAP_HUGETLB);
      const places = [0, 1, 255, 511, 512, 513, 1023, 2048, 2049, 2560, 3071];
      for (let step = 0; step < 80; step++) {
        const page = places[choose.below(places.length)]!;
        const pages = 1 + choose.below(600);
        const inPrivate = page < 1024;
        const room = Math.min(pages, (inPrivate ? 1024 : 3072) - page);
        switch (choose.below(inPrivate ? 8 : 3)) {
          case 0:
          case 1: {
            const byte = 1 + choose.below(255);
            world.touch(page * PAGE, byte);
            model.set(page, byte);
            break;
          }
          case 2:
            expect({ seed, step, page, byte: world.look(page * PAGE)[0] }).toEqual({
              seed,
              step,
              page,
              byte: model.get(page) ?? 0,
            });
            break;
          case 3:
            world.run(advise(page * PAGE, room * PAGE, MADV_DONTNEED));
            for (const each of [...model.keys()]) if (each >= page && each < page + room) model.delete(each);
            break;
          case 4:
            world.run(advise(page * PAGE, room * PAGE, choose.below(2) === 0 ? MADV_COLD : MADV_POPULATE_WRITE));
            break;
          case 5:
            for (const block of [0, 1]) {
              expect(['ok', 'EINVAL']).toContain(world.code(advise(block * MIB2, MIB2, MADV_COLLAPSE)));
            }
            break;
          case 6:
            for (const protection of [1, 3]) {
              world.run({ op: 'mprotect', address: BASE + page * PAGE, length: room * PAGE, protection });
            }
            break;
          default: {
            const start = BASE + page * PAGE;
            await mirror.populate(start, start + room * PAGE, { write: choose.below(2) === 0, snapshot: false });
            break;
          }
        }
        expect(checkInvariant(world.simulation)).toEqual([]);
      }
      await world.simulation.close();
      const { frames, hugetlb } = world.simulation.machine;
      expect({ seed, used: frames.used, stored: frames.stored, free: hugetlb.free }).toEqual({
        seed,
        used: 0,
        stored: 0,
        free: 64,
      });
    }
  },
);
