/** On this machine: the simulation's walks beside copying as many entries, and beside the running kernel's own page table file. */
import { HMM_PFN_REQ_FAULT, HMM_PFN_REQ_WRITE, HmmRange, MADV_DONTNEED, openHmm } from '../lib/index.js';
import { bytesInUse, compare, timed, type Comparison } from './measure.js';
import type { Yardstick } from './yardstick.js';

const BASE = 2 ** 40;
const PAGE = 4096;
const GiB = 2 ** 30;
const PAGES = 1 << 18;

/** Two arrays of the length of a range: what filling its entries would cost if they only had to be copied. */
function copying(pages: number, calls: number) {
  const from = new BigUint64Array(pages).fill(1n << 63n);
  const to = new BigUint64Array(pages);
  return () =>
    timed(pages * calls, () => {
      for (let call = 0; call < calls; call++) to.set(from);
    });
}

export async function walks(c: Yardstick, emit: (row: Comparison) => void): Promise<void> {
  await using hmm = await openHmm({ backend: 'simulation' });
  const space = await hmm.createAddressSpace();
  await space.mmap(PAGES * PAGE, { address: BASE });
  await space.run(
    Array.from({ length: PAGES }, (_, page) => ({
      op: 'write' as const,
      address: BASE + page * PAGE,
      bytes: Uint8Array.of(1),
    })),
  );
  const notifier = await space.insertIntervalNotifier(BASE, PAGES * PAGE, { invalidate: () => undefined });
  const sequence = await notifier.readBegin();

  for (const pages of [512, PAGES]) {
    const calls = Math.max(4, Math.round(400_000 / pages));
    for (const [name, defaultFlags, goal] of [
      ['snapshot', 0n, '<= 4'],
      ['fault of present', HMM_PFN_REQ_FAULT, undefined],
    ] as const) {
      const range = new HmmRange({ notifier, start: BASE, end: BASE + pages * PAGE, defaultFlags });
      range.notifierSequence = sequence;
      emit(
        await compare(
          {
            name: `simulation: ${name} of ${pages} present pages`,
            unit: 'ns/page',
            against: 'BigUint64Array.set',
            ...(goal === undefined ? {} : { goal }),
          },
          () =>
            timed(pages * calls, async () => {
              for (let call = 0; call < calls; call++) await hmm.rangeFault(range);
            }),
          copying(pages, calls),
        ),
      );
    }
  }

  const range = new HmmRange({ notifier, start: BASE, end: BASE + PAGES * PAGE });
  range.notifierSequence = sequence;
  emit(
    await compare(
      { name: 'simulation: snapshot', unit: 'ns/page', against: 'pread of /proc/self/pagemap', goal: '<= 0.1' },
      () =>
        timed(PAGES * 4, async () => {
          for (let call = 0; call < 4; call++) await hmm.rangeFault(range);
        }),
      async () => (await c.ask(`pagemap ${PAGES} 1`)) / PAGES,
      9,
    ),
  );

  // Faults for real: each round drops the pages and faults them again.
  for (const [name, defaultFlags] of [
    ['read', HMM_PFN_REQ_FAULT],
    ['write', HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE],
  ] as const) {
    const faulting = new HmmRange({ notifier, start: BASE, end: BASE + PAGES * PAGE, defaultFlags });
    emit(
      await compare(
        { name: `simulation: ${name} fault of none`, unit: 'ns/page', against: 'BigUint64Array.set' },
        async () => {
          await space.madvise(BASE, PAGES * PAGE, MADV_DONTNEED);
          faulting.notifierSequence = await notifier.readBegin();
          return await timed(PAGES, () => hmm.rangeFault(faulting));
        },
        copying(PAGES, 1),
        5,
      ),
    );
  }
}

/** What Linux keeps of a page that is mapped: its entry, and struct page. */
const KERNEL_BYTES = 8 + 64;

/** Memory of a mapped page: its entry in the page table, and what is kept of its frame; and the content, for one that something is stored in. */
export async function memory(): Promise<string> {
  await using hmm = await openHmm({ backend: 'simulation' });
  const space = await hmm.createAddressSpace();
  await space.mmap(PAGES * PAGE, { address: BASE });
  const notifier = await space.insertIntervalNotifier(BASE, PAGES * PAGE, { invalidate: () => undefined });
  const defaultFlags = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE;
  const range = new HmmRange({ notifier, start: BASE, end: BASE + PAGES * PAGE, defaultFlags });
  range.notifierSequence = await notifier.readBegin();
  const before = await bytesInUse();
  await hmm.rangeFault(range);
  const mapped = await bytesInUse();
  const operations = Array.from({ length: PAGES }, (_, page) => ({
    op: 'write' as const,
    address: BASE + page * PAGE,
    bytes: Uint8Array.of(1),
  }));
  const ready = await bytesInUse();
  const failed = (await space.run(operations)).find(({ error }) => error !== undefined);
  const stored = await bytesInUse();
  if (failed !== undefined) throw failed.error!;
  const perPage = (bytes: number): string => (bytes / PAGES).toFixed(0);
  return (
    `simulation: a mapped page takes ${perPage(mapped - before)} bytes (Linux: ${KERNEL_BYTES}, its entry and struct page), ` +
    `and once something is stored in it ${perPage(stored - ready)} more`
  );
}

/** A mapping of 1 TiB with one page touched per GiB: what it takes to make, and to walk a part of it. */
export async function sparse(): Promise<string> {
  const WALKED = 16;
  await using hmm = await openHmm({ backend: 'simulation' });
  const space = await hmm.createAddressSpace();
  const before = await bytesInUse();
  const making = await timed(1e6, async () => {
    await space.mmap(1024 * GiB, { address: BASE });
    for (let at = 0; at < 1024; at++) await space.write(BASE + at * GiB, Uint8Array.of(1));
  });
  const grown = ((await bytesInUse()) - before) / 2 ** 20;
  const notifier = await space.insertIntervalNotifier(BASE, 1024 * GiB, { invalidate: () => undefined });
  const walking = await timed(1e6, async () => {
    for (let at = 0; at < WALKED; at++) {
      const range = new HmmRange({ notifier, start: BASE + at * GiB, end: BASE + (at + 1) * GiB });
      range.notifierSequence = await notifier.readBegin();
      await hmm.rangeFault(range);
    }
  });
  return (
    `simulation: 1 TiB mapped with one page touched per GiB: ${making.toFixed(0)} ms and ${grown.toFixed(1)} MiB; ` +
    `a snapshot of ${WALKED} GiB of it: ${walking.toFixed(0)} ms`
  );
}
