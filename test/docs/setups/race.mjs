/** The scenario of docs/explorer.md's first example, as a module exports one. */
import { DriverPageTable, HMM_PFN_REQ_FAULT, HmmRange } from 'node-hmm';

/** @type {import('node-hmm/explore').Scenario} */
export default async (world) => {
  const hmm = await world.open();
  const space = await hmm.createAddressSpace();
  const start = await space.mmap(4096);
  await space.write(start, new Uint8Array([1]));

  const table = new DriverPageTable();
  const lock = hmm.createLock();
  const notifier = await space.insertIntervalNotifier(start, 4096, {
    async invalidate(range) {
      if (range.blockable) await lock.acquire();
      else if (lock.tryAcquire() === null) return false;
      table.invalidate(range.start, range.end);
      lock.release();
    },
  });
  world.watch(table, notifier);

  await world.parallel({
    cpu: () => space.munmap(start, 4096),
    device: async () => {
      const range = new HmmRange({ notifier, start, end: start + 4096, defaultFlags: HMM_PFN_REQ_FAULT });
      range.notifierSequence = await notifier.readBegin();
      await hmm.rangeFault(range).catch(() => undefined);
      await lock.run(() => table.update(start, range.pfns));
    },
  });
};
