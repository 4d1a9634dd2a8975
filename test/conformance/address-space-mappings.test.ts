/** The mappings of a process: mmap, munmap, mprotect, madvise, mremap, and what they are refused with. */
import {
  MADV_DONTNEED,
  MADV_FREE,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_REMOVE,
  MADV_WIPEONFORK,
  MAP_ANONYMOUS,
  MAP_FIXED_NOREPLACE,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  type AddressSpace,
} from 'node-hmm';
import { describe, expect, it } from 'vitest';
import { BASE, GiB, MiB, PAGE, PRIVATE, RW, bench, map, pattern, refusalCode, refused } from './support.js';

const ANON = MAP_PRIVATE | MAP_ANONYMOUS;
const TASK_SIZE = 0x7fff_ffff_f000;

describe('mmap', () => {
  it('chooses an address of whole pages, a different one each time', async () => {
    const { space } = await bench();
    const first = await space.mmap(1);
    const second = await space.mmap(PAGE + 1);
    expect(first % PAGE).toBe(0);
    expect(second % PAGE).toBe(0);
    await space.write(first + PAGE - 1, Uint8Array.of(1));
    await space.write(second + 2 * PAGE - 1, Uint8Array.of(1));
    expect(first + PAGE <= second || second + 2 * PAGE <= first).toBe(true);
  });

  it('takes a free hint, rounded down to a page, and not one that is taken', async () => {
    const { space } = await bench();
    expect(await space.mmap(PAGE, { address: BASE + 100 })).toBe(BASE);
    expect(await space.mmap(PAGE, { address: BASE })).not.toBe(BASE);
  });

  it('6.12 aligns anonymous private mappings of whole 2 MiB, 6.1 does not', async () => {
    const { space, profile } = await bench();
    await space.mmap(PAGE);
    const address = await space.mmap(4 * MiB);
    expect(address % (2 * MiB) === 0).toBe(profile === '6.12');
  });

  it.each([
    ['length 0', { length: 0 }, 'EINVAL'],
    ['neither private nor shared', { length: PAGE, flags: MAP_ANONYMOUS }, 'EINVAL'],
    [
      'both, which is MAP_SHARED_VALIDATE, without a file',
      { length: PAGE, flags: MAP_PRIVATE | MAP_SHARED | MAP_ANONYMOUS },
      'EINVAL',
    ],
    ['MAP_FIXED, not a page address', { length: PAGE, flags: PRIVATE, address: BASE + 1 }, 'EINVAL'],
    ['MAP_FIXED beyond user space', { length: PAGE, flags: PRIVATE, address: TASK_SIZE }, 'ENOMEM'],
    ['longer than user space', { length: TASK_SIZE + PAGE }, 'ENOMEM'],
    ['an anonymous mapping with a crooked offset', { length: PAGE, offset: 1 }, 'EINVAL'],
  ] as const)('%s', async (_, { length, ...options }, code) => {
    const { space } = await bench();
    expect(await refused(space.mmap(length, options))).toMatchObject({ code, syscall: 'mmap' });
  });

  it('MAP_FIXED_NOREPLACE of what is taken: EEXIST, and nothing is lost', async () => {
    const { space } = await bench();
    await map(space, 0, 2 * PAGE);
    await space.write(BASE, Uint8Array.of(1));
    const flags = ANON | MAP_FIXED_NOREPLACE;
    expect(await refusalCode(space.mmap(PAGE, { address: BASE + PAGE, flags }))).toBe('EEXIST');
    expect(await space.mmap(PAGE, { address: BASE + 2 * PAGE, flags })).toBe(BASE + 2 * PAGE);
    expect(await space.read(BASE, 1)).toEqual(Uint8Array.of(1));
  });

  it('files: shared mappings show one memory, private ones their copy, at their offset', async () => {
    const { space } = await bench();
    const file = await space.createFile(4 * PAGE);
    expect(file.length).toBe(4 * PAGE);
    const shared = await space.mmap(4 * PAGE, { file });
    const half = await space.mmap(2 * PAGE, { file, offset: 2 * PAGE });
    const copy = await space.mmap(4 * PAGE, { file, flags: MAP_PRIVATE });
    await space.write(shared + 2 * PAGE, Uint8Array.of(1));
    expect(await space.read(half, 1)).toEqual(Uint8Array.of(1));
    expect(await space.read(copy + 2 * PAGE, 1)).toEqual(Uint8Array.of(1));
    await space.write(copy + 2 * PAGE, Uint8Array.of(2));
    await space.write(half + 1, Uint8Array.of(3));
    expect(await space.read(half, 2)).toEqual(Uint8Array.of(1, 3));
    expect(await space.read(copy + 2 * PAGE, 2)).toEqual(Uint8Array.of(2, 0));
    expect(await refusalCode(space.mmap(PAGE, { file, offset: 100 }))).toBe('EINVAL');
  });

  it('one file in two processes that are not related', async () => {
    const { hmm, space } = await bench();
    const other = await hmm.createAddressSpace();
    const file = await space.createFile(PAGE);
    const here = await space.mmap(PAGE, { file });
    const there = await other.mmap(PAGE, { file });
    await space.write(here, Uint8Array.of(42));
    expect(await other.read(there, 1)).toEqual(Uint8Array.of(42));
  });
});

describe('munmap, mprotect, madvise', () => {
  it.each([
    ['munmap, not a page address', (s: AddressSpace) => s.munmap(BASE + 1, PAGE), 'EINVAL'],
    ['munmap of length 0', (s: AddressSpace) => s.munmap(BASE, 0), 'EINVAL'],
    ['munmap beyond user space', (s: AddressSpace) => s.munmap(TASK_SIZE, PAGE), 'EINVAL'],
    ['mprotect, not a page address', (s: AddressSpace) => s.mprotect(BASE + 1, PAGE, RW), 'EINVAL'],
    ['mprotect to what is no protection', (s: AddressSpace) => s.mprotect(BASE, PAGE, 0x100), 'EINVAL'],
    ['mprotect of nothing', (s: AddressSpace) => s.mprotect(BASE + GiB, PAGE, RW), 'ENOMEM'],
    ['madvise, not a page address', (s: AddressSpace) => s.madvise(BASE + 1, PAGE, MADV_DONTNEED), 'EINVAL'],
    ['madvise with an advice that there is not', (s: AddressSpace) => s.madvise(BASE, PAGE, 12345), 'EINVAL'],
    ['madvise of nothing', (s: AddressSpace) => s.madvise(BASE + GiB, PAGE, MADV_DONTNEED), 'ENOMEM'],
    ['MADV_REMOVE of private memory', (s: AddressSpace) => s.madvise(BASE, PAGE, MADV_REMOVE), 'EINVAL'],
    [
      'MADV_WIPEONFORK of shared memory',
      async (s: AddressSpace) => {
        const address = await s.mmap(PAGE, { flags: MAP_SHARED | MAP_ANONYMOUS });
        await s.madvise(address, PAGE, MADV_WIPEONFORK);
      },
      'EINVAL',
    ],
    ['MADV_POPULATE_READ of a hole', (s: AddressSpace) => s.madvise(BASE, 8 * PAGE, MADV_POPULATE_READ), 'ENOMEM'],
    [
      'MADV_POPULATE_WRITE of read-only memory',
      async (s: AddressSpace) => {
        await s.mprotect(BASE, PAGE, PROT_READ);
        await s.madvise(BASE, PAGE, MADV_POPULATE_WRITE);
      },
      'EINVAL',
    ],
  ])('%s', async (_, act, code) => {
    const { space } = await bench();
    await map(space, 0, 4 * PAGE);
    expect(await refusalCode(act(space))).toBe(code);
  });

  it('length 0 is nothing to mprotect and madvise', async () => {
    const { space } = await bench();
    await space.mprotect(BASE, 0, PROT_READ);
    await space.madvise(BASE, 0, MADV_DONTNEED);
  });

  it('munmap of the middle leaves both ends', async () => {
    const { space } = await bench();
    await map(space, 0, 3 * PAGE);
    await space.write(BASE, pattern(3 * PAGE));
    await space.munmap(BASE + PAGE, PAGE);
    expect(await space.read(BASE, PAGE)).toEqual(pattern(3 * PAGE).slice(0, PAGE));
    expect(await space.read(BASE + 2 * PAGE, PAGE)).toEqual(pattern(3 * PAGE).slice(2 * PAGE));
    expect(await refusalCode(space.read(BASE + PAGE, 1))).toBe('EFAULT');
  });

  it('MADV_DONTNEED drops private memory and keeps shared memory; MADV_FREE keeps it for now', async () => {
    const { space } = await bench();
    await map(space, 0, 2 * PAGE);
    const shared = await space.mmap(PAGE, { flags: MAP_SHARED | MAP_ANONYMOUS });
    for (const address of [BASE, BASE + PAGE, shared]) await space.write(address, Uint8Array.of(5));
    await space.madvise(BASE, PAGE, MADV_DONTNEED);
    await space.madvise(shared, PAGE, MADV_DONTNEED);
    await space.madvise(BASE + PAGE, PAGE, MADV_FREE);
    expect(await space.read(BASE, 1)).toEqual(Uint8Array.of(0));
    expect(await space.read(shared, 1)).toEqual(Uint8Array.of(5));
    expect(await space.read(BASE + PAGE, 1)).toEqual(Uint8Array.of(5));
  });
});

describe('mremap', () => {
  const move = MREMAP_MAYMOVE | MREMAP_FIXED;

  it('moves the contents, grows with zeros, shrinks', async () => {
    const { space } = await bench();
    await map(space, 0, 2 * PAGE);
    await space.write(BASE, pattern(2 * PAGE));
    const to = BASE + 64 * GiB;
    expect(await space.mremap(BASE, 2 * PAGE, 4 * PAGE, { flags: move, newAddress: to })).toBe(to);
    expect(await space.read(to, 2 * PAGE)).toEqual(pattern(2 * PAGE));
    expect(await space.read(to + 2 * PAGE, 2 * PAGE)).toEqual(new Uint8Array(2 * PAGE));
    expect(await refusalCode(space.read(BASE, 1))).toBe('EFAULT');
    expect(await space.mremap(to, 4 * PAGE, PAGE)).toBe(to);
    expect(await refusalCode(space.read(to + PAGE, 1))).toBe('EFAULT');
  });

  it('grows in place if there is room, moves if it may, else ENOMEM', async () => {
    const { space } = await bench();
    await map(space, 0, PAGE);
    await map(space, 2 * PAGE, PAGE, PROT_READ);
    await space.write(BASE, Uint8Array.of(7));
    expect(await space.mremap(BASE, PAGE, 2 * PAGE, { flags: 0 })).toBe(BASE);
    expect(await refusalCode(space.mremap(BASE, 2 * PAGE, 3 * PAGE, { flags: 0 }))).toBe('ENOMEM');
    const moved = await space.mremap(BASE, 2 * PAGE, 3 * PAGE);
    expect(moved).not.toBe(BASE);
    expect(await space.read(moved, 1)).toEqual(Uint8Array.of(7));
  });

  it('MREMAP_DONTUNMAP leaves the old mapping, empty', async () => {
    const { space } = await bench();
    await map(space, 0, PAGE);
    await space.write(BASE, Uint8Array.of(7));
    const to = BASE + 64 * GiB;
    await space.mremap(BASE, PAGE, PAGE, { flags: move | MREMAP_DONTUNMAP, newAddress: to });
    expect(await space.read(to, 1)).toEqual(Uint8Array.of(7));
    expect(await space.read(BASE, 1)).toEqual(Uint8Array.of(0));
  });

  it.each([
    ['not a page address', (s: AddressSpace) => s.mremap(BASE + 1, PAGE, PAGE), 'EINVAL'],
    ['to length 0', (s: AddressSpace) => s.mremap(BASE, PAGE, 0), 'EINVAL'],
    ['of nothing', (s: AddressSpace) => s.mremap(BASE + GiB, PAGE, 2 * PAGE), 'EFAULT'],
    ['across two mappings', (s: AddressSpace) => s.mremap(BASE, 6 * PAGE, 7 * PAGE), 'EFAULT'],
    ['with flags that there are not', (s: AddressSpace) => s.mremap(BASE, PAGE, PAGE, { flags: 64 }), 'EINVAL'],
    [
      'MREMAP_FIXED without MREMAP_MAYMOVE',
      (s: AddressSpace) => s.mremap(BASE, PAGE, PAGE, { flags: MREMAP_FIXED, newAddress: BASE + GiB }),
      'EINVAL',
    ],
    [
      'onto itself',
      (s: AddressSpace) => s.mremap(BASE, 2 * PAGE, 2 * PAGE, { flags: move, newAddress: BASE + PAGE }),
      'EINVAL',
    ],
    [
      'to a crooked address',
      (s: AddressSpace) => s.mremap(BASE, PAGE, PAGE, { flags: move, newAddress: BASE + GiB + 1 }),
      'EINVAL',
    ],
    [
      'MREMAP_DONTUNMAP to another length',
      (s: AddressSpace) => s.mremap(BASE, PAGE, 2 * PAGE, { flags: MREMAP_MAYMOVE | MREMAP_DONTUNMAP }),
      'EINVAL',
    ],
    ['old length 0 of private memory', (s: AddressSpace) => s.mremap(BASE, 0, PAGE), 'EINVAL'],
  ] as const)('%s', async (_, act, code) => {
    const { space } = await bench();
    await map(space, 0, 4 * PAGE);
    await map(space, 4 * PAGE, 4 * PAGE, PROT_READ);
    expect(await refusalCode(act(space))).toBe(code);
  });

  it('old length 0 of shared memory: a second mapping of the same', async () => {
    const { space } = await bench();
    const first = await space.mmap(PAGE, { flags: MAP_SHARED | MAP_ANONYMOUS });
    const second = await space.mremap(first, 0, PAGE);
    await space.write(second, Uint8Array.of(4));
    expect(second).not.toBe(first);
    expect(await space.read(first, 1)).toEqual(Uint8Array.of(4));
  });
});
