/** The process: what its operations do to its memory, and what they are refused with. */
import {
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_REMOVE,
  MADV_WIPEONFORK,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  type AddressSpace,
} from 'node-hmm';
import { describe, expect, it } from 'vitest';
import { BASE, GiB, MiB, PAGE, bench, pattern, refusalCode, refused } from './support.js';

const RW = PROT_READ | PROT_WRITE;
const ANON = MAP_PRIVATE | MAP_ANONYMOUS;
const FIXED = ANON | MAP_FIXED;
const TASK_SIZE = 0x7fff_ffff_f000;

function map(space: AddressSpace, page: number, pages: number, protection = RW): Promise<number> {
  return space.mmap(pages * PAGE, { address: BASE + page * PAGE, protection, flags: FIXED });
}

describe('loads and stores', () => {
  it('what is written is read, across pages; what was never written is zero', async () => {
    const { space } = await bench();
    await map(space, 0, 4);
    const bytes = pattern(2 * PAGE + 11);
    await space.write(BASE + PAGE - 5, bytes);
    expect(await space.read(BASE + PAGE - 5, bytes.length)).toEqual(bytes);
    expect(await space.read(BASE, PAGE - 5)).toEqual(new Uint8Array(PAGE - 5));
    expect(await space.read(BASE, 0)).toEqual(new Uint8Array(0));
  });

  it('no mapping: EFAULT and SIGSEGV with the first bad address; stores before it were done', async () => {
    const { space } = await bench();
    await map(space, 0, 1);
    const fault = { code: 'EFAULT', errno: 14, address: BASE + PAGE, signal: 'SIGSEGV' };
    expect(await refused(space.read(BASE + PAGE - 3, 6))).toMatchObject({ ...fault, syscall: 'read' });
    expect(await refused(space.write(BASE + PAGE - 3, pattern(6)))).toMatchObject({ ...fault, syscall: 'write' });
    expect(await space.read(BASE + PAGE - 3, 3)).toEqual(pattern(6).slice(0, 3));
  });

  it.each([
    ['PROT_NONE', PROT_NONE, 'EFAULT', 'EFAULT'],
    ['PROT_READ', PROT_READ, 'ok', 'EFAULT'],
    ['PROT_WRITE, which x86 cannot do without reading', PROT_WRITE, 'ok', 'ok'],
    ['PROT_READ | PROT_WRITE', RW, 'ok', 'ok'],
  ])('%s', async (_, protection, read, write) => {
    const { space } = await bench();
    await map(space, 0, 1, protection);
    const outcome = (operation: Promise<unknown>) =>
      operation.then(
        () => 'ok',
        (error: { code: string }) => error.code,
      );
    expect(await outcome(space.write(BASE, Uint8Array.of(1)))).toBe(write);
    expect(await outcome(space.read(BASE, 1))).toBe(read);
  });

  it('beyond the end of a file: EFAULT and SIGBUS; what was stored behind the end in its last page stays there', async () => {
    const { space } = await bench();
    const file = await space.createFile(PAGE + 10);
    await space.mmap(4 * PAGE, { address: BASE, file });
    await space.write(BASE + PAGE, pattern(PAGE));
    expect(await refused(space.read(BASE + 2 * PAGE, 1))).toMatchObject({
      code: 'EFAULT',
      address: BASE + 2 * PAGE,
      signal: 'SIGBUS',
    });
    await file.truncate(4 * PAGE);
    // tmpfs does not clear it when the file grows over it.
    expect(await space.read(BASE + PAGE, PAGE)).toEqual(pattern(PAGE));
    expect(await space.read(BASE + 2 * PAGE, 1)).toEqual(Uint8Array.of(0));
  });
});

describe('batches', () => {
  it('run in order; a failing one does not stop the rest; each has its result', async () => {
    const { space } = await bench();
    const results = await space.run([
      { op: 'mmap', length: PAGE, address: BASE },
      { op: 'write', address: BASE, bytes: Uint8Array.of(1, 2, 3) },
      { op: 'write', address: BASE + PAGE, bytes: Uint8Array.of(1) },
      { op: 'read', address: BASE + 1, length: 2 },
      { op: 'mprotect', address: BASE, length: PAGE, protection: PROT_READ },
      { op: 'write', address: BASE, bytes: Uint8Array.of(9) },
      { op: 'mremap', address: BASE, oldLength: PAGE, newLength: 2 * PAGE },
      { op: 'munmap', address: BASE, length: 2 * PAGE },
      { op: 'read', address: BASE, length: 1 },
    ]);
    expect(results.map((result) => result.error?.code ?? result.value)).toEqual([
      BASE,
      undefined,
      'EFAULT',
      Uint8Array.of(2, 3),
      undefined,
      'EFAULT',
      BASE,
      undefined,
      'EFAULT',
    ]);
    expect(results[2]!.error).toMatchObject({ address: BASE + PAGE, signal: 'SIGSEGV' });
  });

  it('an empty one is nothing', async () => {
    const { space } = await bench();
    expect(await space.run([])).toEqual([]);
  });

  it('10,000 operations', async () => {
    const { space } = await bench();
    await map(space, 0, 16);
    const operations = Array.from({ length: 5000 }, (_, index) => [
      { op: 'write' as const, address: BASE + (index % 16) * PAGE + index, bytes: Uint8Array.of(index & 0xff) },
      { op: 'read' as const, address: BASE + (index % 16) * PAGE + index, length: 1 },
    ]).flat();
    // The last page's last offsets run off its end into the next; the 16th has none.
    const results = await space.run(operations);
    const wrong = results.filter((result, at) => {
      const operation = operations[at]!;
      if (operation.address >= BASE + 16 * PAGE) return result.error?.code !== 'EFAULT';
      return operation.op === 'read' && (result.value as Uint8Array)[0] !== ((at >> 1) & 0xff);
    });
    expect(wrong).toEqual([]);
  });

  it('of different threads run at the same time in one memory', async () => {
    const { space } = await bench();
    await map(space, 0, 8);
    await Promise.all(
      [0, 1, 2, 3].map((thread) =>
        space.run(
          [0, 1].map((half) => ({
            op: 'write' as const,
            address: BASE + (2 * thread + half) * PAGE,
            bytes: Uint8Array.of(10 * thread + half),
          })),
          { thread },
        ),
      ),
    );
    const bytes: number[] = [];
    for (let page = 0; page < 8; page++) bytes.push((await space.read(BASE + page * PAGE, 1))[0]!);
    expect(bytes).toEqual([0, 1, 10, 11, 20, 21, 30, 31]);
  });
});

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
    ['MAP_FIXED, not a page address', { length: PAGE, flags: FIXED, address: BASE + 1 }, 'EINVAL'],
    ['MAP_FIXED beyond user space', { length: PAGE, flags: FIXED, address: TASK_SIZE }, 'ENOMEM'],
    ['longer than user space', { length: TASK_SIZE + PAGE }, 'ENOMEM'],
    ['an anonymous mapping with a crooked offset', { length: PAGE, offset: 1 }, 'EINVAL'],
  ] as const)('%s', async (_, { length, ...options }, code) => {
    const { space } = await bench();
    expect(await refused(space.mmap(length, options))).toMatchObject({ code, syscall: 'mmap' });
  });

  it('MAP_FIXED_NOREPLACE of what is taken: EEXIST, and nothing is lost', async () => {
    const { space } = await bench();
    await map(space, 0, 2);
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
    await map(space, 0, 4);
    expect(await refusalCode(act(space))).toBe(code);
  });

  it('length 0 is nothing to mprotect and madvise', async () => {
    const { space } = await bench();
    await space.mprotect(BASE, 0, PROT_READ);
    await space.madvise(BASE, 0, MADV_DONTNEED);
  });

  it('munmap of the middle leaves both ends', async () => {
    const { space } = await bench();
    await map(space, 0, 3);
    await space.write(BASE, pattern(3 * PAGE));
    await space.munmap(BASE + PAGE, PAGE);
    expect(await space.read(BASE, PAGE)).toEqual(pattern(3 * PAGE).slice(0, PAGE));
    expect(await space.read(BASE + 2 * PAGE, PAGE)).toEqual(pattern(3 * PAGE).slice(2 * PAGE));
    expect(await refusalCode(space.read(BASE + PAGE, 1))).toBe('EFAULT');
  });

  it('MADV_DONTNEED drops private memory and keeps shared memory; MADV_FREE keeps it for now', async () => {
    const { space } = await bench();
    await map(space, 0, 2);
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
    await map(space, 0, 2);
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
    await map(space, 0, 1);
    await map(space, 2, 1, PROT_READ);
    await space.write(BASE, Uint8Array.of(7));
    expect(await space.mremap(BASE, PAGE, 2 * PAGE, { flags: 0 })).toBe(BASE);
    expect(await refusalCode(space.mremap(BASE, 2 * PAGE, 3 * PAGE, { flags: 0 }))).toBe('ENOMEM');
    const moved = await space.mremap(BASE, 2 * PAGE, 3 * PAGE);
    expect(moved).not.toBe(BASE);
    expect(await space.read(moved, 1)).toEqual(Uint8Array.of(7));
  });

  it('MREMAP_DONTUNMAP leaves the old mapping, empty', async () => {
    const { space } = await bench();
    await map(space, 0, 1);
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
    await map(space, 0, 4);
    await map(space, 4, 4, PROT_READ);
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

describe('fork and exit', () => {
  it('private memory is copied on write, shared memory is one, what is not to be forked is not', async () => {
    const { space } = await bench();
    await map(space, 0, 1);
    await map(space, 1, 1);
    await map(space, 2, 1);
    const shared = await space.mmap(PAGE, { flags: MAP_SHARED | MAP_ANONYMOUS });
    for (const address of [BASE, BASE + PAGE, BASE + 2 * PAGE, shared]) await space.write(address, Uint8Array.of(1));
    await space.madvise(BASE + PAGE, PAGE, MADV_DONTFORK);
    await space.madvise(BASE + 2 * PAGE, PAGE, MADV_WIPEONFORK);
    const child = await space.fork();
    expect(child.pid).not.toBe(space.pid);
    await space.write(BASE, Uint8Array.of(2));
    await space.write(shared, Uint8Array.of(3));
    expect(await child.read(BASE, 1)).toEqual(Uint8Array.of(1));
    expect(await child.read(shared, 1)).toEqual(Uint8Array.of(3));
    expect(await refusalCode(child.read(BASE + PAGE, 1))).toBe('EFAULT');
    expect(await child.read(BASE + 2 * PAGE, 1)).toEqual(Uint8Array.of(0));
    await child.write(BASE, Uint8Array.of(9));
    expect(await space.read(BASE, 1)).toEqual(Uint8Array.of(2));
  });

  it('a child has children of its own, and outlives its parent', async () => {
    const { space } = await bench();
    await map(space, 0, 1);
    await space.write(BASE, Uint8Array.of(1));
    const child = await space.fork();
    const grandchild = await child.fork();
    await space.exit();
    await child.exit();
    expect(await grandchild.read(BASE, 1)).toEqual(Uint8Array.of(1));
    await grandchild.write(BASE, Uint8Array.of(2));
    expect(await grandchild.read(BASE, 1)).toEqual(Uint8Array.of(2));
  });

  it('after exit the process is not alive; others are', async () => {
    const { hmm, space } = await bench();
    const other = await hmm.createAddressSpace();
    expect([space.alive, other.alive]).toEqual([true, true]);
    await space.exit();
    expect([space.alive, other.alive]).toEqual([false, true]);
  });
});
