/** The process: its loads and stores, batches of operations, fork and exit. */
import { MADV_DONTFORK, MADV_WIPEONFORK, MAP_ANONYMOUS, MAP_SHARED, PROT_NONE, PROT_READ, PROT_WRITE } from 'node-hmm';
import { describe, expect, it } from 'vitest';
import { BASE, PAGE, RW, bench, map, pattern, refusalCode, refused } from './support.js';

describe('loads and stores', () => {
  it('what is written is read, across pages; what was never written is zero', async () => {
    const { space } = await bench();
    await map(space, 0, 4 * PAGE);
    const bytes = pattern(2 * PAGE + 11);
    await space.write(BASE + PAGE - 5, bytes);
    expect(await space.read(BASE + PAGE - 5, bytes.length)).toEqual(bytes);
    expect(await space.read(BASE, PAGE - 5)).toEqual(new Uint8Array(PAGE - 5));
    expect(await space.read(BASE, 0)).toEqual(new Uint8Array(0));
  });

  it('no mapping: EFAULT and SIGSEGV with the first bad address; stores before it were done', async () => {
    const { space } = await bench();
    await map(space, 0, PAGE);
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
    await map(space, 0, PAGE, protection);
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
    await map(space, 0, 16 * PAGE);
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
    await map(space, 0, 8 * PAGE);
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

describe('fork and exit', () => {
  it('private memory is copied on write, shared memory is one, what is not to be forked is not', async () => {
    const { space } = await bench();
    await map(space, 0, PAGE);
    await map(space, PAGE, PAGE);
    await map(space, 2 * PAGE, PAGE);
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
    await map(space, 0, PAGE);
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
