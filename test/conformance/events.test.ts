/**
 * Which operation sends which invalidations, over which ranges and in which order: one row per fact about mm/.
 * Ranges are relative to BASE, in a 512 GiB slice that holds nothing else.
 */
import {
  MADV_COLD,
  MADV_DOFORK,
  MADV_DONTDUMP,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_KEEPONFORK,
  MADV_NORMAL,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_RANDOM,
  MADV_REMOVE,
  MADV_WIPEONFORK,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  type AddressSpace,
} from 'node-hmm';
import { expect, it } from 'vitest';
import { BASE, GiB, KiB, MiB, PAGE, bench, pattern, record, refusalCode, type Profile } from './support.js';

const RW = PROT_READ | PROT_WRITE;
const ANON = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
const SHARED = MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED;

function map(space: AddressSpace, offset: number, length: number, protection = RW, flags = ANON): Promise<number> {
  return space.mmap(length, { address: BASE + offset, protection, flags });
}

/** One store into each page. */
async function touch(space: AddressSpace, offset: number, length = PAGE): Promise<void> {
  for (let page = 0; page < length; page += PAGE) await space.write(BASE + offset + page, Uint8Array.of(0xa5));
}

async function look(space: AddressSpace, offset: number, length = PAGE): Promise<void> {
  for (let page = 0; page < length; page += PAGE) await space.read(BASE + offset + page, 1);
}

interface Row {
  readonly name: string;
  readonly arrange: (space: AddressSpace) => Promise<unknown>;
  readonly act: (space: AddressSpace) => Promise<unknown>;
  readonly events: readonly string[] | Readonly<Record<Profile, readonly string[]>>;
}

const none = async () => undefined;

function rows(section: string, table: readonly Row[]): void {
  for (const { name, arrange, act, events } of table) {
    it(`${section}: ${name}`, async () => {
      const { space, profile } = await bench();
      await arrange(space);
      const recorder = await record(space);
      await act(space);
      expect(recorder.take()).toEqual(Array.isArray(events) ? events : (events as Record<Profile, string[]>)[profile]);
      // The sequence steps once per outermost event that overlaps a notifier: 3, 5, 7, … after the first insert.
      expect(recorder.sequences).toEqual(recorder.sequences.map((_, index) => 3 + 2 * index));
    });
  }
}

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

rows('mprotect', [
  {
    name: 'one PROTECTION_VMA, read-only',
    arrange: async (s) => (await map(s, 0, 4 * PAGE), await touch(s, 0, 4 * PAGE)),
    act: (s) => s.mprotect(BASE, 4 * PAGE, PROT_READ),
    events: ['protection-vma 0x0..0x4000'],
  },
  {
    name: 'the same in the other direction',
    arrange: async (s) => {
      await map(s, 0, 4 * PAGE);
      await touch(s, 0, 4 * PAGE);
      await s.mprotect(BASE, 4 * PAGE, PROT_NONE);
    },
    act: (s) => s.mprotect(BASE, 4 * PAGE, RW),
    events: ['protection-vma 0x0..0x4000'],
  },
  {
    name: 'the same protection: nothing, not even a split',
    arrange: async (s) => (await map(s, 0, 4 * MiB), await touch(s, 0)),
    act: (s) => s.mprotect(BASE + MiB, PAGE, RW),
    events: [],
  },
  {
    name: 'nothing is populated: nothing',
    arrange: (s) => map(s, 0, 4 * PAGE),
    act: (s) => s.mprotect(BASE, 4 * PAGE, PROT_READ),
    events: [],
  },
  {
    name: 'a range never touched, beside one that was: 6.12 sees the populated GiB, 6.1 the empty 2 MiB',
    arrange: async (s) => (await map(s, 0, 4 * PAGE), await map(s, 64 * MiB, PAGE), await touch(s, 64 * MiB)),
    act: (s) => s.mprotect(BASE, 4 * PAGE, PROT_READ),
    events: { '6.1': [], '6.12': ['protection-vma 0x0..0x4000'] },
  },
  {
    name: 'across a GiB boundary, both sides populated: 6.12 one event, 6.1 one for each GiB',
    arrange: async (s) => (await map(s, GiB - 8 * KiB, 16 * KiB), await touch(s, GiB - 8 * KiB, 16 * KiB)),
    act: (s) => s.mprotect(BASE + GiB - 8 * KiB, 16 * KiB, PROT_READ),
    events: {
      '6.1': ['protection-vma 0x3fffe000..0x40000000', 'protection-vma 0x40000000..0x40002000'],
      '6.12': ['protection-vma 0x3fffe000..0x40002000'],
    },
  },
  {
    name: 'across a GiB boundary, only a page above it populated: from the boundary on',
    arrange: async (s) => (await map(s, GiB - 2 * MiB, 8 * MiB), await touch(s, GiB)),
    act: (s) => s.mprotect(BASE + GiB - 2 * MiB, 8 * MiB, PROT_READ),
    events: ['protection-vma 0x40000000..0x40600000'],
  },
  {
    name: 'one per mapping, ascending',
    arrange: async (s) => {
      await map(s, 0, PAGE);
      await map(s, PAGE, PAGE, PROT_READ);
      await touch(s, 0);
      await look(s, PAGE);
    },
    act: (s) => s.mprotect(BASE, 2 * PAGE, PROT_NONE),
    events: ['protection-vma 0x0..0x1000', 'protection-vma 0x1000..0x2000'],
  },
  {
    name: 'a hole: what lies before is done, then ENOMEM',
    arrange: async (s) => (await map(s, 0, PAGE), await map(s, 2 * PAGE, PAGE), await touch(s, 0)),
    act: async (s) => expect(await refusalCode(s.mprotect(BASE, 3 * PAGE, PROT_READ))).toBe('ENOMEM'),
    events: ['protection-vma 0x0..0x1000'],
  },
  {
    name: 'shared memory too',
    arrange: async (s) => (await map(s, 0, PAGE, RW, SHARED), await touch(s, 0)),
    act: (s) => s.mprotect(BASE, PAGE, PROT_READ),
    events: ['protection-vma 0x0..0x1000'],
  },
]);

rows('madvise', [
  {
    name: 'DONTNEED: CLEAR of the range',
    arrange: async (s) => (await map(s, 0, 4 * PAGE), await touch(s, 0)),
    act: (s) => s.madvise(BASE + PAGE, 2 * PAGE, MADV_DONTNEED),
    events: ['clear 0x1000..0x3000'],
  },
  {
    name: 'DONTNEED over mappings and a hole: one CLEAR per mapping, all done, then ENOMEM',
    arrange: async (s) => {
      await map(s, 0, 2 * PAGE);
      await map(s, 2 * PAGE, PAGE, PROT_READ);
      await map(s, 4 * PAGE, 2 * PAGE);
    },
    act: async (s) => expect(await refusalCode(s.madvise(BASE + PAGE, 4 * PAGE, MADV_DONTNEED))).toBe('ENOMEM'),
    events: ['clear 0x1000..0x2000', 'clear 0x2000..0x3000', 'clear 0x4000..0x5000'],
  },
  {
    name: 'DONTNEED of shared memory',
    arrange: async (s) => (await map(s, 0, 2 * PAGE, RW, SHARED), await touch(s, 0)),
    act: (s) => s.madvise(BASE, 2 * PAGE, MADV_DONTNEED),
    events: ['clear 0x0..0x2000'],
  },
  {
    name: 'FREE: CLEAR of the range',
    arrange: async (s) => (await map(s, 0, 2 * PAGE), await touch(s, 0)),
    act: (s) => s.madvise(BASE, 2 * PAGE, MADV_FREE),
    events: ['clear 0x0..0x2000'],
  },
  {
    name: 'FREE of shared memory: EINVAL and nothing',
    arrange: async (s) => (await map(s, 0, PAGE, RW, SHARED), await touch(s, 0)),
    act: async (s) => expect(await refusalCode(s.madvise(BASE, PAGE, MADV_FREE))).toBe('EINVAL'),
    events: [],
  },
  {
    name: 'COLD, and advice that only marks the mapping: nothing',
    arrange: async (s) => (await map(s, 0, PAGE), await touch(s, 0)),
    act: async (s) => {
      for (const advice of [
        MADV_COLD,
        MADV_RANDOM,
        MADV_NORMAL,
        MADV_DONTFORK,
        MADV_DOFORK,
        MADV_WIPEONFORK,
        MADV_KEEPONFORK,
        MADV_DONTDUMP,
      ]) {
        await s.madvise(BASE, PAGE, advice);
      }
    },
    events: [],
  },
  {
    name: 'POPULATE_READ of nothing: nothing',
    arrange: (s) => map(s, 0, 4 * PAGE),
    act: (s) => s.madvise(BASE, 4 * PAGE, MADV_POPULATE_READ),
    events: [],
  },
  {
    name: 'POPULATE_WRITE of nothing: nothing',
    arrange: (s) => map(s, 0, 4 * PAGE),
    act: (s) => s.madvise(BASE, 4 * PAGE, MADV_POPULATE_WRITE),
    events: [],
  },
  {
    name: 'POPULATE_WRITE over zero pages: CLEAR of each',
    arrange: async (s) => (await map(s, 0, 2 * PAGE), await look(s, 0, 2 * PAGE)),
    act: (s) => s.madvise(BASE, 2 * PAGE, MADV_POPULATE_WRITE),
    events: ['clear 0x0..0x1000', 'clear 0x1000..0x2000'],
  },
  {
    name: 'REMOVE of shared memory: CLEAR',
    arrange: async (s) => (await map(s, 0, 4 * PAGE, RW, SHARED), await touch(s, 0, 4 * PAGE)),
    act: (s) => s.madvise(BASE + PAGE, PAGE, MADV_REMOVE),
    events: ['clear 0x1000..0x2000'],
  },
]);

rows('faults', [
  {
    name: 'reads and writes of nothing: nothing',
    arrange: (s) => map(s, 0, 4 * PAGE),
    act: async (s) => (await look(s, 0), await touch(s, PAGE)),
    events: [],
  },
  {
    name: 'a write to the zero page: CLEAR of the page',
    arrange: async (s) => (await map(s, 0, 2 * PAGE), await look(s, 0, 2 * PAGE)),
    act: (s) => touch(s, PAGE),
    events: ['clear 0x1000..0x2000'],
  },
  {
    name: 'a write after mprotect to read-only and back: the page is exclusive, nothing',
    arrange: async (s) => {
      await map(s, 0, PAGE);
      await touch(s, 0);
      await s.mprotect(BASE, PAGE, PROT_READ);
      await s.mprotect(BASE, PAGE, RW);
    },
    act: (s) => touch(s, 0),
    events: [],
  },
  {
    name: 'a write to shared memory that was only read: nothing',
    arrange: async (s) => (await map(s, 0, PAGE, RW, SHARED), await look(s, 0)),
    act: (s) => touch(s, 0),
    events: [],
  },
  {
    name: 'reading after MADV_DONTNEED: nothing',
    arrange: async (s) => {
      await map(s, 0, PAGE);
      await touch(s, 0);
      await s.madvise(BASE, PAGE, MADV_DONTNEED);
    },
    act: (s) => look(s, 0),
    events: [],
  },
]);

rows('fork', [
  {
    name: 'PROTECTION_PAGE per private mapping that was written, whole, ascending; read-only ones that were written too',
    arrange: async (s) => {
      await map(s, 0, 4 * PAGE);
      await touch(s, 0);
      await map(s, MiB, 2 * PAGE);
      await touch(s, MiB);
      await s.mprotect(BASE + MiB, 2 * PAGE, PROT_READ);
    },
    act: async (s) => await (await s.fork()).exit(),
    events: ['protection-page 0x0..0x4000', 'protection-page 0x100000..0x102000'],
  },
  {
    name: 'none for mappings that were only read, shared, or not to be forked',
    arrange: async (s) => {
      await map(s, 0, PAGE);
      await look(s, 0);
      await map(s, MiB, PAGE, RW, SHARED);
      await touch(s, MiB);
      await map(s, 2 * MiB, PAGE);
      await touch(s, 2 * MiB);
      await s.madvise(BASE + 2 * MiB, PAGE, MADV_DONTFORK);
      await map(s, 3 * MiB, PAGE);
      await touch(s, 3 * MiB);
      await s.madvise(BASE + 3 * MiB, PAGE, MADV_WIPEONFORK);
    },
    act: async (s) => await (await s.fork()).exit(),
    events: [],
  },
]);

it('fork: a write while the child lives copies, with a CLEAR of that page; after its exit it reuses, silently', async () => {
  const { space } = await bench();
  await map(space, 0, 2 * PAGE);
  await touch(space, 0, 2 * PAGE);
  const child = await space.fork();
  const recorder = await record(space);
  await touch(space, 0);
  expect(recorder.take()).toEqual(['clear 0x0..0x1000']);
  await child.exit();
  await touch(space, PAGE);
  expect(recorder.take()).toEqual([]);
});

it("fork: the child's writes, unmappings and exit are not the parent's events, and it has no notifiers", async () => {
  const { space } = await bench();
  await map(space, 0, 2 * PAGE);
  await touch(space, 0, 2 * PAGE);
  const recorder = await record(space);
  const child = await space.fork();
  expect(recorder.take()).toEqual(['protection-page 0x0..0x2000']);
  const inChild = await record(child);
  await touch(child, 0);
  expect(inChild.take()).toEqual(['clear 0x0..0x1000']);
  await child.munmap(BASE, PAGE);
  await child.exit();
  expect(recorder.take()).toEqual([]);
  expect(inChild.take()).toEqual(['unmap 0x0..0x1000', 'release first..last', 'unmap first..last']);
});

it('files: a shrinking truncate clears the rest of every mapping, twice, in file order, private ones too', async () => {
  const { space } = await bench();
  const file = await space.createFile(8 * PAGE);
  await space.mmap(8 * PAGE, { address: BASE, file, flags: MAP_SHARED | MAP_FIXED });
  await space.mmap(4 * PAGE, { address: BASE + MiB, file, offset: 4 * PAGE, flags: MAP_PRIVATE | MAP_FIXED });
  const recorder = await record(space);
  await file.truncate(6 * PAGE);
  const once = ['clear 0x6000..0x8000', 'clear 0x102000..0x104000'];
  expect(recorder.take()).toEqual([...once, ...once]);
  await file.truncate(6 * PAGE);
  await file.truncate(7 * PAGE);
  expect(recorder.take()).toEqual([]);
  await file.truncate(6 * PAGE + 1);
  expect(recorder.take()).toEqual([]);
});

it('files: punching a hole clears the whole pages inside it, once; pages copied on write survive', async () => {
  const { space } = await bench();
  const file = await space.createFile(8 * PAGE);
  await space.mmap(8 * PAGE, { address: BASE, file, flags: MAP_SHARED | MAP_FIXED });
  await space.mmap(8 * PAGE, { address: BASE + MiB, file, flags: MAP_PRIVATE | MAP_FIXED });
  await space.write(BASE, pattern(8 * PAGE));
  await space.write(BASE + MiB + PAGE, Uint8Array.of(1, 2, 3));
  const recorder = await record(space);
  await file.punchHole(PAGE - 1, 2 * PAGE + 1);
  expect(recorder.take()).toEqual(['clear 0x1000..0x3000', 'clear 0x101000..0x103000']);
  expect(await space.read(BASE + PAGE, 3)).toEqual(new Uint8Array(3));
  expect(await space.read(BASE + MiB + PAGE, 3)).toEqual(Uint8Array.of(1, 2, 3));
  expect(await space.read(BASE + MiB + 2 * PAGE, 3)).toEqual(new Uint8Array(3));
  await file.punchHole(PAGE + 100, 200);
  expect(recorder.take()).toEqual([]);
  // shmem_fallocate compares the end of the whole pages, here -1, without its sign: all from the second page on is cleared.
  await file.punchHole(100, 200);
  expect(recorder.take()).toEqual(['clear 0x1000..0x8000', 'clear 0x101000..0x108000']);
});

it('files: a write to a private mapping of a page that was read copies it, with a CLEAR; one never read sends nothing', async () => {
  const { space } = await bench();
  const file = await space.createFile(2 * PAGE);
  await space.mmap(2 * PAGE, { address: BASE + MiB, file, flags: MAP_SHARED | MAP_FIXED });
  await space.write(BASE + MiB, pattern(2 * PAGE));
  await space.mmap(PAGE, { address: BASE, file, flags: MAP_PRIVATE | MAP_FIXED });
  await space.mmap(PAGE, { address: BASE + 4 * MiB, file, offset: PAGE, flags: MAP_PRIVATE | MAP_FIXED });
  const recorder = await record(space);
  await look(space, 0);
  expect(recorder.take()).toEqual([]);
  await touch(space, 0);
  expect(recorder.take()).toEqual(['clear 0x0..0x1000']);
  await touch(space, 4 * MiB);
  expect(recorder.take()).toEqual([]);
});

it('files: REMOVE clears every mapping of the range in every process', async () => {
  const { space } = await bench();
  const file = await space.createFile(4 * PAGE);
  await space.mmap(4 * PAGE, { address: BASE, file });
  await space.mmap(4 * PAGE, { address: BASE + MiB, file, flags: MAP_PRIVATE | MAP_FIXED });
  await touch(space, 0, 4 * PAGE);
  const child = await space.fork();
  const inParent = await record(space);
  const inChild = await record(child);
  const [mapping] = await child.run([{ op: 'madvise', address: BASE, length: PAGE, advice: MADV_REMOVE }]);
  expect(mapping?.error).toBeUndefined();
  expect(inParent.take()).toEqual(['clear 0x0..0x1000', 'clear 0x100000..0x101000']);
  expect(inChild.take()).toEqual(['clear 0x0..0x1000', 'clear 0x100000..0x101000']);
});

it('a callback sees the whole range of the event, not its part inside the interval; outside of it nothing', async () => {
  const { space } = await bench();
  await map(space, 0, 16 * PAGE);
  const inside = await record(space, BASE + 4 * PAGE, PAGE);
  const before = await record(space, BASE, 2 * PAGE);
  const bytes = await record(space, BASE + 7 * PAGE - 1, 1);
  await space.munmap(BASE + 2 * PAGE, 5 * PAGE);
  expect(inside.take()).toEqual(['unmap 0x2000..0x7000']);
  expect(bytes.take()).toEqual(['unmap 0x2000..0x7000']);
  expect(before.take()).toEqual([]);
});

it('several notifiers are called by ascending start, equal starts in the order of insertion', async () => {
  const { space } = await bench();
  await map(space, 0, 16 * PAGE);
  const order: string[] = [];
  const insert = (name: string, start: number, pages: number) =>
    space.insertIntervalNotifier(BASE + start * PAGE, pages * PAGE, { invalidate: () => void order.push(name) });
  await insert('d', 3, 2);
  await insert('a', 0, 16);
  await insert('b', 2, 1);
  await insert('c', 2, 9);
  await insert('beyond', 12, 1);
  await space.munmap(BASE, 8 * PAGE);
  expect(order).toEqual(['a', 'b', 'c', 'd']);
});
