/**
 * Memory of devices: what migrates there and what does not, and the way back; with every event, in order. Ranges are relative
 * to BASE. A kernel without device memory skips these, and says why.
 */
import { MADV_DONTNEED, MAP_FIXED, MAP_PRIVATE, PROT_READ } from 'node-hmm';
import { describe, expect, it } from 'vitest';
import {
  BASE,
  GiB,
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
  touch,
} from './support.js';
import {
  cleared,
  deviceBench,
  migrated,
  onDevice,
  otherDevice,
  pages,
  recordOwned,
  rows,
  toDevice,
  toSystem,
} from './devices.js';

describe('migrateToDevice', () => {
  rows(
    'private',
    [],
    [
      {
        name: 'untouched anonymous memory: two events, of collecting and of inserting',
        arrange: (b) => map(b.space, 0, 4 * PAGE),
        act: (b) => toDevice(b, 0, 4 * PAGE),
        answer: 4,
        events: ({ device }) => [migrated(0, 0x4000, device), migrated(0, 0x4000, device)],
        pages: ['VWd/VW', 'VWd/VW', 'VWd/VW', 'VWd/VW'],
      },
      {
        name: 'zero pages: the same',
        arrange: async (b) => (await map(b.space, 0, 2 * PAGE), await look(b.space, 0, 2 * PAGE)),
        act: (b) => toDevice(b, 0, 2 * PAGE),
        answer: 2,
        events: ({ device }) => [migrated(0, 0x2000, device), migrated(0, 0x2000, device)],
        pages: ['VWd/VW', 'VWd/VW'],
      },
      {
        name: 'written memory: one event, and the bytes move along',
        arrange: async (b) => (await map(b.space, 0, 3 * PAGE), await touch(b.space, 0, 3 * PAGE)),
        act: async (b) => [await toDevice(b, 0, 3 * PAGE), [...(await b.mirror.read(BASE + 2 * PAGE, 2))]],
        answer: [3, [byteOf(2 * PAGE), 0]],
        events: ({ device }) => [migrated(0, 0x3000, device)],
        pages: ['VWd/VW', 'VWd/VW', 'VWd/VW'],
      },
      {
        name: 'the event of inserting begins at the first page that was not there',
        arrange: async (b) => {
          await map(b.space, 0, 4 * PAGE);
          await touch(b.space, 0);
          await touch(b.space, 3 * PAGE);
        },
        act: (b) => toDevice(b, 0, 4 * PAGE),
        answer: 4,
        events: ({ device }) => [migrated(0, 0x4000, device), migrated(0x1000, 0x4000, device)],
        pages: ['VWd/VW', 'VWd/VW', 'VWd/VW', 'VWd/VW'],
      },
      {
        name: 'untouched read-only memory: read-only on the device',
        arrange: (b) => map(b.space, 0, 2 * PAGE, PROT_READ),
        act: (b) => toDevice(b, 0, 2 * PAGE),
        answer: 2,
        events: ({ device }) => [migrated(0, 0x2000, device), migrated(0, 0x2000, device)],
        pages: ['Vd/V', 'Vd/V'],
      },
      {
        name: 'pages that were write-protected when collected are read-only on the device',
        arrange: async (b) => {
          await map(b.space, 0, 2 * PAGE);
          await touch(b.space, 0, 2 * PAGE);
          await b.space.mprotect(BASE, 2 * PAGE, PROT_READ);
        },
        act: (b) => toDevice(b, 0, 2 * PAGE),
        answer: 2,
        events: ({ device }) => [migrated(0, 0x2000, device)],
        pages: ['Vd/V', 'Vd/V'],
      },
      {
        name: 'shared anonymous memory is collected, and stays',
        arrange: async (b) => (await map(b.space, 0, 3 * PAGE, RW, SHARED), await touch(b.space, 0, 2 * PAGE)),
        act: (b) => toDevice(b, 0, 3 * PAGE),
        answer: 0,
        events: ({ device }) => [migrated(0, 0x3000, device)],
        pages: ['VWs/VW', 'VWs/VW', '0/-'],
      },
      {
        name: 'of a private file mapping only what was copied on writing moves',
        arrange: async (b) => {
          const file = await b.space.createFile(4 * PAGE);
          await b.space.mmap(3 * PAGE, { address: BASE, flags: MAP_PRIVATE | MAP_FIXED, file, protection: RW });
          await touch(b.space, PAGE);
          await look(b.space, 0);
        },
        act: (b) => toDevice(b, 0, 3 * PAGE),
        answer: 1,
        events: ({ device }) => [migrated(0, 0x3000, device)],
        pages: ['Vs/V', 'VWd/VW', '0/-'],
      },
      {
        name: 'a page of a file that another process maps too: CLEAR there and here, although it stays',
        arrange: async (b) => {
          await map(b.space, 0, PAGE, RW, SHARED);
          await touch(b.space, 0);
          await look(await b.space.fork(), 0);
        },
        act: (b) => toDevice(b, 0),
        answer: 0,
        events: ({ device }) => [migrated(0, 0x1000, device), cleared(0)],
        pages: ['VWs/VW'],
      },
      {
        name: 'VMA by VMA',
        arrange: async (b) => {
          await map(b.space, 0, 2 * PAGE);
          await map(b.space, 2 * PAGE, 2 * PAGE, PROT_READ);
          await touch(b.space, 0, 2 * PAGE);
        },
        act: (b) => toDevice(b, 0, 4 * PAGE),
        answer: 4,
        events: ({ device }) => [
          migrated(0, 0x2000, device),
          migrated(0x2000, 0x4000, device),
          migrated(0x2000, 0x4000, device),
        ],
        pages: ['VWd/VW', 'VWd/VW', 'Vd/V', 'Vd/V'],
      },
      {
        name: 'in parts of 2 MiB',
        arrange: async (b) => {
          await map(b.space, 2 * MiB - PAGE, 2 * PAGE);
          await touch(b.space, 2 * MiB - PAGE, 2 * PAGE);
        },
        act: (b) => toDevice(b, 2 * MiB - PAGE, 2 * PAGE),
        answer: 2,
        events: ({ device }) => [migrated(0x1ff000, 0x200000, device), migrated(0x200000, 0x201000, device)],
      },
      {
        name: 'what is there already is passed over',
        arrange: async (b) => (await map(b.space, 0, 2 * PAGE), await toDevice(b, 0)),
        act: (b) => toDevice(b, 0, 2 * PAGE),
        answer: 1,
        events: ({ device }) => [migrated(0, 0x2000, device), migrated(0x1000, 0x2000, device)],
        pages: ['VWd/VW', 'VWd/VW'],
      },
      {
        name: 'another device’s private memory is passed over',
        arrange: async (b) => {
          await map(b.space, 0, 2 * PAGE);
          await touch(b.space, 0, 2 * PAGE);
          const other = await b.space.mirror(otherDevice(b), { start: BASE, length: MiB });
          await other.migrateToDevice(BASE, BASE + PAGE);
        },
        act: (b) => toDevice(b, 0, 2 * PAGE),
        answer: 1,
        events: ({ device }) => [migrated(0, 0x2000, device)],
        pages: ['0/-', 'VWd/VW'],
      },
      {
        name: 'after a fork the page moves in both processes, with a CLEAR for each, the caller included',
        arrange: async (b) => {
          await map(b.space, 0, 2 * PAGE);
          await touch(b.space, 0, 2 * PAGE);
          await b.space.fork();
        },
        act: (b) => toDevice(b, 0, 2 * PAGE),
        answer: 2,
        events: ({ device }) => [migrated(0, 0x2000, device), cleared(0), cleared(0x1000)],
        pages: ['Vd/V', 'Vd/V'],
      },
      {
        name: 'after a fork whose child has gone it is one process’s page',
        arrange: async (b) => {
          await map(b.space, 0, PAGE);
          await touch(b.space, 0);
          await (await b.space.fork()).exit();
        },
        act: (b) => toDevice(b, 0),
        answer: 1,
        events: ({ device }) => [migrated(0, 0x1000, device)],
        pages: ['Vd/V'],
      },
    ],
  );

  it('the other process sees its part of a migration', async (context) => {
    const b = await deviceBench(context, 'private');
    await map(b.space, 0, 2 * PAGE);
    await touch(b.space, 0, 2 * PAGE);
    const child = await b.space.fork();
    const recorder = await recordOwned(child);
    const mirror = await child.mirror(b.device, { start: BASE, length: MiB });
    expect(await toDevice(b, 0, 2 * PAGE)).toBe(2);
    expect(recorder.take()).toEqual([cleared(0), cleared(0x1000)]);
    expect(await pages(mirror, 0, 2 * PAGE)).toEqual(['Vd/-', 'Vd/-']);
    expect(await look(child, 0, 2 * PAGE)).toEqual([byteOf(0), byteOf(PAGE)]);
  });

  it('refuses at a hole, and tells what it did before', async (context) => {
    const b = await deviceBench(context, 'private');
    await map(b.space, 0, 2 * PAGE);
    await map(b.space, 3 * PAGE, PAGE);
    const error = await refused(b.mirror.migrateToDevice(BASE, BASE + 4 * PAGE));
    expect([error.code, error.address, error.done]).toEqual(['EFAULT', BASE + 2 * PAGE, 2]);
    expect(await pages(b.mirror, 0, 4 * PAGE)).toEqual(['VWd/VW', 'VWd/VW', 'E/-', '0/-']);
    expect(await refusalCode(b.mirror.migrateToDevice(BASE, BASE + 2 * GiB))).toBe('EINVAL');
    await b.space.exit();
    expect(await refusalCode(b.mirror.migrateToDevice(BASE, BASE + PAGE))).toBe('EFAULT');
  });

  it('counts what a device holds, and gives it back', async (context) => {
    const b = await deviceBench(context, 'private');
    const before = await b.device.usage();
    await map(b.space, 0, 16 * PAGE);
    await toDevice(b, 0, 16 * PAGE);
    expect(await b.device.usage()).toBe(before + 16);
    await b.space.munmap(BASE, 4 * PAGE);
    expect(await b.device.usage()).toBe(before + 12);
    await b.space.madvise(BASE + 4 * PAGE, 4 * PAGE, MADV_DONTNEED);
    expect(await b.device.usage()).toBe(before + 8);
    await look(b.space, 8 * PAGE, 4 * PAGE);
    expect(await b.device.usage()).toBe(before + 4);
    await b.space.exit();
    expect(await b.device.usage()).toBe(before);
  });

  it('a device that is full takes what it has room for, from the start of the range on', async (context) => {
    const b = await deviceBench(context, 'private');
    const room = b.device.capacity - (await b.device.usage());
    const length = (room + 64) * PAGE;
    await map(b.space, 0, length);
    expect(await toDevice(b, 0, length)).toBe(room);
    expect(await b.device.usage()).toBe(b.device.capacity);
    expect(await pages(b.mirror, (room - 1) * PAGE, 2 * PAGE)).toEqual(['VWd/VW', '0/-']);
    await touch(b.space, length - PAGE);
    expect(await toDevice(b, length - PAGE)).toBe(0);
    expect(await pages(b.mirror, length - PAGE, PAGE)).toEqual(['VWs/VW']);
    expect(await toSystem(b, 0, length)).toBe(room);
    expect(await b.device.usage()).toBe(b.device.capacity - room);
  });

  it('a device without memory refuses', async (context) => {
    const b = await deviceBench(context, null);
    needWithout(context, b.hmm, 'devicePrivate');
    const none = b.hmm.devices.find(({ kind }) => kind === 'none')!;
    const mirror = await b.space.mirror(none, { start: BASE + GiB, length: PAGE });
    await map(b.space, GiB, PAGE);
    expect(await refusalCode(mirror.migrateToDevice(BASE + GiB, BASE + GiB + PAGE))).toBe('EOPNOTSUPP');
    expect(await refusalCode(mirror.migrateToSystem(BASE + GiB, BASE + GiB + PAGE))).toBe('EOPNOTSUPP');
    expect(await refusalCode(none.evict())).toBe('EOPNOTSUPP');
    expect(await none.usage()).toBe(0);
  });
});

describe('migrateToSystem', () => {
  rows(
    'private',
    [],
    [
      {
        name: 'takes back what is the device’s, and no more',
        arrange: async (b) => {
          await map(b.space, 0, 4 * PAGE);
          await touch(b.space, 0, 3 * PAGE);
          await toDevice(b, PAGE, 2 * PAGE);
        },
        act: (b) => toSystem(b, 0, 4 * PAGE),
        answer: 2,
        events: ({ device }) => [migrated(0, 0x4000, device)],
        pages: ['VWs/-', 'VWs/-', 'VWs/-', '0/-'],
      },
      {
        name: 'read-only comes back read-only',
        arrange: async (b) => (await map(b.space, 0, PAGE, PROT_READ), await toDevice(b, 0)),
        act: (b) => toSystem(b, 0),
        answer: 1,
        events: ({ device }) => [migrated(0, 0x1000, device)],
        pages: ['Vs/-'],
      },
      {
        name: 'after a fork it comes back in both',
        arrange: async (b) => (await onDevice(b), await b.space.fork()),
        act: (b) => toSystem(b, 0, 2 * PAGE),
        answer: 2,
        events: ({ device }) => [migrated(0, 0x2000, device), cleared(0), cleared(0x1000)],
        pages: ['Vs/-', 'Vs/-'],
      },
      {
        name: 'nothing there: the event all the same',
        arrange: (b) => map(b.space, 0, PAGE),
        act: (b) => toSystem(b, 0),
        answer: 0,
        events: ({ device }) => [migrated(0, 0x1000, device)],
        pages: ['0/-'],
      },
    ],
  );

  it('leaves another device’s memory alone', async (context) => {
    const b = await deviceBench(context, 'private');
    await onDevice(b);
    const other = await b.space.mirror(otherDevice(b), { start: BASE, length: MiB });
    expect(await other.migrateToSystem(BASE, BASE + 2 * PAGE)).toEqual({ migrated: 0 });
    // To the other device it is not there; its own sees it, though its entries went with the event.
    expect(await pages(other, 0, PAGE)).toEqual(['0/-']);
    expect(await pages(b.mirror, 0, PAGE)).toEqual(['VWd/-']);
  });

  it('refuses at a hole', async (context) => {
    const b = await deviceBench(context, 'private');
    await onDevice(b);
    const error = await refused(b.mirror.migrateToSystem(BASE, BASE + 3 * PAGE));
    expect([error.code, error.address, error.done]).toEqual(['EFAULT', BASE + 2 * PAGE, 2]);
  });
});

describe('two devices', () => {
  it('a page goes from one to the other by way of a fault', async (context) => {
    const b = await deviceBench(context, 'private');
    await onDevice(b);
    const other = await b.space.mirror(otherDevice(b), { start: BASE, length: MiB });
    const recorder = await recordOwned(b.space);
    expect((await other.read(BASE, 1))[0]).toBe(byteOf(0));
    expect(recorder.take()).toEqual([migrated(0, 0x1000, b.device)]);
    expect(await other.migrateToDevice(BASE, BASE + PAGE)).toEqual({ migrated: 1 });
    expect(recorder.take()).toEqual([migrated(0, 0x1000, other.device)]);
    expect(await pages(other, 0, 2 * PAGE)).toEqual(['VWd/VW', '0/-']);
    expect(await pages(b.mirror, 0, 2 * PAGE)).toEqual(['0/-', 'VWd/VW']);
  });

  it('fight for a range: every page ends where one of them has it, with its bytes', async (context) => {
    const b = await deviceBench(context, 'private');
    await map(b.space, 0, 64 * PAGE);
    await touch(b.space, 0, 64 * PAGE);
    const other = await b.space.mirror(otherDevice(b), { start: BASE, length: MiB });
    const end = BASE + 64 * PAGE;
    for (let round = 0; round < 4; round++) {
      const [first, second] = await Promise.all([
        b.mirror.migrateToDevice(BASE, end),
        other.migrateToDevice(BASE, end),
        look(b.space, 16 * PAGE, 16 * PAGE),
      ]);
      expect(first.migrated + second.migrated).toBeLessThanOrEqual(64 + 16);
    }
    expect(await look(b.space, 0, 64 * PAGE)).toEqual(Array.from({ length: 64 }, (_, page) => byteOf(page * PAGE)));
    expect(await b.mirror.migrateToSystem(BASE, end)).toEqual({ migrated: 0 });
  });
});

describe('evict', () => {
  rows(
    'private',
    [],
    [
      {
        name: 'moves everything back with CLEAR alone, page by page',
        arrange: (b) => onDevice(b, 3),
        act: (b) => b.device.evict(),
        answer: { migrated: 3 },
        events: () => [cleared(0), cleared(0x1000), cleared(0x2000)],
        pages: ['VWs/-', 'VWs/-', 'VWs/-'],
      },
      {
        name: 'of shared pages in every process',
        arrange: async (b) => (await onDevice(b), await b.space.fork()),
        act: (b) => b.device.evict(),
        answer: { migrated: 2 },
        events: () => [cleared(0), cleared(0x1000)],
        pages: ['Vs/-', 'Vs/-'],
      },
      {
        name: 'of nothing is nothing',
        arrange: (b) => map(b.space, 0, PAGE),
        act: (b) => b.device.evict(),
        answer: { migrated: 0 },
        events: () => [],
      },
    ],
  );

  it('of several processes at once', async (context) => {
    const b = await deviceBench(context, 'private');
    await onDevice(b);
    const space = await b.hmm.createAddressSpace();
    await map(space, 0, PAGE);
    const mirror = await space.mirror(b.device, { start: BASE, length: PAGE });
    await mirror.migrateToDevice(BASE, BASE + PAGE);
    expect(await b.device.evict()).toEqual({ migrated: 3 });
    expect(await b.device.usage()).toBe(0);
    expect([await pages(b.mirror, 0, PAGE), await pages(mirror, 0, PAGE)]).toEqual([['VWs/-'], ['VWs/-']]);
  });
});
