import { describe, expect, test } from 'vitest';
import {
  MADV_DONTFORK,
  MADV_DOFORK,
  MADV_MERGEABLE,
  MADV_POPULATE_READ,
  MAP_FIXED_NOREPLACE,
} from '../../lib/constants.js';
import { BASE, GIB, MIB2, PAGE, PRIVATE, R, RW, SHARED, openWorld, worldOf } from './world.js';

describe('merging and splitting', () => {
  test('new memory merges with equal neighbours on both sides', async () => {
    const world = await openWorld();
    world.map(0, PAGE);
    world.map(2 * PAGE, PAGE);
    expect(world.vmas()).toEqual(['+0x0..+0x1000', '+0x2000..+0x3000']);
    world.map(PAGE, PAGE);
    expect(world.vmas()).toEqual(['+0x0..+0x3000']);
  });

  test('shared anonymous memory is a file each, and does not merge; its own pieces do', async () => {
    const world = await openWorld();
    world.map(0, PAGE, RW, SHARED);
    world.map(PAGE, 2 * PAGE, RW, SHARED);
    expect(world.vmas()).toEqual(['+0x0..+0x1000', '+0x1000..+0x3000']);
    world.run({ op: 'mprotect', address: BASE + 2 * PAGE, length: PAGE, protection: R });
    expect(world.vmas()).toHaveLength(3);
    world.run({ op: 'mprotect', address: BASE + 2 * PAGE, length: PAGE, protection: RW });
    expect(world.vmas()).toEqual(['+0x0..+0x1000', '+0x1000..+0x3000']);
  });

  test('mappings of a file merge if their offsets continue', async () => {
    const world = await openWorld();
    const file = await world.space.createFile(8 * PAGE);
    const at = (page: number, offset: number): void => {
      world.run({ op: 'mmap', address: BASE + page * PAGE, length: PAGE, flags: 0x11, file, offset: offset * PAGE });
    };
    at(0, 0);
    at(1, 1);
    at(2, 3);
    expect(world.vmas()).toEqual(['+0x0..+0x2000', '+0x2000..+0x3000']);
  });

  test('two written neighbours with anon_vmas of their own do not merge; those made of one do', async () => {
    const world = await openWorld();
    world.map(0, PAGE);
    world.map(2 * PAGE, PAGE);
    world.touch(0);
    world.touch(2 * PAGE);
    world.map(PAGE, PAGE);
    // 6.12 takes the lower neighbour.
    expect(world.vmas()).toEqual(['+0x0..+0x2000', '+0x2000..+0x3000']);
    const old = await openWorld({ kernel: '6.1' });
    old.map(0, PAGE);
    old.map(2 * PAGE, PAGE);
    old.touch(0);
    old.touch(2 * PAGE);
    old.map(PAGE, PAGE);
    expect(old.vmas()).toEqual(['+0x0..+0x1000', '+0x1000..+0x3000']);
  });

  test('a write next to a written neighbour with other permissions shares its anon_vma, so that they merge later', async () => {
    const world = await openWorld();
    world.map(0, 2 * PAGE);
    world.run({ op: 'mprotect', address: BASE + PAGE, length: PAGE, protection: 7 });
    world.touch(0);
    world.touch(PAGE);
    expect(world.vmas()).toEqual(['+0x0..+0x1000', '+0x1000..+0x2000']);
    world.run({ op: 'mprotect', address: BASE + PAGE, length: PAGE, protection: RW });
    expect(world.vmas()).toEqual(['+0x0..+0x2000']);
  });

  test('what was inherited by fork does not merge with new memory', async () => {
    const world = await openWorld();
    world.map(0, PAGE);
    world.touch(0);
    const child = worldOf(await world.space.fork(), world.simulation);
    child.map(PAGE, PAGE);
    expect(child.vmas(child.space)).toEqual(['+0x0..+0x1000', '+0x1000..+0x2000']);
    world.map(PAGE, PAGE);
    expect(world.vmas()).toEqual(['+0x0..+0x2000']);
  });

  test('read-only memory that became writable is charged, and merges with what was writable; 6.12 gives the charge back', async () => {
    for (const [kernel, merged] of [
      ['6.12', true],
      ['6.1', false],
    ] as const) {
      const world = await openWorld({ kernel });
      world.map(0, PAGE, R);
      world.map(PAGE, PAGE, RW);
      world.run({ op: 'mprotect', address: BASE, length: PAGE, protection: RW });
      expect(world.vmas()).toEqual(['+0x0..+0x2000']);
      world.map(2 * PAGE, PAGE, R);
      world.run({ op: 'mprotect', address: BASE + PAGE, length: PAGE, protection: R });
      expect(world.vmas()).toEqual(
        merged ? ['+0x0..+0x1000', '+0x1000..+0x3000'] : ['+0x0..+0x1000', '+0x1000..+0x2000', '+0x2000..+0x3000'],
      );
    }
  });

  test('the boundary moves when a piece at the edge takes over its neighbour’s flags', async () => {
    const world = await openWorld();
    world.map(0, 8 * PAGE);
    const advise = (page: number, pages: number, advice: number): void => {
      world.run({ op: 'madvise', address: BASE + page * PAGE, length: pages * PAGE, advice });
    };
    advise(0, 4, MADV_DONTFORK);
    advise(4, 2, MADV_DONTFORK);
    expect(world.vmas()).toEqual(['+0x0..+0x6000', '+0x6000..+0x8000']);
    advise(5, 1, MADV_DOFORK);
    expect(world.vmas()).toEqual(['+0x0..+0x5000', '+0x5000..+0x8000']);
    advise(0, 5, MADV_DOFORK);
    expect(world.vmas()).toEqual(['+0x0..+0x8000']);
  });
});

describe('placement', () => {
  test('without a hint from the top down; 6.12 aligns multiples of 2 MiB', async () => {
    const top = 0x7fff_f7ff_f000;
    const world = await openWorld({ kernel: '6.12' });
    expect(world.run({ op: 'mmap', length: PAGE })).toEqual([top - PAGE]);
    expect(world.run({ op: 'mmap', length: 3 * PAGE, flags: SHARED })).toEqual([top - 4 * PAGE]);
    const [aligned] = world.run({ op: 'mmap', length: 2 * MIB2 });
    expect(aligned).toBe(Math.ceil((top - 4 * PAGE - 3 * MIB2) / MIB2) * MIB2);
    const old = await openWorld({ kernel: '6.1' });
    expect(old.run({ op: 'mmap', length: 2 * MIB2 })).toEqual([top - 2 * MIB2]);
  });

  test('a hint is taken if it is free, rounded up to mmap_min_addr; a gap that fits is used', async () => {
    const world = await openWorld();
    expect(world.run({ op: 'mmap', address: BASE + 5, length: 1 })).toEqual([BASE]);
    expect(world.run({ op: 'mmap', address: 4096, length: 1 })).toEqual([65536]);
    const [below] = world.run({ op: 'mmap', address: BASE, length: 1 });
    expect(below).toBe(0x7fff_f7ff_e000);
    world.run({ op: 'munmap', address: below as number, length: PAGE });
    expect(world.run({ op: 'mmap', length: 1 })).toEqual([below]);
  });
});

describe('what the kernel refuses', () => {
  const mmap = { op: 'mmap', address: BASE, length: PAGE } as const;
  test.each([
    ['length 0', { ...mmap, length: 0 }, 'EINVAL'],
    ['neither shared nor private', { ...mmap, flags: 0x20 }, 'EINVAL'],
    ['no file', { ...mmap, flags: 2 }, 'EBADF'],
    ['unaligned offset', { ...mmap, offset: 1 }, 'EINVAL'],
    ['longer than the address space', { ...mmap, length: 2 ** 48 }, 'ENOMEM'],
    ['fixed and unaligned', { ...mmap, address: BASE + 1, flags: PRIVATE | 0x10 }, 'EINVAL'],
    ['fixed beyond the end', { ...mmap, address: 0x7fff_ffff_f000, flags: PRIVATE | 0x10 }, 'ENOMEM'],
    ['fixed below mmap_min_addr, by root', { ...mmap, address: PAGE, flags: PRIVATE | 0x10 }, 'ok'],
    ['huge pages of 1 GiB', { ...mmap, flags: PRIVATE | 0x4_0000 | (30 << 26) }, 'ERR_HMM_NOT_MODELLED'],
    ['munmap unaligned', { op: 'munmap', address: BASE + 1, length: PAGE }, 'EINVAL'],
    ['munmap of nothing', { op: 'munmap', address: BASE, length: 0 }, 'EINVAL'],
    ['munmap of a hole', { op: 'munmap', address: BASE, length: PAGE }, 'ok'],
    ['mprotect of a hole', { op: 'mprotect', address: BASE, length: PAGE, protection: 1 }, 'ENOMEM'],
    ['mprotect of nothing', { op: 'mprotect', address: BASE, length: 0, protection: 64 }, 'ok'],
    ['mprotect unknown bits', { op: 'mprotect', address: BASE, length: PAGE, protection: 64 }, 'EINVAL'],
    ['mprotect that grows both ways', { op: 'mprotect', address: BASE, length: 0, protection: 0x300_0000 }, 'EINVAL'],
    ['madvise unknown', { op: 'madvise', address: BASE, length: PAGE, advice: 77 }, 'EINVAL'],
    ['madvise unaligned', { op: 'madvise', address: BASE + 1, length: PAGE, advice: 4 }, 'EINVAL'],
    ['madvise of a hole', { op: 'madvise', address: BASE, length: PAGE, advice: 4 }, 'ENOMEM'],
    ['madvise of nothing', { op: 'madvise', address: BASE, length: 0, advice: 4 }, 'ok'],
    ['MADV_MERGEABLE', { op: 'madvise', address: BASE, length: PAGE, advice: MADV_MERGEABLE }, 'ERR_HMM_NOT_MODELLED'],
    ['mremap of a hole', { op: 'mremap', address: BASE, oldLength: PAGE, newLength: PAGE }, 'EFAULT'],
    ['mremap to nothing', { op: 'mremap', address: BASE, oldLength: PAGE, newLength: 0 }, 'EINVAL'],
    ['mremap unknown flags', { op: 'mremap', address: BASE, oldLength: PAGE, newLength: PAGE, flags: 8 }, 'EINVAL'],
    ['mremap fixed in place', { op: 'mremap', address: BASE, oldLength: PAGE, newLength: PAGE, flags: 2 }, 'EINVAL'],
  ] as const)('%s', async (_name, operation, code) => {
    const world = await openWorld();
    expect(world.code(operation)).toBe(code);
  });

  test('with a mapping there', async () => {
    const world = await openWorld();
    world.map(0, 4 * PAGE);
    const remap = { op: 'mremap', address: BASE, oldLength: 4 * PAGE, newLength: 8 * PAGE } as const;
    world.map(4 * PAGE, PAGE, R);
    expect(world.code({ ...remap, flags: 0 })).toBe('ENOMEM');
    expect(world.code({ ...remap, oldLength: 8 * PAGE, newLength: 16 * PAGE })).toBe('EFAULT');
    expect(world.code({ ...remap, oldLength: 0 })).toBe('EINVAL');
    expect(world.code({ ...remap, flags: 3, newAddress: BASE + PAGE })).toBe('EINVAL');
    expect(world.code({ ...mmap, flags: PRIVATE | MAP_FIXED_NOREPLACE })).toBe('EEXIST');
    expect(world.code({ op: 'madvise', address: BASE, length: PAGE, advice: 9 })).toBe('EINVAL');
    expect(world.code({ op: 'madvise', address: BASE + 4 * PAGE, length: PAGE, advice: 23 })).toBe('EINVAL');
    world.map(0x10_0000, PAGE, RW, SHARED);
    expect(world.code({ op: 'madvise', address: BASE + 0x10_0000, length: PAGE, advice: 18 })).toBe('EINVAL');
    expect(world.code({ op: 'madvise', address: BASE + 0x10_0000, length: PAGE, advice: 8 })).toBe('EINVAL');
  });

  test('MADV_POPULATE_READ over a hole: 6.12 stops there, 6.1 goes on', async () => {
    for (const [kernel, behind] of [
      ['6.12', '0'],
      ['6.1', 'V'],
    ] as const) {
      const world = await openWorld({ kernel });
      const notifier = await world.listen();
      world.map(0, PAGE);
      world.map(2 * PAGE, PAGE);
      expect(world.code({ op: 'madvise', address: BASE, length: 3 * PAGE, advice: MADV_POPULATE_READ })).toBe('ENOMEM');
      expect(await world.pages(notifier, 0, 3 * PAGE)).toBe(`V E ${behind}`);
    }
  });

  test('the limit of mappings: 65530, and madvise says EAGAIN', { timeout: 60_000 }, async () => {
    const world = await openWorld();
    for (let index = 0; index < 65529; index++) world.mapEveryOther(index);
    world.map(200 * GIB, 4 * PAGE);
    expect(world.code({ op: 'madvise', address: BASE + 200 * GIB + PAGE, length: PAGE, advice: MADV_DONTFORK })).toBe(
      'EAGAIN',
    );
    expect(world.code({ op: 'munmap', address: BASE + 200 * GIB + PAGE, length: PAGE })).toBe('ENOMEM');
    expect(world.code({ op: 'munmap', address: BASE + 200 * GIB, length: PAGE })).toBe('ok');
    // One more than the limit is let in, as do_mmap compares.
    expect(world.code({ op: 'mmap', address: BASE + 300 * GIB, length: PAGE })).toBe('ok');
    expect(world.code({ op: 'mmap', address: BASE + 301 * GIB, length: PAGE })).toBe('ENOMEM');
  });
});
