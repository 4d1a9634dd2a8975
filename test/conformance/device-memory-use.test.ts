/**
 * What happens to private memory of a device by the CPU and by the system calls of the process; with every event,
 * in order. Ranges are relative to BASE. A kernel without such memory skips these, and says why.
 */
import {
  MADV_DONTNEED,
  MADV_FREE,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_NONE,
  PROT_READ,
} from 'node-hmm';
import { describe } from 'vitest';
import { BASE, PAGE, RW, byteOf, look, map, pattern, refusalCode, shown, touch } from './support.js';
import { cleared, migrated, onDevice, rows, toDevice } from './devices.js';

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
