/**
 * What happens to memory that is on a device: by the CPU, by the system calls of the process, by fork, by hmm_range_fault; with
 * every event, in order. Ranges are relative to BASE. A kernel without device memory skips these, and says why.
 */
import {
  MADV_DONTNEED,
  MADV_FREE,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MAP_FIXED,
  MAP_SHARED,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_NONE,
  PROT_READ,
  HmmRange,
  HMM_PFN_REQ_FAULT,
  HMM_PFN_REQ_WRITE,
} from 'node-hmm';
import { describe, expect, it } from 'vitest';
import { BASE, MiB, PAGE, pattern, refusalCode, shown } from './support.js';
import {
  RW,
  byteOf,
  cleared,
  deviceBench,
  look,
  map,
  migrated,
  onDevice,
  otherDevice,
  pages,
  recordOwned,
  rows,
  toDevice,
  toSystem,
  touch,
} from './devices.js';

describe('private memory of a device, afterwards:', () => {
  rows(
    'private',
    [],
    [
      {
        name: 'a read by the CPU brings the page back, and only that',
        arrange: onDevice,
        act: (b) => look(b.space, 0),
        answer: [byteOf(0)],
        events: ({ device }) => [migrated(0, 0x1000, device)],
        pages: ['VWs/-', 'VWd/VW'],
      },
      {
        name: 'a write by the CPU too, and needs no copy',
        arrange: onDevice,
        act: (b) => touch(b.space, PAGE),
        events: ({ device }) => [migrated(0x1000, 0x2000, device)],
        pages: ['VWd/VW', 'VWs/-'],
      },
      {
        name: 'what the device wrote is what the CPU reads',
        arrange: async (b) => (await onDevice(b), await b.mirror.write(BASE + 100, pattern(PAGE))),
        act: async (b) => [...(await b.space.read(BASE + 100, PAGE))],
        answer: [...pattern(PAGE)],
        events: ({ device }) => [migrated(0, 0x1000, device), migrated(0x1000, 0x2000, device)],
        pages: ['VWs/-', 'VWs/-'],
      },
      {
        name: 'accesses by the device are none',
        arrange: onDevice,
        act: async (b) => (await b.mirror.write(BASE, pattern(2 * PAGE)), await b.mirror.read(BASE, 2 * PAGE)),
        answer: pattern(2 * PAGE),
        events: () => [],
        pages: ['VWd/VW', 'VWd/VW'],
      },
      {
        name: 'populate takes it as it is',
        arrange: onDevice,
        act: (b) => b.mirror.populate(BASE, BASE + 2 * PAGE, { write: true }),
        answer: { pages: 2, retries: 0 },
        events: () => [],
        pages: ['VWd/VW', 'VWd/VW'],
      },
      {
        name: 'a populate that has to fault the page before it faults it too: it comes back',
        arrange: async (b) => {
          await map(b.space, 0, 2 * PAGE);
          await touch(b.space, PAGE);
          await toDevice(b, PAGE);
        },
        act: (b) => b.mirror.populate(BASE, BASE + 2 * PAGE),
        answer: { pages: 2, retries: 1 },
        events: ({ device }) => [migrated(0x1000, 0x2000, device)],
        pages: ['Vz/V', 'VWs/VW'],
      },
      {
        name: 'munmap and DONTNEED drop it, with their own events only',
        arrange: onDevice,
        act: async (b) => {
          await b.space.munmap(BASE, PAGE);
          await b.space.madvise(BASE + PAGE, PAGE, MADV_DONTNEED);
        },
        events: () => [shown('unmap', BASE, BASE + PAGE), cleared(0x1000)],
        pages: ['E/-', '0/-'],
      },
      {
        name: 'MADV_FREE passes over it, but for its event',
        arrange: onDevice,
        act: (b) => b.space.madvise(BASE, 2 * PAGE, MADV_FREE),
        events: () => [cleared(0, 0x2000)],
        pages: ['VWd/-', 'VWd/-'],
      },
      {
        name: 'mremap moves it as it is',
        arrange: onDevice,
        act: (b) =>
          b.space.mremap(BASE, 2 * PAGE, 2 * PAGE, {
            flags: MREMAP_MAYMOVE | MREMAP_FIXED,
            newAddress: BASE + 4 * PAGE,
          }),
        events: () => [shown('unmap', BASE, BASE + 2 * PAGE), shown('unmap', BASE, BASE + 2 * PAGE)],
        pages: ['E/-', 'E/-', 'E/-', 'E/-', 'VWd/-', 'VWd/-'],
      },
      {
        name: 'the reverse map finds it where it was moved to',
        arrange: async (b) => {
          await onDevice(b);
          await b.space.mremap(BASE, 2 * PAGE, 2 * PAGE, {
            flags: MREMAP_MAYMOVE | MREMAP_FIXED,
            newAddress: BASE + 4 * PAGE,
          });
        },
        act: (b) => b.device.evict(),
        answer: { migrated: 2 },
        events: () => [cleared(0x4000), cleared(0x5000)],
        pages: ['E/-', 'E/-', 'E/-', 'E/-', 'VWs/-', 'VWs/-'],
      },
      {
        name: 'write-protected and permitted again it stays read-only',
        arrange: async (b) => (await onDevice(b), await b.space.mprotect(BASE, 2 * PAGE, PROT_READ)),
        act: (b) => b.space.mprotect(BASE, 2 * PAGE, RW),
        events: () => [shown('protection-vma', BASE, BASE + 2 * PAGE)],
        pages: ['Vd/-', 'Vd/-'],
      },
      {
        name: '... until the CPU writes: it comes back read-only and exclusive, so that no copy is needed',
        arrange: async (b) => {
          await onDevice(b);
          await b.space.mprotect(BASE, 2 * PAGE, PROT_READ);
          await b.space.mprotect(BASE, 2 * PAGE, RW);
        },
        act: (b) => touch(b.space, 0),
        events: ({ device }) => [migrated(0, 0x1000, device)],
        pages: ['VWs/-', 'Vd/-'],
      },
      {
        name: '... or only reads: read-only',
        arrange: async (b) => {
          await onDevice(b);
          await b.space.mprotect(BASE, 2 * PAGE, PROT_READ);
          await b.space.mprotect(BASE, 2 * PAGE, RW);
        },
        act: (b) => look(b.space, 0),
        events: ({ device }) => [migrated(0, 0x1000, device)],
        pages: ['Vs/-', 'Vd/-'],
      },
      {
        name: 'under PROT_NONE it stays, and cannot be accessed',
        arrange: async (b) => (await onDevice(b), await b.space.mprotect(BASE, PAGE, PROT_NONE)),
        act: (b) => refusalCode(b.space.read(BASE, 1)),
        answer: 'EFAULT',
        events: () => [],
        pages: ['E/-', 'VWd/VW'],
      },
      {
        name: 'POPULATE_READ and POPULATE_WRITE bring it back',
        arrange: onDevice,
        act: async (b) => {
          await b.space.madvise(BASE, PAGE, MADV_POPULATE_READ);
          await b.space.madvise(BASE + PAGE, PAGE, MADV_POPULATE_WRITE);
        },
        events: ({ device }) => [migrated(0, 0x1000, device), migrated(0x1000, 0x2000, device)],
        pages: ['VWs/-', 'VWs/-'],
      },
    ],
  );
});

describe('private memory of a device, after a fork:', () => {
  rows(
    'private',
    [],
    [
      {
        name: 'the fork makes it read-only, with the event that every fork has',
        arrange: onDevice,
        act: (b) => b.space.fork(),
        events: () => [shown('protection-page', BASE, BASE + 2 * PAGE)],
        pages: ['Vd/-', 'Vd/-'],
      },
      {
        name: 'a read by the parent brings it back in both',
        arrange: async (b) => (await onDevice(b), await b.space.fork()),
        act: (b) => look(b.space, 0),
        answer: [byteOf(0)],
        events: ({ device }) => [migrated(0, 0x1000, device), cleared(0)],
        pages: ['Vs/-', 'Vd/-'],
      },
      {
        name: 'a write by the parent copies it then',
        arrange: async (b) => (await onDevice(b), await b.space.fork()),
        act: (b) => touch(b.space, 0),
        events: ({ device }) => [migrated(0, 0x1000, device), cleared(0), cleared(0)],
        pages: ['VWs/-', 'Vd/-'],
      },
      {
        name: 'an access by the child shows as CLEAR in the parent',
        arrange: onDevice,
        act: async (b) => look(await b.space.fork(), 0),
        answer: [byteOf(0)],
        events: () => [shown('protection-page', BASE, BASE + 2 * PAGE), cleared(0)],
        pages: ['Vs/-', 'Vd/-'],
      },
      {
        name: 'the device may not write it any more, and does not get it by a fault',
        arrange: async (b) => (await onDevice(b), await b.space.fork()),
        act: (b) => refusalCode(b.mirror.write(BASE, pattern(8))),
        answer: 'EFAULT',
        events: () => [],
        pages: ['Vd/-', 'Vd/-'],
      },
      {
        name: 'it can be read by the device, of both processes',
        arrange: async (b) => (await onDevice(b), await b.space.fork()),
        act: async (b) => (await b.mirror.read(BASE, 1))[0],
        answer: byteOf(0),
        events: () => [],
        pages: ['Vd/V', 'Vd/-'],
      },
      {
        name: 'it goes with the last of the two',
        arrange: onDevice,
        act: async (b) => {
          const child = await b.space.fork();
          const before = await b.device.usage();
          await b.space.munmap(BASE, 2 * PAGE);
          const between = await b.device.usage();
          await child.exit();
          return [before - between, before - (await b.device.usage())];
        },
        answer: [0, 2],
        events: () => [shown('protection-page', BASE, BASE + 2 * PAGE), shown('unmap', BASE, BASE + 2 * PAGE)],
      },
    ],
  );

  it('both processes see the same bytes, whoever comes first', async (context) => {
    for (const first of ['parent', 'child']) {
      const b = await deviceBench(context, 'private');
      await onDevice(b);
      const child = await b.space.fork();
      const [one, other] = first === 'parent' ? [b.space, child] : [child, b.space];
      await one.write(BASE, Uint8Array.of(77));
      expect([(await one.read(BASE, 1))[0], (await other.read(BASE, 1))[0]]).toEqual([77, byteOf(0)]);
      expect(await look(other, PAGE)).toEqual([byteOf(PAGE)]);
    }
  });

  it('a closed process leaves nothing on the device, though a child still maps it', async (context) => {
    const b = await deviceBench(context, 'private');
    const before = await b.device.usage();
    await onDevice(b);
    const child = await b.space.fork();
    const recorder = await recordOwned(child);
    await b.space[Symbol.asyncDispose]();
    expect(await b.device.usage()).toBe(before);
    expect(recorder.take()).toEqual([cleared(0), cleared(0x1000)]);
    expect(await look(child, 0, 2 * PAGE)).toEqual([byteOf(0), byteOf(PAGE)]);
    expect(recorder.take()).toEqual([]);
  });
});

describe('coherent memory of a device', () => {
  rows(
    'coherent',
    [],
    [
      {
        name: 'is present to the CPU, and moving there has the same events',
        arrange: async (b) => (await map(b.space, 0, 3 * PAGE), await touch(b.space, 0, 2 * PAGE)),
        act: (b) => toDevice(b, 0, 3 * PAGE),
        answer: 3,
        events: ({ device }) => [migrated(0, 0x3000, device), migrated(0x2000, 0x3000, device)],
        pages: ['VWd/VW', 'VWd/VW', 'VWd/VW'],
      },
      {
        name: 'an access by the CPU is no fault',
        arrange: onDevice,
        act: async (b) => [await look(b.space, 0), await touch(b.space, PAGE)],
        answer: [[byteOf(0)], undefined],
        events: () => [],
        pages: ['VWd/VW', 'VWd/VW'],
      },
      {
        name: 'goes back when it is told to',
        arrange: onDevice,
        act: async (b) => [await toSystem(b, 0, 2 * PAGE), await look(b.space, 0, 2 * PAGE)],
        answer: [2, [byteOf(0), byteOf(PAGE)]],
        events: ({ device }) => [migrated(0, 0x2000, device)],
        pages: ['VWs/-', 'VWs/-'],
      },
      {
        name: 'after a fork it is copied on writing, into system memory',
        arrange: async (b) => (await onDevice(b), await b.space.fork()),
        act: (b) => touch(b.space, 0),
        events: () => [cleared(0)],
        pages: ['VWs/-', 'Vd/-'],
      },
      {
        name: 'the device can have a copy too',
        arrange: async (b) => (await onDevice(b), await b.space.fork()),
        act: async (b) => (await b.mirror.write(BASE, pattern(8)), await look(b.space, PAGE)),
        answer: [byteOf(PAGE)],
        events: () => [cleared(0)],
        pages: ['VWs/VW', 'Vd/-'],
      },
      {
        name: 'mprotect works on it as on any page',
        arrange: onDevice,
        act: async (b) => {
          await b.space.mprotect(BASE, 2 * PAGE, PROT_READ);
          return pages(b.mirror, 0, PAGE);
        },
        answer: ['Vd/-'],
        events: () => [shown('protection-vma', BASE, BASE + 2 * PAGE)],
      },
      {
        name: 'MADV_FREE passes over it',
        arrange: onDevice,
        act: (b) => b.space.madvise(BASE, 2 * PAGE, MADV_FREE),
        events: () => [cleared(0, 0x2000)],
        pages: ['VWd/-', 'VWd/-'],
      },
      {
        name: 'is passed over by another device',
        arrange: onDevice,
        act: async (b) => {
          const other = await b.space.mirror(otherDevice(b), { start: BASE, length: MiB });
          const { migrated: moved } = await other.migrateToDevice(BASE, BASE + 2 * PAGE);
          return [moved, (await other.migrateToSystem(BASE, BASE + 2 * PAGE)).migrated, await pages(other, 0, PAGE)];
        },
        answer: [0, 0, ['VWo/-']],
        events: (b) => [migrated(0, 0x2000, otherDevice(b)), migrated(0, 0x2000, otherDevice(b))],
        pages: ['VWd/-', 'VWd/-'],
      },
      {
        name: 'is evicted with CLEAR',
        arrange: onDevice,
        act: (b) => b.device.evict(),
        answer: { migrated: 2 },
        events: () => [cleared(0), cleared(0x1000)],
        pages: ['VWs/-', 'VWs/-'],
      },
      {
        name: 'shared memory does not go there either',
        arrange: async (b) => {
          const file = await b.space.createFile(PAGE);
          await b.space.mmap(PAGE, { address: BASE, flags: MAP_SHARED | MAP_FIXED, file, protection: RW });
          await touch(b.space, 0);
        },
        act: (b) => toDevice(b, 0),
        answer: 0,
        events: ({ device }) => [migrated(0, 0x1000, device)],
        pages: ['VWs/VW'],
      },
    ],
  );
});

describe('hmm_range_fault over private memory of a device', () => {
  const table = [
    { what: 'its owner’s snapshot', own: true, flags: 0n, pfns: 'VW', code: 'ok', moves: false },
    {
      what: 'its owner’s write request',
      own: true,
      flags: HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE,
      pfns: 'VW',
      code: 'ok',
      moves: false,
    },
    { what: 'another’s snapshot', own: false, flags: 0n, pfns: '0', code: 'ok', moves: false },
    { what: 'another’s request', own: false, flags: HMM_PFN_REQ_FAULT, pfns: 'VW', code: 'EBUSY', moves: true },
  ];
  for (const { what, own, flags, pfns, code, moves } of table) {
    it(what, async (context) => {
      const b = await deviceBench(context, 'private');
      await onDevice(b);
      const recorder = await recordOwned(b.space);
      const notifier = await b.space.insertIntervalNotifier(BASE, PAGE, { invalidate: () => undefined });
      const devPrivateOwner = own ? b.device : null;
      const range = new HmmRange({ notifier, start: BASE, end: BASE + PAGE, defaultFlags: flags, devPrivateOwner });
      const attempt = async (): Promise<string> => {
        range.notifierSequence = await notifier.readBegin();
        return await b.hmm.rangeFault(range).then(
          () => 'ok',
          (error: { code: string }) => error.code,
        );
      };
      expect(await attempt()).toBe(code);
      expect(recorder.take()).toEqual(moves ? [migrated(0, 0x1000, b.device)] : []);
      if (code !== 'ok') expect(await attempt()).toBe('ok');
      const [pfn] = range.pfns;
      expect(`${pfn! >> 63n ? 'V' : ''}${(pfn! >> 62n) & 1n ? 'W' : ''}` || '0').toBe(pfns);
    });
  }

  it('a read-only entry of the owner’s answers a write request with success, and no permission', async (context) => {
    const b = await deviceBench(context, 'private');
    await map(b.space, 0, PAGE);
    await touch(b.space, 0);
    await toDevice(b, 0);
    await b.space.fork();
    const notifier = await b.space.insertIntervalNotifier(BASE, PAGE, { invalidate: () => undefined });
    const defaultFlags = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE;
    const range = new HmmRange({ notifier, start: BASE, end: BASE + PAGE, defaultFlags, devPrivateOwner: b.device });
    range.notifierSequence = await notifier.readBegin();
    await b.hmm.rangeFault(range);
    expect(range.pfns[0]! >> 62n).toBe(2n);
  });

  it('a driver with a page table of its own reaches it by the entries that the walk answered', async (context) => {
    const b = await deviceBench(context, 'private');
    await onDevice(b, 1);
    const notifier = await b.space.insertIntervalNotifier(BASE, PAGE, { invalidate: () => undefined });
    const range = new HmmRange({ notifier, start: BASE, end: BASE + PAGE, devPrivateOwner: b.device });
    range.notifierSequence = await notifier.readBegin();
    await b.hmm.rangeFault(range);
    await b.device.write(b.space, BASE + 8, Uint8Array.of(9), range.pfns);
    expect([...(await b.device.read(b.space, BASE + 8, 1, range.pfns))]).toEqual([9]);
    expect(await refusalCode(otherDevice(b).read(b.space, BASE, 1, range.pfns))).toBe('ESTALE');
    expect([...(await b.space.read(BASE + 8, 1))]).toEqual([9]);
    expect(await refusalCode(b.device.read(b.space, BASE, 1, range.pfns))).toBe('ESTALE');
  });
});
