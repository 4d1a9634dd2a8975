import { describe, expect, test } from 'vitest';
import { MADV_FREE, MADV_WIPEONFORK, MADV_DONTFORK, MAP_POPULATE } from '../../lib/constants.js';
import { BASE, GIB, MIB2, PAGE, PRIVATE, R, RW, SHARED, openWorld, worldOf } from './world.js';

describe('copy on write', () => {
  test('parent and child see their own bytes, and share frames until one writes', async () => {
    const parent = await openWorld();
    const { frames } = parent.simulation.machine;
    parent.map(0, 2 * PAGE);
    parent.touch(0, 1);
    parent.touch(PAGE, 2);
    const child = worldOf(await parent.space.fork(), parent.simulation);
    expect(frames.used).toBe(2);
    child.touch(0, 9);
    expect([parent.look(0)[0], child.look(0)[0], child.look(PAGE)[0]]).toEqual([1, 9, 2]);
    expect(frames.used).toBe(3);
    parent.touch(0, 3);
    expect(frames.used).toBe(3);
  });

  test('DONTFORK, WIPEONFORK, shared memory and a fork of a fork', async () => {
    const world = await openWorld();
    world.map(0, 4 * PAGE);
    world.map(0x10_0000, PAGE, RW, SHARED);
    for (const at of [0, PAGE, 2 * PAGE, 3 * PAGE, 0x10_0000]) world.touch(at, 5);
    world.run(
      { op: 'madvise', address: BASE + PAGE, length: PAGE, advice: MADV_DONTFORK },
      { op: 'madvise', address: BASE + 2 * PAGE, length: PAGE, advice: MADV_WIPEONFORK },
    );
    const child = worldOf(await world.space.fork(), world.simulation);
    expect([child.look(0)[0], child.look(2 * PAGE)[0], child.look(3 * PAGE)[0], child.look(0x10_0000)[0]]).toEqual([
      5, 0, 5, 5,
    ]);
    expect(child.code({ op: 'read', address: BASE + PAGE, length: 1 })).toBe('EFAULT');
    child.touch(0x10_0000, 6);
    const grandchild = worldOf(await child.space.fork(), world.simulation);
    expect([world.look(0x10_0000)[0], grandchild.look(3 * PAGE)[0]]).toEqual([6, 5]);
  });

  test('mprotect to R and back: an exclusive page is writable at once; on 6.1 only if dirty', async () => {
    for (const [kernel, afterFree] of [
      ['6.12', 'VW'],
      ['6.1', 'V'],
    ] as const) {
      const world = await openWorld({ kernel });
      const notifier = await world.listen();
      world.map(0, 2 * PAGE);
      world.touch(0);
      world.look(PAGE);
      const cycle = (): void => {
        for (const protection of [R, RW]) world.run({ op: 'mprotect', address: BASE, length: 2 * PAGE, protection });
      };
      cycle();
      expect(await world.pages(notifier, 0, 2 * PAGE)).toBe('VW V');
      world.run({ op: 'madvise', address: BASE, length: 2 * PAGE, advice: MADV_FREE });
      expect(await world.pages(notifier, 0, 2 * PAGE)).toBe('VW V');
      cycle();
      expect(await world.pages(notifier, 0, 2 * PAGE)).toBe(`${afterFree} V`);
    }
  });
});

describe('loads and stores', () => {
  test('partial progress up to the fault, with its address and signal', async () => {
    const world = await openWorld();
    world.map(0, PAGE);
    const [result] = world.results({ op: 'write', address: BASE + PAGE - 4, bytes: Uint8Array.of(1, 2, 3, 4, 5, 6) });
    expect(result!.error).toMatchObject({ code: 'EFAULT', signal: 'SIGSEGV', address: BASE + PAGE, done: 4 });
    expect([...world.look(PAGE - 4, 4)]).toEqual([1, 2, 3, 4]);
  });

  test('bytes survive whatever moves the page', async () => {
    const world = await openWorld();
    const bytes = Uint8Array.from({ length: 3 * PAGE }, (_, index) => index % 251);
    world.map(0, 8 * PAGE);
    world.run({ op: 'write', address: BASE + 100, bytes });
    world.run({
      op: 'mremap',
      address: BASE,
      oldLength: 4 * PAGE,
      newLength: 4 * PAGE,
      flags: 3,
      newAddress: BASE + GIB + 7 * PAGE,
    });
    expect(world.look(GIB + 7 * PAGE + 100, 3 * PAGE)).toEqual(bytes);
    world.run({
      op: 'mremap',
      address: BASE + GIB + 7 * PAGE,
      oldLength: 4 * PAGE,
      newLength: 4 * PAGE,
      flags: 3,
      newAddress: BASE,
    });
    expect(world.look(100, 3 * PAGE)).toEqual(bytes);
  });

  test('tables are moved whole where both sides are aligned', async () => {
    const world = await openWorld();
    world.map(0, 2 * GIB);
    for (const at of [0, GIB - PAGE, GIB, GIB + MIB2]) world.touch(at, at === 0 ? 1 : 2);
    world.run({
      op: 'mremap',
      address: BASE,
      oldLength: 2 * GIB,
      newLength: 2 * GIB,
      flags: 3,
      newAddress: BASE + 8 * GIB,
    });
    expect([0, GIB - PAGE, GIB, GIB + MIB2].map((at) => world.look(8 * GIB + at)[0])).toEqual([1, 2, 2, 2]);
  });

  test('MAP_POPULATE: private memory is written, shared memory read; mappings of a file agree', async () => {
    const world = await openWorld();
    const notifier = await world.listen();
    world.map(0, 2 * PAGE, RW, PRIVATE | MAP_POPULATE);
    world.map(0x10_0000, 2 * PAGE, R, PRIVATE | MAP_POPULATE);
    expect(await world.pages(notifier, 0, 2 * PAGE)).toBe('VW VW');
    expect(await world.pages(notifier, 0x10_0000, 0x10_2000)).toBe('V V');
    const file = await world.space.createFile(20 * PAGE);
    world.run({ op: 'mmap', address: BASE + 0x20_0000, length: 20 * PAGE, flags: 0x11, file });
    world.run({ op: 'mmap', address: BASE + 0x30_0000, length: 20 * PAGE, flags: 0x12, file, protection: R });
    for (let page = 0; page < 20; page++) world.touch(0x20_0000 + page * PAGE, page);
    expect(world.look(0x30_0000 + 5 * PAGE)[0]).toBe(5);
    // Fault-around: the aligned 16 pages of the one that was read.
    expect(await world.pages(notifier, 0x30_0000, 0x30_0000 + 20 * PAGE)).toBe(
      'V V V V V V V V V V V V V V V V 0 0 0 0',
    );
  });
});

describe('frames', () => {
  test('none is left when all processes and files have gone', async () => {
    const world = await openWorld();
    const { frames } = world.simulation.machine;
    const file = await world.space.createFile(4 * PAGE);
    world.map(0, 16 * PAGE);
    world.map(0x10_0000, 4 * PAGE, RW, SHARED);
    world.run({ op: 'mmap', address: BASE + 0x20_0000, length: 4 * PAGE, flags: 0x11, file });
    for (const at of [0, PAGE, 0x10_0000, 0x20_0000]) world.touch(at);
    const child = worldOf(await world.space.fork(), world.simulation);
    child.touch(0);
    child.touch(0x20_1000);
    expect([frames.used, frames.stored]).toEqual([6, 6]);
    await world.space.close();
    expect(frames.used).toBe(5);
    await child.space.close();
    expect([frames.used, frames.stored]).toEqual([0, 0]);
  });

  test('a page of zeroes that was only faulted in stores nothing', async () => {
    const world = await openWorld();
    world.map(0, 64 * PAGE, RW, PRIVATE | MAP_POPULATE);
    expect([world.simulation.machine.frames.used, world.simulation.machine.frames.stored]).toEqual([64, 0]);
  });

  test('one page per GiB of a TiB: the tables of what is there, and nothing for the rest', async () => {
    const world = await openWorld();
    const notifier = await world.listen();
    world.map(0, 1024 * GIB, RW, PRIVATE | 0x4000);
    for (let gib = 0; gib < 1024; gib++) world.touch(gib * GIB);
    expect(world.simulation.machine.frames.used).toBe(1024);
    world.events();
    world.run({ op: 'mprotect', address: BASE, length: 1024 * GIB, protection: R });
    expect(world.events()).toEqual([
      'protection-vma +0x0..+0x8000000000',
      'protection-vma +0x8000000000..0x110000000000',
    ]);
    expect(await world.pages(notifier, 1023 * GIB - PAGE, 1023 * GIB + 2 * PAGE)).toBe('0 V 0');
    world.run({ op: 'munmap', address: BASE, length: 1024 * GIB });
    expect(world.simulation.machine.frames.used).toBe(0);
  });

  test('a machine without frames says so', async () => {
    const world = await openWorld({ frames: 2 });
    world.map(0, 3 * PAGE);
    world.touch(0);
    world.touch(PAGE);
    expect(world.code({ op: 'write', address: BASE + 2 * PAGE, bytes: Uint8Array.of(1) })).toBe('ERR_HMM_NOT_MODELLED');
  });
});
