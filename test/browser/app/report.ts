/**
 * A program that uses both entries of the package, and says in JSON what became of it. It is bundled and run in a browser,
 * and run in Node on the simulation: both must say the same.
 */
import {
  DriverPageTable,
  HMM_PFN_REQ_FAULT,
  HMM_PFN_REQ_WRITE,
  HmmError,
  HmmRange,
  openHmm,
  type AddressSpace,
  type Hmm,
} from 'node-hmm';
import {
  explore,
  exploreInWorkers,
  formatResult,
  mergeResults,
  parseResult,
  stringifyResult,
  type Scenario,
} from 'node-hmm/explore';

export interface Report {
  /** What openHmm() took, and why. */
  readonly opened: { readonly backend: string; readonly release: string; readonly reason: string };
  /** What a kernel is refused with. */
  readonly kernel: { readonly code: string; readonly message: string };
  readonly memory: unknown;
  readonly explored: unknown;
  /** What exploreInWorkers() is refused with; null if it works. */
  readonly workers: string | null;
}

/** The retry loop, over one page, against munmap: with and without readRetry. */
export function driver(forgets: boolean): Scenario {
  return async (world) => {
    const hmm = await world.open();
    const space = await hmm.createAddressSpace();
    const start = await space.mmap(4096);
    const table = new DriverPageTable();
    const lock = hmm.createLock();
    const notifier = await space.insertIntervalNotifier(start, 4096, {
      invalidate: (range) => lock.run(() => table.invalidate(range.start, range.end)),
    });
    world.watch(table, notifier);
    await world.parallel({
      cpu: () => space.munmap(start, 4096),
      device: async () => {
        const range = new HmmRange({ notifier, start, end: start + 4096, defaultFlags: HMM_PFN_REQ_FAULT });
        for (;;) {
          range.notifierSequence = await notifier.readBegin();
          try {
            await hmm.rangeFault(range);
          } catch (error) {
            if (!(error instanceof HmmError)) throw error;
            if (error.code === 'EBUSY') continue;
            if (error.code === 'EFAULT') return;
            throw error;
          }
          await lock.acquire();
          try {
            if (!forgets && notifier.readRetry(range.notifierSequence)) continue;
            table.update(start, range.pfns);
            return;
          } finally {
            lock.release();
          }
        }
      },
    });
  };
}

/** Memory of a process and of a device, and every invalidation of a mirror. */
async function memory(hmm: Hmm, space: AddressSpace): Promise<unknown> {
  const length = 4 * hmm.pageSize;
  const start = await space.mmap(length);
  const mirror = await space.mirror(hmm.devices[0]!, { start, length });
  await mirror.populate(start, start + length, { write: true });
  await mirror.write(start, Uint8Array.of(1, 2, 3));
  const read = Array.from(await space.read(start, 3));
  const { migrated } = await mirror.migrateToDevice(start, start + length);
  await space.write(start, Uint8Array.of(4));
  const pages = (await mirror.snapshot(start, start + length)).map(({ location }) =>
    typeof location === 'object' ? (location?.kind ?? null) : location,
  );
  const range = new HmmRange({
    notifier: await space.insertIntervalNotifier(start, length, { invalidate: () => undefined }),
    start,
    end: start + hmm.pageSize,
    defaultFlags: HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE,
  });
  range.notifierSequence = await range.notifier.readBegin();
  await hmm.rangeFault(range);
  await space.munmap(start, length);
  const events = mirror.takeEvents().map(({ event, sequence }) => [event, sequence]);
  return { read, migrated, pages, valid: range.pfns[0]! >> 62n === 3n, events };
}

async function refusal(call: () => Promise<unknown>): Promise<{ code: string; message: string } | null> {
  try {
    await call();
    return null;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return { code: error instanceof HmmError ? error.code : error.name, message: error.message };
  }
}

/** @param backend undefined: what openHmm() takes by itself */
export async function report(backend?: 'simulation'): Promise<Report> {
  const hmm = await openHmm(backend === undefined ? {} : { backend });
  const { backend: opened, kernelRelease: release, backendReason: reason } = hmm;
  const seen = await memory(hmm, await hmm.createAddressSpace());
  await hmm.close();
  const shards = ['1/2', '2/2'];
  const parts = await Promise.all(
    shards.map(async (shard) => stringifyResult(await explore(driver(false), { shard }))),
  );
  return {
    opened: { backend: opened, release, reason },
    kernel: (await refusal(() => openHmm({ backend: 'kernel', device: '/dev/none' })))!,
    memory: seen,
    explored: {
      right: formatResult(await explore(driver(false))),
      wrong: formatResult(await explore(driver(true))),
      shards: formatResult(mergeResults(parts.map(parseResult))),
    },
    workers: (await refusal(() => exploreInWorkers({ module: 'data:text/javascript,' })))?.message ?? null,
  };
}
