/**
 * Coherent memory of a device: what happens to it by the CPU and by the system calls of the process; with every event,
 * in order. Ranges are relative to BASE. A kernel without such memory skips these, and says why.
 */
import { MADV_FREE, MAP_FIXED, MAP_SHARED, PROT_READ } from 'node-hmm';
import { describe } from 'vitest';
import { BASE, MiB, PAGE, RW, byteOf, look, map, pattern, shown, touch } from './support.js';
import { cleared, migrated, onDevice, otherDevice, pages, rows, toDevice, toSystem } from './devices.js';

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
