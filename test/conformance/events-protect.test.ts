/** Which invalidations mprotect and fork send, and what follows a fork. Ranges are relative to BASE. */
import { MADV_DONTFORK, MADV_WIPEONFORK, PROT_NONE, PROT_READ } from 'node-hmm';
import { expect, it } from 'vitest';
import { BASE, GiB, KiB, MiB, PAGE, RW, SHARED, bench, look, map, record, refusalCode, touch } from './support.js';
import { rows } from './events.js';

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
