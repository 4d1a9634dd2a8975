/**
 * Pages that a device has for itself: what can be had and what cannot, with every event; what ends it; atomics. Ranges are
 * relative to BASE. A kernel without device-exclusive entries skips these, and says why.
 */
import {
  HMM_PFN_REQ_FAULT,
  HmmRange,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_POPULATE_WRITE,
  MAP_FIXED,
  MAP_PRIVATE,
  PROT_READ,
} from 'node-hmm';
import { describe, expect, it } from 'vitest';
import {
  BASE,
  MiB,
  PAGE,
  RW,
  SHARED,
  byteOf,
  look,
  map,
  needWithout,
  refusalCode,
  refused,
  shown,
  touch,
} from './support.js';
import { cleared, deviceBench, exclusive, migrated, pages, recordOwned, rows, type DeviceBench } from './devices.js';

async function take({ mirror }: DeviceBench, offset: number, length = PAGE): Promise<number> {
  return (await mirror.makeExclusive(BASE + offset, BASE + offset + length)).pages;
}

/** Two written pages, exclusive to the device. */
async function had(b: DeviceBench): Promise<void> {
  await map(b.space, 0, 2 * PAGE);
  await touch(b.space, 0, 2 * PAGE);
  await take(b, 0, 2 * PAGE);
}

it('entries of the device page table do not take exclusive for an order, whoever’s array it is', async (context) => {
  const b = await deviceBench(context, null, 'exclusive');
  await had(b);
  const { pageTable } = b.mirror;
  const shape = (entries: BigUint64Array) => Array.from(entries.subarray(0, 3), (entry) => (entry >> 56n).toString(16));
  // HMM_PFN_VALID | HMM_PFN_WRITE, and no page behind the two. More pages than are asked for at once, too.
  const expected = ['c0', 'c0', '0'];
  for (const count of [3, 1025]) {
    expect(shape(await pageTable.entries(BASE, BASE + count * PAGE))).toEqual(expected);
    expect(shape(await pageTable.entries(BASE, BASE + count * PAGE, new BigUint64Array(count)))).toEqual(expected);
  }
  expect((await pageTable.get(BASE)) >> 56n).toBe(0xc0n);
});

describe('makeExclusive', () => {
  rows(
    null,
    ['exclusive'],
    [
      {
        name: 'written memory: one event a page, with the device as its owner',
        arrange: async (b) => (await map(b.space, 0, 2 * PAGE), await touch(b.space, 0, 2 * PAGE)),
        act: (b) => take(b, 0, 2 * PAGE),
        answer: 2,
        events: ({ device }) => [exclusive(0, 0x1000, device), exclusive(0x1000, 0x2000, device)],
        pages: ['0/X', '0/X'],
      },
      {
        name: 'untouched memory is faulted in for writing first, without an event',
        arrange: (b) => map(b.space, 0, PAGE),
        act: (b) => take(b, 0),
        answer: 1,
        events: ({ device }) => [exclusive(0, 0x1000, device)],
        pages: ['0/X'],
      },
      {
        name: 'all faults come before all that is taken: zero pages',
        arrange: async (b) => (await map(b.space, 0, 2 * PAGE), await look(b.space, 0, 2 * PAGE)),
        act: (b) => take(b, 0, 2 * PAGE),
        answer: 2,
        events: ({ device }) => [
          cleared(0),
          cleared(0x1000),
          exclusive(0, 0x1000, device),
          exclusive(0x1000, 0x2000, device),
        ],
        pages: ['0/X', '0/X'],
      },
      {
        name: 'what is shared with a child is copied first',
        arrange: async (b) => (await map(b.space, 0, PAGE), await touch(b.space, 0), await b.space.fork()),
        act: (b) => take(b, 0),
        answer: 1,
        events: ({ device }) => [cleared(0), exclusive(0, 0x1000, device)],
        pages: ['0/X'],
      },
      {
        name: 'what is exclusive already is given up, and taken again',
        arrange: had,
        act: (b) => take(b, 0),
        answer: 1,
        events: ({ device }) => [exclusive(0, 0x1000, null), exclusive(0, 0x1000, device)],
        pages: ['0/X', '0/X'],
      },
      {
        name: 'shared memory is left out, without an event and without an error',
        arrange: async (b) => (await map(b.space, 0, 2 * PAGE, RW, SHARED), await touch(b.space, 0)),
        act: (b) => take(b, 0, 2 * PAGE),
        answer: 0,
        events: () => [],
        pages: ['VWs/-', 'VWs/-'],
      },
      {
        name: 'a private page of a file is copied, and had',
        arrange: async (b) => {
          const file = await b.space.createFile(PAGE);
          await b.space.mmap(PAGE, { address: BASE, flags: MAP_PRIVATE | MAP_FIXED, file, protection: RW });
          await look(b.space, 0);
        },
        act: (b) => take(b, 0),
        answer: 1,
        events: ({ device }) => [cleared(0), exclusive(0, 0x1000, device)],
        pages: ['0/X'],
      },
      {
        name: 'read-only memory is an error, with what came before it had',
        arrange: async (b) => {
          await map(b.space, 0, 2 * PAGE);
          await touch(b.space, 0, 2 * PAGE);
          await b.space.mprotect(BASE + PAGE, PAGE, PROT_READ);
        },
        act: async (b) => {
          const error = await refused(b.mirror.makeExclusive(BASE, BASE + 2 * PAGE));
          return [error.code, error.address];
        },
        answer: ['EFAULT', BASE + PAGE],
        events: ({ device }) => [exclusive(0, 0x1000, device)],
        pages: ['0/X', 'Vs/-'],
      },
      {
        name: 'so is a hole',
        arrange: (b) => map(b.space, PAGE, PAGE),
        act: async (b) => {
          const error = await refused(b.mirror.makeExclusive(BASE, BASE + 2 * PAGE));
          return [error.code, error.address];
        },
        answer: ['EFAULT', BASE],
        events: () => [],
      },
      {
        name: 'across 2 MiB',
        arrange: async (b) => {
          await map(b.space, 2 * MiB - PAGE, 2 * PAGE);
          await touch(b.space, 2 * MiB - PAGE, 2 * PAGE);
        },
        act: (b) => take(b, 2 * MiB - PAGE, 2 * PAGE),
        answer: 2,
        events: ({ device }) => [exclusive(0x1ff000, 0x200000, device), exclusive(0x200000, 0x201000, device)],
      },
    ],
  );

  it('its own event does not count for the mirror, and empties the entries', async (context) => {
    const b = await deviceBench(context, null, 'exclusive');
    await map(b.space, 0, 2 * PAGE);
    await touch(b.space, 0, 2 * PAGE);
    await b.mirror.populate(BASE, BASE + 2 * PAGE, { write: true });
    const before = await b.mirror.notifier.readBegin();
    expect(await take(b, 0)).toBe(1);
    expect(b.mirror.notifier.readRetry(before)).toBe(false);
    expect(await pages(b.mirror, 0, 2 * PAGE)).toEqual(['0/X', 'VWs/VW']);
    await look(b.space, 0);
    expect(b.mirror.notifier.readRetry(before)).toBe(true);
  });

  it('another mirror of the same device counts it', async (context) => {
    const b = await deviceBench(context, null, 'exclusive');
    await map(b.space, 0, PAGE);
    await touch(b.space, 0);
    const other = await b.space.mirror(b.device, { start: BASE, length: PAGE });
    await other.populate(BASE, BASE + PAGE, { write: true });
    const before = await other.notifier.readBegin();
    await take(b, 0);
    expect(other.notifier.readRetry(before)).toBe(true);
    expect(await pages(other, 0, PAGE)).toEqual(['0/-']);
  });

  it('refuses outside the span, and when the process has gone', async (context) => {
    const b = await deviceBench(context, null, 'exclusive');
    expect(await refusalCode(b.mirror.makeExclusive(BASE - PAGE, BASE))).toBe('EINVAL');
    await b.space.exit();
    expect(await refusalCode(b.mirror.makeExclusive(BASE, BASE + PAGE))).toBe('EFAULT');
  });
});

describe('an exclusive page', () => {
  rows(
    null,
    ['exclusive'],
    [
      {
        name: 'is given up to a read by the CPU, writable as it was',
        arrange: had,
        act: (b) => look(b.space, 0),
        answer: [byteOf(0)],
        events: () => [exclusive(0, 0x1000, null)],
        pages: ['VWs/-', '0/X'],
      },
      {
        name: 'and to a write',
        arrange: had,
        act: (b) => touch(b.space, PAGE),
        events: () => [exclusive(0x1000, 0x2000, null)],
        pages: ['0/X', 'VWs/-'],
      },
      {
        name: 'can be read and written by the device, without an event',
        arrange: had,
        act: async (b) => {
          await b.mirror.write(BASE, Uint8Array.of(42));
          return [...(await b.mirror.read(BASE, 1))];
        },
        answer: [42],
        events: () => [],
        pages: ['0/X', '0/X'],
      },
      {
        name: 'a populate that faults ends it',
        arrange: had,
        act: (b) => b.mirror.populate(BASE, BASE + PAGE),
        answer: { pages: 1, retries: 1 },
        events: () => [exclusive(0, 0x1000, null)],
        pages: ['VWs/VW', '0/X'],
      },
      {
        name: 'a snapshot sees nothing, and lets it be',
        arrange: had,
        act: (b) => b.mirror.populate(BASE, BASE + 2 * PAGE, { snapshot: true }),
        answer: { pages: 2, retries: 0 },
        events: () => [],
        pages: ['0/X', '0/X'],
      },
      {
        name: 'POPULATE_WRITE gives it up',
        arrange: had,
        act: (b) => b.space.madvise(BASE, PAGE, MADV_POPULATE_WRITE),
        events: () => [exclusive(0, 0x1000, null)],
        pages: ['VWs/-', '0/X'],
      },
      {
        name: 'write-protected and permitted again it comes back read-only, and a write needs no copy',
        arrange: async (b) => {
          await had(b);
          await b.space.mprotect(BASE, 2 * PAGE, PROT_READ);
          await b.space.mprotect(BASE, 2 * PAGE, RW);
        },
        act: async (b) => {
          await look(b.space, 0);
          const [first] = await pages(b.mirror, 0, PAGE);
          await touch(b.space, 0);
          return first;
        },
        answer: 'Vs/-',
        events: () => [exclusive(0, 0x1000, null)],
        pages: ['VWs/-', '0/-'],
      },
      {
        name: 'fork restores it on both sides, without an event of its own',
        arrange: had,
        act: (b) => b.space.fork(),
        events: () => [shown('protection-page', BASE, BASE + 2 * PAGE)],
        pages: ['Vs/-', 'Vs/-'],
      },
      {
        name: 'munmap and DONTNEED drop it',
        arrange: had,
        act: async (b) => {
          await b.space.munmap(BASE, PAGE);
          await b.space.madvise(BASE + PAGE, PAGE, MADV_DONTNEED);
          return look(b.space, PAGE);
        },
        answer: [0],
        events: () => [shown('unmap', BASE, BASE + PAGE), cleared(0x1000)],
        pages: ['E/-', 'Vz/-'],
      },
      {
        name: 'MADV_FREE passes over it, but for its event',
        arrange: had,
        act: async (b) => {
          await b.space.madvise(BASE, 2 * PAGE, MADV_FREE);
          return look(b.space, 0);
        },
        answer: [byteOf(0)],
        events: () => [cleared(0, 0x2000), exclusive(0, 0x1000, null)],
        pages: ['VWs/-', '0/-'],
      },
    ],
  );

  it('is faulted back by hmm_range_fault: EBUSY once', async (context) => {
    const b = await deviceBench(context, null, 'exclusive');
    await had(b);
    const notifier = await b.space.insertIntervalNotifier(BASE, PAGE, { invalidate: () => undefined });
    const range = new HmmRange({ notifier, start: BASE, end: BASE + PAGE });
    range.notifierSequence = await notifier.readBegin();
    await b.hmm.rangeFault(range);
    expect(range.pfns[0]).toBe(0n);
    const request = new HmmRange({ notifier, start: BASE, end: BASE + PAGE, defaultFlags: HMM_PFN_REQ_FAULT });
    request.notifierSequence = await notifier.readBegin();
    expect(await refusalCode(b.hmm.rangeFault(request))).toBe('EBUSY');
    request.notifierSequence = await notifier.readBegin();
    await b.hmm.rangeFault(request);
    expect(request.pfns[0]! >> 62n).toBe(3n);
  });

  it('is passed over by a migration, and what migrated can be exclusive only when it is back', async (context) => {
    const b = await deviceBench(context, 'private', 'exclusive');
    await had(b);
    const recorder = await recordOwned(b.space);
    expect(await b.mirror.migrateToDevice(BASE, BASE + PAGE)).toEqual({ migrated: 0 });
    expect(recorder.take()).toEqual([migrated(0, 0x1000, b.device)]);
    await map(b.space, 4 * PAGE, PAGE);
    await touch(b.space, 4 * PAGE);
    await b.mirror.migrateToDevice(BASE + 4 * PAGE, BASE + 5 * PAGE);
    recorder.take();
    expect(await take(b, 4 * PAGE)).toBe(1);
    expect(recorder.take()).toEqual([migrated(0x4000, 0x5000, b.device), exclusive(0x4000, 0x5000, b.device)]);
    expect(await pages(b.mirror, 4 * PAGE, PAGE)).toEqual(['0/X']);
    expect(await look(b.space, 4 * PAGE)).toEqual([byteOf(4 * PAGE)]);
  });

  it('of coherent memory stays where it is', async (context) => {
    const b = await deviceBench(context, 'coherent', 'exclusive');
    await map(b.space, 0, PAGE);
    await touch(b.space, 0);
    await b.mirror.migrateToDevice(BASE, BASE + PAGE);
    const recorder = await recordOwned(b.space);
    expect(await take(b, 0)).toBe(1);
    expect(recorder.take()).toEqual([exclusive(0, 0x1000, b.device)]);
    expect(await look(b.space, 0)).toEqual([byteOf(0)]);
    expect(await pages(b.mirror, 0, PAGE)).toEqual(['VWd/-']);
  });
});

describe('atomicAdd', () => {
  it('adds, and gives what was there; taken once, it needs no event more', async (context) => {
    const b = await deviceBench(context, null, 'exclusive');
    await map(b.space, 0, PAGE);
    await b.space.write(BASE + 8, Uint8Array.of(5, 0, 0, 0, 0, 0, 0, 0, 9));
    const recorder = await recordOwned(b.space);
    expect(await b.mirror.atomicAdd(BASE + 8, 7n)).toBe(5n);
    expect(await b.mirror.atomicAdd(BASE + 8, 1n)).toBe(12n);
    expect(recorder.take()).toEqual([exclusive(0, 0x1000, b.device)]);
    expect([...(await b.space.read(BASE + 8, 9))]).toEqual([13, 0, 0, 0, 0, 0, 0, 0, 9]);
    expect(recorder.take()).toEqual([exclusive(0, 0x1000, null)]);
  });

  it('is modulo 2^64, of unsigned numbers', async (context) => {
    const b = await deviceBench(context, null, 'exclusive');
    await map(b.space, 0, PAGE);
    expect(await b.mirror.atomicAdd(BASE, -1n)).toBe(0n);
    expect(await b.mirror.atomicAdd(BASE, 2n)).toBe(2n ** 64n - 1n);
    expect(await b.mirror.atomicAdd(BASE, 0n)).toBe(1n);
  });

  it('takes again what the CPU took away', async (context) => {
    const b = await deviceBench(context, null, 'exclusive');
    await map(b.space, 0, PAGE);
    for (let round = 0; round < 8; round++) {
      expect(await b.mirror.atomicAdd(BASE, 1n)).toBe(BigInt(2 * round));
      const [value] = await b.space.read(BASE, 1);
      await b.space.write(BASE, Uint8Array.of(value! + 1));
    }
  });

  it('loses nothing while the CPU looks all the time', async (context) => {
    const b = await deviceBench(context, null, 'exclusive');
    await map(b.space, 0, PAGE);
    const adding = Promise.all(Array.from({ length: 32 }, () => b.mirror.atomicAdd(BASE, 1n)));
    const looking = Promise.all(Array.from({ length: 32 }, () => b.space.read(BASE, 8)));
    const seen = (await adding).map(Number).sort((one, other) => one - other);
    await looking;
    expect(seen).toEqual(Array.from({ length: 32 }, (_, index) => index));
    expect((await b.space.read(BASE, 1))[0]).toBe(32);
  });

  it('refuses what it can never have, or may not', async (context) => {
    const b = await deviceBench(context, null, 'exclusive');
    await map(b.space, 0, PAGE, RW, SHARED);
    await map(b.space, PAGE, PAGE, PROT_READ);
    expect(await refusalCode(b.mirror.atomicAdd(BASE, 1n))).toBe('EOPNOTSUPP');
    expect(await refusalCode(b.mirror.atomicAdd(BASE + PAGE, 1n))).toBe('EFAULT');
    expect(await refusalCode(b.mirror.atomicAdd(BASE + 2 * PAGE, 1n))).toBe('EFAULT');
    expect(await refusalCode(b.mirror.atomicAdd(BASE + 4, 1n))).toBe('EINVAL');
    expect(await refusalCode(b.mirror.atomicAdd(BASE - 8, 1n))).toBe('EINVAL');
    await b.space.exit();
    expect(await refusalCode(b.mirror.atomicAdd(BASE, 1n))).toBe('EFAULT');
  });

  it('a kernel that cannot says so', async (context) => {
    const { hmm, space, mirror } = await deviceBench(context, null);
    needWithout(context, hmm, 'exclusive');
    await map(space, 0, PAGE);
    expect(await refusalCode(mirror.makeExclusive(BASE, BASE + PAGE))).toBe('EOPNOTSUPP');
    expect(await refusalCode(mirror.atomicAdd(BASE, 1n))).toBe('EOPNOTSUPP');
  });
});
