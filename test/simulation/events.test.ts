import { describe, expect, test } from 'vitest';
import {
  MADV_DONTNEED,
  MADV_FREE,
  MADV_DONTFORK,
  MADV_REMOVE,
  MADV_PAGEOUT,
  MADV_POPULATE_WRITE,
} from '../../lib/constants.js';
import { BASE, GIB, MIB2, PAGE, R, RW, SHARED, openWorld } from './world.js';
import type { World } from './world.js';

async function listening(kernel: '6.1' | '6.12' = '6.12'): Promise<World> {
  const world = await openWorld({ kernel });
  await world.listen();
  return world;
}

describe('munmap, mmap, mremap', () => {
  test('munmap sends one event for the range as asked, holes included; nothing where nothing is mapped', async () => {
    const world = await listening();
    world.map(0, 2 * PAGE);
    world.map(4 * PAGE, PAGE);
    world.run({ op: 'munmap', address: BASE, length: 8 * PAGE });
    world.run({ op: 'munmap', address: BASE, length: 8 * PAGE });
    expect(world.events()).toEqual(['unmap +0x0..+0x8000']);
  });

  test('a boundary inside a wholly contained 2 MiB block with tables over it sends CLEAR of the block first', async () => {
    const world = await listening();
    world.map(0, 4 * MIB2);
    world.run({ op: 'munmap', address: BASE + MIB2 + PAGE, length: PAGE });
    expect(world.events()).toEqual(['unmap +0x201000..+0x202000']);
    world.touch(0);
    world.run({ op: 'munmap', address: BASE + 2 * MIB2 + PAGE, length: PAGE });
    expect(world.events()).toEqual(['clear +0x400000..+0x600000', 'unmap +0x401000..+0x402000']);
    // Its block now begins at a VMA boundary, so that it is not wholly inside any more.
    world.run({ op: 'munmap', address: BASE + 2 * MIB2 + 4 * PAGE, length: PAGE });
    expect(world.events()).toEqual(['unmap +0x404000..+0x405000']);
  });

  test('MAP_FIXED over a mapping is a munmap of that range', async () => {
    const world = await listening();
    world.map(0, 4 * PAGE);
    expect(world.events()).toEqual([]);
    world.map(PAGE, PAGE);
    expect(world.events()).toEqual(['unmap +0x1000..+0x2000']);
  });

  test('mremap: shrink, grow in place, move, and MREMAP_DONTUNMAP', async () => {
    const world = await listening();
    world.map(0, 4 * PAGE);
    world.touch(0);
    world.run({ op: 'mremap', address: BASE, oldLength: 4 * PAGE, newLength: 3 * PAGE });
    expect(world.events()).toEqual(['unmap +0x3000..+0x4000']);
    world.run({ op: 'mremap', address: BASE, oldLength: 3 * PAGE, newLength: 6 * PAGE });
    expect(world.events()).toEqual([]);
    const flags = 3;
    world.run({ op: 'mremap', address: BASE, oldLength: 6 * PAGE, newLength: 6 * PAGE, flags, newAddress: BASE + GIB });
    expect(world.events()).toEqual(['unmap +0x0..+0x6000', 'unmap +0x0..+0x6000']);
    expect(world.look(GIB)[0]).toBe(1);
    world.run({
      op: 'mremap',
      address: BASE + GIB,
      oldLength: 6 * PAGE,
      newLength: 6 * PAGE,
      flags: 7,
      newAddress: BASE,
    });
    expect(world.events()).toEqual(['unmap +0x40000000..+0x40006000']);
    expect([world.look(0)[0], world.look(GIB)[0]]).toEqual([1, 0]);
  });

  test.each([
    ['6.12', 'unmap +0x0..+0x300000'],
    ['6.1', 'unmap +0x1000..+0x300000'],
  ] as const)('mremap realigns the first event on %s', async (kernel, first) => {
    const world = await listening(kernel);
    world.map(PAGE, 3 * 0x10_0000 - PAGE);
    world.run({
      op: 'mremap',
      address: BASE + PAGE,
      oldLength: 3 * 0x10_0000 - PAGE,
      newLength: 3 * 0x10_0000 - PAGE,
      flags: 3,
      newAddress: BASE + GIB + PAGE,
    });
    expect(world.events()).toEqual([first, 'unmap +0x1000..+0x300000']);
  });

  test('exit: RELEASE and UNMAP over everything', async () => {
    const world = await listening();
    world.map(0, PAGE);
    world.touch(0);
    await world.space.exit();
    expect(world.log.map(({ event, start, end, sequence }) => [event, start, end, sequence])).toEqual([
      ['release', 0, 2 ** 64, 3],
      ['unmap', 0, 2 ** 64, 5],
    ]);
  });
});

describe('mprotect', () => {
  test.each([
    ['6.12', ['protection-vma +0x3fffe000..+0x40002000']],
    ['6.1', ['protection-vma +0x3fffe000..+0x40000000', 'protection-vma +0x40000000..+0x40002000']],
  ] as const)('16 KiB around a 1 GiB boundary on %s', async (kernel, expected) => {
    const world = await listening(kernel);
    world.map(GIB - 2 * PAGE, 4 * PAGE);
    world.touch(GIB - PAGE);
    world.touch(GIB);
    world.run({ op: 'mprotect', address: BASE + GIB - 2 * PAGE, length: 4 * PAGE, protection: R });
    expect(world.events()).toEqual(expected);
  });

  test.each(['6.12', '6.1'] as const)('begins at the first table that is there (%s)', async (kernel) => {
    const world = await listening(kernel);
    world.map(GIB - MIB2, 4 * MIB2);
    world.touch(GIB);
    world.run({ op: 'mprotect', address: BASE + GIB - MIB2, length: 4 * MIB2, protection: R });
    expect(world.events()).toEqual(['protection-vma +0x40000000..+0x40600000']);
  });

  test('a never touched range has an event only if tables are near; the same protection has none', async () => {
    const world = await listening('6.12');
    world.map(0, PAGE);
    world.run({ op: 'mprotect', address: BASE, length: PAGE, protection: R });
    expect(world.events()).toEqual([]);
    world.map(16 * MIB2, PAGE);
    world.touch(16 * MIB2);
    world.run({ op: 'mprotect', address: BASE, length: PAGE, protection: RW });
    expect(world.events()).toEqual(['protection-vma +0x0..+0x1000']);
    world.run({ op: 'mprotect', address: BASE, length: PAGE, protection: RW });
    expect(world.events()).toEqual([]);
  });

  test('a hole ends it with ENOMEM after the part before', async () => {
    const world = await listening();
    world.map(0, PAGE);
    world.map(2 * PAGE, PAGE);
    world.touch(0);
    expect(world.code({ op: 'mprotect', address: BASE, length: 3 * PAGE, protection: R })).toBe('ENOMEM');
    expect(world.events()).toEqual(['protection-vma +0x0..+0x1000']);
  });
});

describe('madvise and files', () => {
  test('DONTNEED: a CLEAR per VMA, holes skipped and reported', async () => {
    const world = await listening();
    world.map(0, 2 * PAGE);
    world.map(2 * PAGE, PAGE, R);
    world.map(4 * PAGE, PAGE);
    expect(world.code({ op: 'madvise', address: BASE + PAGE, length: 4 * PAGE, advice: MADV_DONTNEED })).toBe('ENOMEM');
    expect(world.events()).toEqual(['clear +0x1000..+0x2000', 'clear +0x2000..+0x3000', 'clear +0x4000..+0x5000']);
  });

  test('FREE keeps pages writable; PAGEOUT then drops the clean ones, a CLEAR each', async () => {
    const world = await listening();
    world.map(0, 3 * PAGE);
    for (const page of [0, 1, 2]) world.touch(page * PAGE, 7);
    world.run({ op: 'madvise', address: BASE, length: 3 * PAGE, advice: MADV_FREE });
    expect(world.events()).toEqual(['clear +0x0..+0x3000']);
    world.touch(PAGE, 9);
    world.run({ op: 'madvise', address: BASE, length: 3 * PAGE, advice: MADV_PAGEOUT });
    expect(world.events()).toEqual(['clear +0x0..+0x1000', 'clear +0x1000..+0x2000', 'clear +0x2000..+0x3000']);
    expect([0, 1, 2].map((page) => world.look(page * PAGE)[0])).toEqual([0, 9, 0]);
    world.run({ op: 'madvise', address: BASE, length: 3 * PAGE, advice: MADV_PAGEOUT });
    expect(world.events()).toEqual([]);
  });

  test('flags split a VMA: a straddle CLEAR, nothing else', async () => {
    const world = await listening();
    world.map(0, 4 * MIB2);
    world.touch(0);
    world.run({ op: 'madvise', address: BASE + MIB2 + PAGE, length: PAGE, advice: MADV_DONTFORK });
    expect(world.events()).toEqual(['clear +0x200000..+0x400000']);
    expect(world.vmas()).toEqual(['+0x0..+0x201000', '+0x201000..+0x202000', '+0x202000..+0x800000']);
  });

  test('POPULATE_WRITE over zero pages: a CLEAR per page', async () => {
    const world = await listening();
    world.map(0, 2 * PAGE);
    world.look(0, 2 * PAGE);
    world.run({ op: 'madvise', address: BASE, length: 2 * PAGE, advice: MADV_POPULATE_WRITE });
    expect(world.events()).toEqual(['clear +0x0..+0x1000', 'clear +0x1000..+0x2000']);
  });

  test('truncate: every mapping by offset, twice; private copies go', async () => {
    const world = await listening();
    const file = await world.space.createFile(8 * PAGE);
    const at = (offset: number, fileOffset: number, flags: number) =>
      world.run({
        op: 'mmap',
        address: BASE + offset,
        length: 4 * PAGE,
        flags: flags | 0x10,
        file,
        offset: fileOffset,
        protection: RW,
      });
    at(0x10_0000, 2 * PAGE, 1);
    at(0, 0, 2);
    world.touch(3 * PAGE, 5);
    world.run({ op: 'truncate', file, length: 2 * PAGE + 1 });
    const pass = ['clear +0x3000..+0x4000', 'clear +0x101000..+0x104000'];
    expect(world.events()).toEqual([...pass, ...pass]);
    expect(world.results({ op: 'read', address: BASE + 3 * PAGE, length: 1 })[0]!.error).toMatchObject({
      code: 'EFAULT',
      signal: 'SIGBUS',
    });
    world.run({ op: 'truncate', file, length: 3 * PAGE });
    world.run({ op: 'truncate', file, length: 2 * PAGE + 5 });
    expect(world.events()).toEqual([]);
  });

  test('punchHole: one pass over whole pages, private copies stay; MADV_REMOVE is the same', async () => {
    const world = await listening();
    const file = await world.space.createFile(4 * PAGE);
    world.run({ op: 'mmap', address: BASE, length: 4 * PAGE, flags: 0x11, file });
    world.run({ op: 'mmap', address: BASE + 0x10_0000, length: 4 * PAGE, flags: 0x12, file });
    world.touch(0x10_1000, 9);
    world.touch(PAGE, 3);
    world.run({ op: 'punchHole', file, offset: 100, length: 2 * PAGE });
    expect(world.events()).toEqual(['clear +0x1000..+0x2000', 'clear +0x101000..+0x102000']);
    expect([world.look(PAGE)[0], world.look(0x10_1000)[0]]).toEqual([0, 9]);
    world.run({ op: 'madvise', address: BASE + 2 * PAGE, length: PAGE, advice: MADV_REMOVE });
    expect(world.events()).toEqual(['clear +0x2000..+0x3000', 'clear +0x102000..+0x103000']);
    expect(world.code({ op: 'punchHole', file, offset: 0, length: 0 })).toBe('EINVAL');
    // Inside one page: nothing to unmap; inside the first page: everything behind it, by an unsigned comparison.
    world.run({ op: 'punchHole', file, offset: PAGE + 1, length: 100 });
    expect(world.events()).toEqual([]);
    world.run({ op: 'punchHole', file, offset: 1, length: 100 });
    expect(world.events()).toEqual(['clear +0x1000..+0x4000', 'clear +0x101000..+0x104000']);
    world.run({ op: 'punchHole', file, offset: 0, length: 100 });
    expect(world.events()).toEqual(['clear +0x0..+0x4000', 'clear +0x100000..+0x104000']);
  });
});

describe('faults and fork', () => {
  test('a first touch says nothing; a write over the zero page clears it', async () => {
    const world = await listening();
    world.map(0, 2 * PAGE);
    world.touch(0);
    world.look(PAGE);
    expect(world.events()).toEqual([]);
    world.touch(PAGE);
    expect(world.events()).toEqual(['clear +0x1000..+0x2000']);
  });

  test('fork: PROTECTION_PAGE per private VMA that was written, ascending', async () => {
    const world = await listening();
    world.map(0, 2 * PAGE);
    world.map(0x10_0000, PAGE);
    world.map(0x20_0000, PAGE, RW, SHARED);
    world.map(0x30_0000, PAGE);
    world.touch(0x30_0000);
    world.touch(0);
    world.look(0x10_0000);
    world.touch(0x20_0000);
    await world.space.fork();
    expect(world.events()).toEqual(['protection-page +0x0..+0x2000', 'protection-page +0x300000..+0x301000']);
  });

  test('after fork: copy while the child lives, reuse when it is gone', async () => {
    const world = await listening();
    world.map(0, 2 * PAGE);
    world.touch(0);
    world.touch(PAGE);
    const child = await world.space.fork();
    world.events();
    world.touch(0, 2);
    expect(world.events()).toEqual(['clear +0x0..+0x1000']);
    await child.exit();
    world.touch(PAGE, 2);
    expect(world.events()).toEqual([]);
  });

  test('each event goes to all overlapping notifiers, unclipped, by start and then by insertion', async () => {
    const world = await openWorld();
    const order: string[] = [];
    const insert = async (name: string, start: number, length: number): Promise<void> => {
      await world.space.insertNotifier(BASE + start, length, {
        invalidate: ({ start: from, end, sequence }) => {
          order.push(`${name} ${from - BASE}..${end - BASE} ${sequence}`);
          return true;
        },
        timedOut: () => undefined,
      });
    };
    await insert('later', PAGE, PAGE);
    await insert('same start', PAGE, 3 * PAGE);
    await insert('lower', 0, 2 * PAGE);
    await insert('elsewhere', 8 * PAGE, PAGE);
    world.map(0, 4 * PAGE);
    world.run({ op: 'munmap', address: BASE, length: 2 * PAGE });
    expect(order).toEqual(['lower 0..8192 3', 'later 0..8192 3', 'same start 0..8192 3']);
    world.run({ op: 'munmap', address: BASE + 3 * PAGE, length: PAGE });
    expect(order.splice(3)).toEqual(['same start 12288..16384 5']);
  });
});
