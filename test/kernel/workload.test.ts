/** The workload program: what it does with its memory, and how its end is noticed. */
import { execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_READ } from '../../lib/constants.js';
import { KernelFile } from '../../lib/kernel/memory-file.js';
import type { Workload } from '../../lib/kernel/workload.js';
import { BASE, PAGE, addon, keep, processExists, startWorkload, until } from './support.js';

const FIXED = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

async function map(workload: Workload, pages: number): Promise<void> {
  const [result] = await workload.run(0, [{ op: 'mmap', address: BASE, length: pages * PAGE, flags: FIXED }]);
  expect(result).toEqual({ value: BASE });
}

function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 7 + (index >> 8)) & 0xff);
}

describe('operations', () => {
  it('run in order, each with its result; a failing one does not stop the rest', async () => {
    const workload = await startWorkload();
    const bytes = pattern(3 * PAGE);
    const results = await workload.run(0, [
      { op: 'mmap', address: BASE, length: 3 * PAGE, flags: FIXED },
      { op: 'write', address: BASE + 1, bytes: bytes.subarray(0, 2 * PAGE) },
      { op: 'munmap', address: BASE + 1, length: PAGE },
      { op: 'read', address: BASE + 1, length: 2 * PAGE },
      { op: 'mprotect', address: BASE, length: PAGE, protection: PROT_READ },
      { op: 'madvise', address: BASE, length: PAGE, advice: 12345 },
      { op: 'mremap', address: BASE + 2 * PAGE, oldLength: PAGE, newLength: 2 * PAGE },
      { op: 'read', address: BASE, length: 0 },
    ]);
    expect(results.map((result) => result.error?.code ?? result.value)).toEqual([
      BASE,
      undefined,
      'EINVAL',
      bytes.slice(0, 2 * PAGE),
      undefined,
      'EINVAL',
      BASE + 2 * PAGE,
      new Uint8Array(0),
    ]);
  });

  it.each([
    ['reading past the end', 'read', BASE + 2 * PAGE - 5, BASE + 2 * PAGE, 5],
    ['writing past the end', 'write', BASE + 2 * PAGE - 5, BASE + 2 * PAGE, 5],
    ['reading where nothing is', 'read', BASE - 3, BASE - 3, 0],
    ['writing a read-only page', 'write', BASE + 3, BASE + 3, 0],
    ['the last byte of user space', 'read', 0x7fff_ffff_efff, 0x7fff_ffff_efff, 0],
    ['an address that is not canonical', 'read', 2 ** 47 + 24, 2 ** 47 + 24, 0],
    ['an address that is not canonical, written', 'write', 2 ** 50 + 1, 2 ** 50 + 1, 0],
  ] as const)('%s: EFAULT at the first byte, and the process lives on', async (_, op, address, fault, done) => {
    const workload = await startWorkload();
    await map(workload, 2);
    await workload.run(0, [{ op: 'mprotect', address: BASE, length: PAGE, protection: PROT_READ }]);
    const [result] = await workload.run(0, [
      op === 'read' ? { op, address, length: 11 } : { op, address, bytes: pattern(11) },
    ]);
    expect(result!.error).toMatchObject({
      code: 'EFAULT',
      errno: 14,
      syscall: op,
      address: fault,
      signal: 'SIGSEGV',
      done,
    });
    const [alive] = await workload.run(0, [{ op: 'read', address: BASE + 2 * PAGE - 5, length: 5 }]);
    expect(alive).toEqual({ value: op === 'write' && done === 5 ? pattern(5) : new Uint8Array(5) });
  });

  it('files: shared by number of the frame; SIGBUS behind the end; truncate and punchHole', async () => {
    const workload = await startWorkload();
    const file = KernelFile.create(addon, 2 * PAGE);
    const other = KernelFile.create(addon, PAGE);
    const results = await workload.run(0, [
      { op: 'mmap', address: BASE, length: 4 * PAGE, file },
      { op: 'mmap', address: BASE + 16 * PAGE, length: PAGE, file: other },
      { op: 'mmap', address: BASE + 32 * PAGE, length: PAGE, file, offset: PAGE },
      { op: 'write', address: BASE + PAGE, bytes: Uint8Array.of(1, 2) },
      { op: 'read', address: BASE + 32 * PAGE, length: 2 },
      { op: 'read', address: BASE + 16 * PAGE, length: 1 },
      { op: 'read', address: BASE + 2 * PAGE - 1, length: 2 },
      { op: 'punchHole', file, offset: PAGE, length: PAGE },
      { op: 'read', address: BASE + PAGE, length: 1 },
      { op: 'truncate', file, length: 3 * PAGE },
    ]);
    expect(results[4]).toEqual({ value: Uint8Array.of(1, 2) });
    expect(results[5]).toEqual({ value: Uint8Array.of(0) });
    expect(results[6]!.error).toMatchObject({ code: 'EFAULT', signal: 'SIGBUS', address: BASE + 2 * PAGE, done: 1 });
    expect(results[8]).toEqual({ value: Uint8Array.of(0) });
    expect(file.length).toBe(3 * PAGE);
    expect(other.length).toBe(PAGE);
    const links = execFileSync('ls', ['-l', `/proc/${workload.pid}/fd`], { encoding: 'utf8' });
    expect(links).not.toContain('memfd');
  });

  it('more files than one message can carry', async () => {
    const workload = await startWorkload();
    const files = Array.from({ length: 300 }, (_, index) => KernelFile.create(addon, (index + 1) * PAGE));
    const results = await workload.run(
      0,
      files.map((file, index) => ({ op: 'mmap', address: BASE + index * PAGE, length: PAGE, file })),
    );
    expect(results.every((result) => result.error === undefined)).toBe(true);
    files.forEach((file) => file.descriptor.close());
  });

  it('64 MiB written and read back', async () => {
    const workload = await startWorkload();
    const length = 64 * 1024 * 1024;
    const bytes = Buffer.alloc(length, 'a pattern of 21 bytes').fill('end', length - 3);
    await map(workload, length / PAGE);
    const [, read] = await workload.run(0, [
      { op: 'write', address: BASE, bytes },
      { op: 'read', address: BASE, length },
    ]);
    expect(Buffer.compare(read!.value as Uint8Array, bytes)).toBe(0);
  });

  it('nothing of the program lies beside what the kernel chooses an address for', async () => {
    const workload = await startWorkload();
    const maps = readFileSync(`/proc/${workload.pid}/maps`, 'utf8').trim().split('\n');
    const [result] = await workload.run(0, [{ op: 'mmap', length: PAGE }]);
    const address = result!.value as number;
    const neighbours = maps.filter((line) => {
      const [from, to] = line
        .split(' ')[0]!
        .split('-')
        .map((text) => Number.parseInt(text, 16));
      return from! <= address + PAGE && to! >= address;
    });
    // Some kernels put their own two pages there, which merge with nothing.
    expect(neighbours.filter((line) => !/\[(vvar|vdso)/.test(line))).toEqual([]);
  });
});

describe('threads and forks', () => {
  it('a thread runs while thread 0 is held up', async () => {
    const workload = await startWorkload();
    await map(workload, 1);
    const length = 2 ** 28;
    const slow = workload.run(0, [
      { op: 'mmap', address: BASE + 2 ** 30, length, flags: FIXED },
      { op: 'read', address: BASE + 2 ** 30, length },
    ]);
    const order: number[] = [];
    await Promise.all([
      slow.then(() => order.push(0)),
      workload.run(1, [{ op: 'read', address: BASE, length: 1 }]).then(() => order.push(1)),
    ]);
    expect(order).toEqual([1, 0]);
    const results = await Promise.all(
      Array.from({ length: 15 }, (_, index) =>
        workload.run(index + 1, [{ op: 'write', address: BASE + index, bytes: Uint8Array.of(index) }]),
      ),
    );
    expect(results.every(([result]) => result!.error === undefined)).toBe(true);
    const [all] = await workload.run(0, [{ op: 'read', address: BASE, length: 15 }]);
    expect(all!.value).toEqual(Uint8Array.from({ length: 15 }, (_, index) => index));
  });

  it('more threads than there is room for: EAGAIN, and the process lives on', async () => {
    const workload = await startWorkload();
    const outcomes = await Promise.allSettled(
      Array.from({ length: 40 }, (_, thread) => workload.run(thread, [{ op: 'munmap', address: BASE, length: PAGE }])),
    );
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(refused.length).toBe(40 - 31);
    expect(refused[0]!.reason).toMatchObject({ code: 'EAGAIN', syscall: 'clone' });
    await map(workload, 1);
  });

  it('a child has its own copy, and outlives its parent; so has and does its child', async () => {
    const parent = await startWorkload();
    await map(parent, 1);
    await parent.run(1, [{ op: 'write', address: BASE, bytes: Uint8Array.of(1) }]);
    const child = keep(await parent.fork(null));
    expect(child.pid).not.toBe(parent.pid);
    await parent.run(0, [{ op: 'write', address: BASE, bytes: Uint8Array.of(2) }]);
    const grandchild = keep(await child.fork(null));
    await parent.exit();
    await child.exit();
    const [result] = await grandchild.run(3, [{ op: 'read', address: BASE, length: 1 }]);
    expect(result).toEqual({ value: Uint8Array.of(1) });
  });
});

describe('the end', () => {
  it('exit() resolves when the process has gone; afterwards everything is ESRCH', async () => {
    const workload = await startWorkload();
    await Promise.all([workload.exit(), workload.exit()]);
    expect(workload.alive).toBe(false);
    await expect(workload.run(0, [])).rejects.toMatchObject({ code: 'ESRCH', errno: 3 });
    await expect(workload.run(2, [])).rejects.toMatchObject({ code: 'ESRCH' });
    await expect(workload.fork(null)).rejects.toMatchObject({ code: 'ESRCH', syscall: 'fork' });
    await workload.exit();
    expect(await until(() => !processExists(workload.pid))).toBe(true);
  });

  it('exit() comes after what was asked for before', async () => {
    const workload = await startWorkload();
    const run = workload.run(0, [{ op: 'mmap', address: BASE, length: PAGE, flags: FIXED }]);
    await workload.exit();
    expect(await run).toEqual([{ value: BASE }]);
  });

  it('SIGKILL: what is pending rejects with ESRCH and says so, on every thread', async () => {
    const workload = await startWorkload();
    const length = 2 ** 28;
    const slow = { op: 'mmap', address: BASE, length, flags: FIXED } as const;
    const pending = [0, 1].map((thread) => workload.run(thread, [slow, { op: 'read', address: BASE, length }]));
    // Reading and sending that much takes longer than the signal.
    process.kill(workload.pid, 'SIGKILL');
    for (const run of pending) {
      await expect(run).rejects.toMatchObject({ code: 'ESRCH', message: expect.stringContaining('SIGKILL') as string });
    }
    expect(workload.alive).toBe(false);
  });

  it('SIGKILL of a forked child is noticed, too', async () => {
    const parent = await startWorkload();
    const child = await parent.fork(null);
    process.kill(child.pid, 'SIGKILL');
    await child.gone;
    expect(child.alive).toBe(false);
    await expect(child.run(0, [])).rejects.toMatchObject({ code: 'ESRCH' });
    expect(parent.alive).toBe(true);
    expect(await until(() => !processExists(child.pid))).toBe(true);
  });

  it('a process that unmaps itself is one that died, and the signal is named', async () => {
    const workload = await startWorkload();
    const run = workload.run(0, [{ op: 'munmap', address: 0, length: 2 ** 47 - PAGE }]);
    await expect(run).rejects.toMatchObject({ code: 'ESRCH', message: expect.stringContaining('SIGSEGV') as string });
  });

  it('SIGKILL of Node leaves no process', async () => {
    const script = fileURLToPath(new URL('./fixtures/parent.mjs', import.meta.url));
    const node = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const pids = await new Promise<number[]>((resolve, reject) => {
      node.once('error', reject);
      node.once('exit', (code) => reject(new Error(`exited with ${code}`)));
      node.stdout.once('data', (chunk: Buffer) => resolve(JSON.parse(chunk.toString()) as number[]));
    });
    expect(pids.map(processExists)).toEqual([true, true]);
    node.kill('SIGKILL');
    expect(await until(() => !pids.some(processExists))).toBe(true);
  });

  it('a terminal’s signal does not reach it: it has a session of its own', async () => {
    const workload = await startWorkload();
    const session = readFileSync(`/proc/${workload.pid}/stat`, 'utf8').split(') ')[1]!.split(' ')[3];
    expect(Number(session)).toBe(workload.pid);
  });
});
