/**
 * A new boundary of a mapping inside a block of 2 MiB: whoever makes it, a huge page that might be there is taken apart
 * (vma_adjust_trans_huge). Ranges are relative to BASE.
 */
import { MADV_DOFORK, MADV_DONTFORK, MADV_DONTNEED, PROT_READ } from 'node-hmm';
import { BASE, MiB, PAGE, RW, SHARED, map, touch } from './support.js';
import { rows } from './events.js';

rows('straddle', [
  {
    name: 'a boundary inside a 2 MiB block that lies wholly in the mapping: CLEAR of the block first',
    arrange: async (s) => (await map(s, 0, 4 * MiB), await touch(s, 0x5000)),
    act: (s) => s.munmap(BASE + 0x3000, 4 * MiB - 0x3000),
    events: ['clear 0x0..0x200000', 'unmap 0x3000..0x400000'],
  },
  {
    name: 'sent for a block in which nothing is populated, if the GiB has a table',
    arrange: async (s) => (await map(s, 0, 8 * MiB), await touch(s, 0)),
    act: (s) => s.munmap(BASE + 5 * MiB, 3 * MiB),
    events: ['clear 0x400000..0x600000', 'unmap 0x500000..0x800000'],
  },
  {
    name: 'whoever made the table: here another mapping in the same GiB',
    arrange: async (s) => (await map(s, 0, 4 * MiB), await map(s, 64 * MiB, PAGE), await touch(s, 64 * MiB)),
    act: (s) => s.munmap(BASE + 0x3000, 4 * MiB - 0x3000),
    events: ['clear 0x0..0x200000', 'unmap 0x3000..0x400000'],
  },
  {
    name: 'none without a table in the GiB',
    arrange: (s) => map(s, 0, 4 * MiB),
    act: (s) => s.munmap(BASE + 0x3000, 4 * MiB - 0x3000),
    events: ['unmap 0x3000..0x400000'],
  },
  {
    name: 'none at a boundary that is a multiple of 2 MiB',
    arrange: async (s) => (await map(s, 0, 4 * MiB), await touch(s, 0, PAGE)),
    act: (s) => s.munmap(BASE + 2 * MiB, 2 * MiB),
    events: ['unmap 0x200000..0x400000'],
  },
  {
    name: 'none if the block reaches beyond the mapping',
    arrange: async (s) => (await map(s, PAGE, 2 * MiB - PAGE), await touch(s, PAGE)),
    act: (s) => s.munmap(BASE + MiB, MiB),
    events: ['unmap 0x100000..0x200000'],
  },
  {
    name: 'two boundaries in one block: one event',
    arrange: async (s) => (await map(s, 0, 2 * MiB), await touch(s, 0)),
    act: (s) => s.munmap(BASE + 0x3000, PAGE),
    events: ['clear 0x0..0x200000', 'unmap 0x3000..0x4000'],
  },
  {
    name: 'two boundaries in two blocks: two, the lower first',
    arrange: async (s) => (await map(s, 0, 6 * MiB), await touch(s, 0)),
    act: (s) => s.munmap(BASE + MiB, 4 * MiB),
    events: ['clear 0x0..0x200000', 'clear 0x400000..0x600000', 'unmap 0x100000..0x500000'],
  },
  {
    name: 'MAP_FIXED over a part',
    arrange: async (s) => (await map(s, 0, 4 * MiB), await touch(s, 0)),
    act: (s) => map(s, 3 * MiB, PAGE),
    events: ['clear 0x200000..0x400000', 'unmap 0x300000..0x301000'],
  },
  {
    name: 'mprotect of a part',
    arrange: async (s) => (await map(s, 0, 4 * MiB), await touch(s, 0)),
    act: (s) => s.mprotect(BASE + 3 * MiB, MiB, PROT_READ),
    // 6.12 looks at 1 GiB entries, one of which is populated; 6.1 at 2 MiB entries, and this block has none.
    events: {
      '6.1': ['clear 0x200000..0x400000'],
      '6.12': ['clear 0x200000..0x400000', 'protection-vma 0x300000..0x400000'],
    },
  },
  {
    name: 'madvise(MADV_DONTFORK) of a part splits, and so clears',
    arrange: async (s) => (await map(s, 0, 4 * MiB), await touch(s, 0)),
    act: (s) => s.madvise(BASE + MiB, PAGE, MADV_DONTFORK),
    events: ['clear 0x0..0x200000'],
  },
  {
    name: 'merging again sends nothing',
    arrange: async (s) => {
      await map(s, 0, 4 * MiB);
      await touch(s, 0);
      await s.madvise(BASE + MiB, PAGE, MADV_DONTFORK);
    },
    act: (s) => s.madvise(BASE + MiB, PAGE, MADV_DOFORK),
    events: [],
  },
  {
    name: 'madvise(MADV_DONTNEED) of a part splits nothing',
    arrange: async (s) => (await map(s, 0, 4 * MiB), await touch(s, 0)),
    act: (s) => s.madvise(BASE + MiB, PAGE, MADV_DONTNEED),
    events: ['clear 0x100000..0x101000'],
  },
  {
    name: 'mremap shrinking in place',
    arrange: async (s) => (await map(s, 0, 4 * MiB), await touch(s, 0)),
    act: (s) => s.mremap(BASE, 4 * MiB, 3 * MiB),
    events: ['clear 0x200000..0x400000', 'unmap 0x300000..0x400000'],
  },
  {
    name: 'a shared mapping too',
    arrange: async (s) => (await map(s, 0, 4 * MiB, RW, SHARED), await touch(s, 0)),
    act: (s) => s.munmap(BASE + MiB, PAGE),
    events: ['clear 0x0..0x200000', 'unmap 0x100000..0x101000'],
  },
]);
