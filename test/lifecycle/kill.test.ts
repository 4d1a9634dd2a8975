/** Death at any point: of the program that mirrors, of the process that is mirrored. Real kernels only. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { MADV_DONTNEED, MADV_POPULATE_WRITE, openHmm, type Hmm, type HmmError } from 'node-hmm';
import { afterEach, describe, expect, it } from 'vitest';
import { BASE, GiB, PAGE, refusalCode } from '../conformance/support.js';
import { contexts, hasEnded, noContextLeft, until } from './support.js';

/** 64 MiB. */
const MANY = 16384;

const VICTIM = fileURLToPath(new URL('./victim.mjs', import.meta.url));

const open: Hmm[] = [];
afterEach(async () => {
  for (const hmm of open.splice(0)) await hmm.close();
  await noContextLeft();
});

async function openKernel(): Promise<Hmm> {
  const hmm = await openHmm({ backend: 'kernel' });
  open.push(hmm);
  return hmm;
}

interface Victim {
  readonly process: ChildProcess;
  readonly pids: readonly number[];
  readonly ended: Promise<string>;
  /** Waits for the next line. */
  next(): Promise<unknown>;
}

async function startVictim(mode: string): Promise<Victim> {
  const child = spawn(process.execPath, [VICTIM, mode], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise<string>((resolve) => child.once('exit', (code, signal) => resolve(signal ?? String(code))));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const line = await lines.next();
    if (line.done === true) throw new Error(`the victim ended: ${await ended}`);
    return JSON.parse(line.value) as unknown;
  };
  const { pids } = (await next()) as { pids: number[] };
  return { process: child, pids, ended, next };
}

async function nothingIsLeftOf({ pids }: Victim): Promise<void> {
  for (const pid of pids) await until(`process ${pid} ends`, () => hasEnded(pid));
  await noContextLeft();
}

describe('the program is killed', () => {
  it.each([0, 1, 2, 3, 5, 8, 13])('while it populates and its process unmaps, after %i rounds', async (rounds) => {
    const victim = await startVictim('busy');
    for (let round = 0; round < rounds; round++) expect(await victim.next()).toEqual({ round });
    victim.process.kill('SIGKILL');
    expect(await victim.ended).toBe('SIGKILL');
    await nothingIsLeftOf(victim);
  });

  it('while munmap waits for its callback: the wait ends with it', async () => {
    const victim = await startVictim('callback');
    expect(await victim.next()).toBe('in the callback');
    victim.process.kill('SIGKILL');
    await nothingIsLeftOf(victim);
  });
});

describe('the program ends without closing anything', () => {
  it('at its end', async () => {
    const victim = await startVictim('leave');
    expect(await victim.ended).toBe('0');
    await nothingIsLeftOf(victim);
  });

  it('by process.exit() with a batch under way', async () => {
    const victim = await startVictim('exit');
    expect(await victim.ended).toBe('7');
    await nothingIsLeftOf(victim);
  });

  it('in a worker thread that is terminated', async () => {
    const source = `
      import { openHmm } from 'node-hmm';
      import { parentPort } from 'node:worker_threads';
      const hmm = await openHmm({ backend: 'kernel' });
      const space = await hmm.createAddressSpace();
      await space.mmap(4096 * 16, { address: ${BASE} });
      const mirror = await space.mirror(hmm.devices[0], { start: ${BASE}, length: 4096 * 16 });
      await space.insertIntervalNotifier(${BASE}, 4096, { invalidate: () => new Promise(() => undefined) });
      parentPort.postMessage(space.pid);
      void space.madvise(${BASE}, 4096, 4).catch(() => undefined);
      for (;;) await mirror.populate(${BASE}, ${BASE} + 4096 * 16);`;
    const file = new URL(`./worker-${process.pid}.mjs`, 'file:///tmp/');
    const { writeFileSync, rmSync } = await import('node:fs');
    // A data: URL cannot import the package by its name; a file beside this one could, but the folder is read-only.
    writeFileSync(file, source.replace("'node-hmm'", `'${import.meta.resolve('node-hmm')}'`));
    const worker = new Worker(file);
    const pid = await new Promise<number>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    await worker.terminate();
    rmSync(file);
    await until(`process ${pid} ends`, () => hasEnded(pid));
    await noContextLeft();
  });
});

describe('the mirrored process is killed', () => {
  it('while it is idle: it is noticed; notifiers see its end; what needs it says so', async () => {
    const hmm = await openKernel();
    const space = await hmm.createAddressSpace();
    await space.mmap(PAGE, { address: BASE });
    const seen: string[] = [];
    const notifier = await space.insertIntervalNotifier(BASE, PAGE, {
      invalidate: ({ event }) => void seen.push(event),
    });
    const mirror = await space.mirror(hmm.devices[0]!, { start: BASE, length: PAGE });
    await mirror.populate(BASE, BASE + PAGE);
    process.kill(space.pid, 'SIGKILL');
    await until('the space is dead', () => !space.alive);
    expect(seen).toEqual(['release', 'unmap']);
    expect(await refusalCode(space.mmap(PAGE))).toBe('ESRCH');
    expect(await refusalCode(mirror.populate(BASE, BASE + PAGE))).toBe('EFAULT');
    expect(await refusalCode(mirror.read(BASE, 1))).toBe('EFAULT');
    expect(await mirror.pageTable.get(BASE)).toBe(0n);
    await notifier.remove();
    await mirror.remove();
    await space[Symbol.asyncDispose]();
  });

  it('while its munmap waits for a callback: the operation fails, the callback may end when it likes', async () => {
    const hmm = await openKernel();
    const space = await hmm.createAddressSpace();
    await space.mmap(PAGE, { address: BASE });
    let arrive!: () => void;
    let finish!: () => void;
    const arrived = new Promise<void>((resolve) => (arrive = resolve));
    const finished = new Promise<void>((resolve) => (finish = resolve));
    const seen: string[] = [];
    const notifier = await space.insertIntervalNotifier(BASE, PAGE, {
      async invalidate({ event }) {
        seen.push(event);
        if (seen.length > 1) return;
        arrive();
        await finished;
      },
    });
    const unmapping = refusalCode(space.munmap(BASE, PAGE));
    await arrived;
    process.kill(space.pid, 'SIGKILL');
    expect(await unmapping).toBe('ESRCH');
    await until('the space is dead', () => !space.alive);
    finish();
    expect(await refusalCode(notifier.readBegin())).toBe('ETIMEDOUT');
    expect(seen).toEqual(['unmap', 'release', 'unmap']);
  });

  it('in the middle of batches and populates: they end, by themselves or with ESRCH and EFAULT', async () => {
    for (let round = 0; round < 5; round++) {
      const hmm = await openKernel();
      const space = await hmm.createAddressSpace();
      await space.mmap(64 * PAGE, { address: BASE });
      const mirror = await space.mirror(hmm.devices[0]!, { start: BASE, length: 64 * PAGE });
      // Some ten million pages to populate and to drop: it is at it when it is killed, on whatever machine.
      await space.mmap(MANY * PAGE, { address: BASE + GiB });
      const storm = [MADV_POPULATE_WRITE, MADV_DONTNEED].map((advice) => ({
        op: 'madvise' as const,
        address: BASE + GiB,
        length: MANY * PAGE,
        advice,
      }));
      const batch = space.run(Array.from({ length: 600 }, () => storm).flat());
      for (let each = 0; each < round * 3; each++) await mirror.populate(BASE, BASE + 64 * PAGE);
      process.kill(space.pid, 'SIGKILL');
      expect(await refusalCode(batch)).toBe('ESRCH');
      const populated = await mirror.populate(BASE, BASE + 64 * PAGE).catch((error: HmmError) => error.code);
      if (typeof populated === 'string') expect(populated).toBe('EFAULT');
      await until('the space is dead', () => !space.alive);
      await hmm.close();
    }
  });

  it('by a store of its own over its own program: it is gone, and the rest goes on', async () => {
    const hmm = await openKernel();
    const space = await hmm.createAddressSpace();
    const other = await hmm.createAddressSpace();
    // Everything that lies below the tested addresses, its own program included.
    expect(await refusalCode(space.munmap(0x10000, BASE - 0x10000))).toBe('ESRCH');
    expect(space.alive).toBe(false);
    await other.mmap(PAGE);
    expect(contexts()).toBeGreaterThan(0);
  });
});
