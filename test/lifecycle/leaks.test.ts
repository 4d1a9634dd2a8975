/** Opening and closing, very often: memory, files and processes stay where they were. Real kernels only. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { HMM_PFN_REQ_FAULT, HmmRange, openHmm } from 'node-hmm';
import { expect, it, onTestFinished } from 'vitest';
import { Yardstick, compileYardstick } from '../../bench/yardstick.js';
import { BASE, PAGE } from '../conformance/support.js';
import { hasEnded, meminfo, noContextLeft, openFiles } from './support.js';

function dropCaches(): void {
  writeFileSync('/proc/sys/vm/drop_caches', '3');
}

it(
  '10,000 times open, bind, insert, fault, populate and close: the kernel has its memory back',
  { timeout: 300_000 },
  async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'node-hmm-leaks-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const c = new Yardstick(compileYardstick('ioctls', folder));
    // What the first contexts cost once (slabs, per-processor caches) is not what every one costs.
    await c.ask('cycles 2000');
    dropCaches();
    const before = { slab: meminfo('SUnreclaim'), free: meminfo('MemFree') };
    await c.ask('cycles 10000');
    dropCaches();
    const after = { slab: meminfo('SUnreclaim'), free: meminfo('MemFree') };
    await c.close();
    await noContextLeft();
    // In KiB: 1 MiB over 10,000 cycles is 100 bytes a cycle, less than any object that a context has.
    expect(after.slab - before.slab).toBeLessThan(1024);
    expect(before.free - after.free).toBeLessThan(8 * 1024);
  },
);

it(
  '300 address spaces from TypeScript: their files and processes are gone, and nothing keeps them',
  { timeout: 300_000 },
  async () => {
    const hmm = await openHmm({ backend: 'kernel' });
    const pids: number[] = [];
    const files: number[] = [];
    for (let round = 0; round < 300; round++) {
      const space = await hmm.createAddressSpace();
      pids.push(space.pid);
      await space.mmap(PAGE, { address: BASE });
      const notifier = await space.insertIntervalNotifier(BASE, PAGE, { invalidate: () => undefined });
      const range = new HmmRange({ notifier, start: BASE, end: BASE + PAGE, defaultFlags: HMM_PFN_REQ_FAULT });
      range.notifierSequence = await notifier.readBegin();
      await hmm.rangeFault(range);
      const mirror = await space.mirror(hmm.devices[0]!, { start: BASE, length: PAGE });
      await mirror.read(BASE, 1);
      await space[Symbol.asyncDispose]();
      files.push(openFiles());
    }
    expect(pids.filter((pid) => !hasEnded(pid))).toEqual([]);
    expect(files.at(-1)).toBe(files[10]);
    await hmm.close();
    await noContextLeft();
  },
);
