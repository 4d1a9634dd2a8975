/** Which invalidations munmap, mmap over a mapping, mremap and exit send. Ranges are relative to BASE. */
import { MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE, PROT_READ } from 'node-hmm';
import { BASE, GiB, MiB, PAGE, map, touch } from './support.js';
import { none, rows } from './events.js';

rows('munmap', [
  {
    name: 'one UNMAP of the range, populated',
    arrange: async (s) => (await map(s, 0, 4 * PAGE), await touch(s, 0, 4 * PAGE)),
    act: (s) => s.munmap(BASE, 4 * PAGE),
    events: ['unmap 0x0..0x4000'],
  },
  {
    name: 'the same when nothing was ever touched',
    arrange: (s) => map(s, 0, 4 * PAGE),
    act: (s) => s.munmap(BASE, 4 * PAGE),
    events: ['unmap 0x0..0x4000'],
  },
  {
    name: 'one for several mappings and the holes between, as long as was asked, not as is mapped',
    arrange: async (s) => (await map(s, 0x2000, PAGE), await map(s, 0x6000, PAGE, PROT_READ)),
    act: (s) => s.munmap(BASE, 16 * PAGE),
    events: ['unmap 0x0..0x10000'],
  },
  {
    name: 'the length is rounded up to whole pages',
    arrange: (s) => map(s, 0, 2 * PAGE),
    act: (s) => s.munmap(BASE, PAGE + 1),
    events: ['unmap 0x0..0x2000'],
  },
  { name: 'nothing mapped there: nothing', arrange: none, act: (s) => s.munmap(BASE, PAGE), events: [] },
  {
    name: 'mmap(MAP_FIXED) over a mapping, as munmap of the range',
    arrange: async (s) => (await map(s, 0, 4 * PAGE), await touch(s, 0)),
    act: (s) => map(s, 0x1000, 2 * PAGE),
    events: ['unmap 0x1000..0x3000'],
  },
  {
    name: 'mmap(MAP_FIXED) over the edge of a mapping: the whole new range',
    arrange: (s) => map(s, 0, 2 * PAGE),
    act: (s) => map(s, 0x1000, 4 * PAGE),
    events: ['unmap 0x1000..0x5000'],
  },
  { name: 'mmap(MAP_FIXED) over nothing: nothing', arrange: none, act: (s) => map(s, 0, PAGE), events: [] },
]);

rows('mremap', [
  {
    name: 'shrink: UNMAP of the tail',
    arrange: async (s) => (await map(s, 0, 4 * PAGE), await touch(s, 0, 4 * PAGE)),
    act: (s) => s.mremap(BASE, 4 * PAGE, PAGE),
    events: ['unmap 0x1000..0x4000'],
  },
  {
    name: 'grow in place: nothing',
    arrange: (s) => map(s, 0, PAGE),
    act: (s) => s.mremap(BASE, PAGE, 4 * PAGE),
    events: [],
  },
  {
    name: 'the same size: nothing',
    arrange: (s) => map(s, 0, PAGE),
    act: (s) => s.mremap(BASE, PAGE, PAGE),
    events: [],
  },
  {
    name: 'move: UNMAP of the old range twice, from moving the tables and from unmapping; nothing for the new address',
    arrange: async (s) => (await map(s, 0, 2 * PAGE), await touch(s, 0)),
    act: (s) =>
      s.mremap(BASE, 2 * PAGE, 2 * PAGE, { flags: MREMAP_MAYMOVE | MREMAP_FIXED, newAddress: BASE + 64 * GiB }),
    events: ['unmap 0x0..0x2000', 'unmap 0x0..0x2000'],
  },
  {
    name: 'move, when nothing is populated',
    arrange: (s) => map(s, 0, 2 * PAGE),
    act: (s) =>
      s.mremap(BASE, 2 * PAGE, 2 * PAGE, { flags: MREMAP_MAYMOVE | MREMAP_FIXED, newAddress: BASE + 64 * GiB }),
    events: ['unmap 0x0..0x2000', 'unmap 0x0..0x2000'],
  },
  {
    name: 'move onto a mapping: that is unmapped first',
    arrange: async (s) => (await map(s, 0, 2 * PAGE), await map(s, 64 * GiB, 2 * PAGE, PROT_READ)),
    act: (s) =>
      s.mremap(BASE, 2 * PAGE, 2 * PAGE, { flags: MREMAP_MAYMOVE | MREMAP_FIXED, newAddress: BASE + 64 * GiB }),
    events: ['unmap 0x1000000000..0x1000002000', 'unmap 0x0..0x2000', 'unmap 0x0..0x2000'],
  },
  {
    name: 'move and shrink: UNMAP of the tail first',
    arrange: (s) => map(s, 0, 4 * PAGE),
    act: (s) => s.mremap(BASE, 4 * PAGE, PAGE, { flags: MREMAP_MAYMOVE | MREMAP_FIXED, newAddress: BASE + 64 * GiB }),
    events: ['unmap 0x1000..0x4000', 'unmap 0x0..0x1000', 'unmap 0x0..0x1000'],
  },
  {
    name: 'move of the middle of a mapping: the split comes between the two',
    arrange: async (s) => (await map(s, 0, 4 * MiB), await touch(s, 0)),
    act: (s) => s.mremap(BASE + MiB, PAGE, PAGE, { flags: MREMAP_MAYMOVE | MREMAP_FIXED, newAddress: BASE + 64 * GiB }),
    events: ['unmap 0x100000..0x101000', 'clear 0x0..0x200000', 'unmap 0x100000..0x101000'],
  },
  {
    name: 'MREMAP_DONTUNMAP: only the first',
    arrange: async (s) => (await map(s, 0, 2 * PAGE), await touch(s, 0)),
    act: (s) =>
      s.mremap(BASE, 2 * PAGE, 2 * PAGE, {
        flags: MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
        newAddress: BASE + 64 * GiB,
      }),
    events: ['unmap 0x0..0x2000'],
  },
  {
    name: '6.12 aligns the start of a move down to 2 MiB where old and new allow it; 6.1 never',
    arrange: async (s) => (await map(s, MiB, 2 * MiB), await touch(s, MiB)),
    act: (s) =>
      s.mremap(BASE + MiB, 2 * MiB, 2 * MiB, {
        flags: MREMAP_MAYMOVE | MREMAP_FIXED,
        newAddress: BASE + 64 * GiB + MiB,
      }),
    events: {
      '6.1': ['unmap 0x100000..0x300000', 'unmap 0x100000..0x300000'],
      '6.12': ['unmap 0x0..0x300000', 'unmap 0x100000..0x300000'],
    },
  },
]);

rows('exit', [
  {
    name: 'RELEASE of everything, then UNMAP of everything',
    arrange: async (s) => (await map(s, 0, PAGE), await touch(s, 0)),
    act: (s) => s.exit(),
    events: ['release first..last', 'unmap first..last'],
  },
]);
