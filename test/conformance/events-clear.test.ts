/** CLEAR, of madvise, of faults that replace a page, and of what happens to a file. Ranges are relative to BASE. */
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
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_READ,
} from 'node-hmm';
import { expect, it } from 'vitest';
import { BASE, MiB, PAGE, RW, SHARED, bench, look, map, pattern, record, refusalCode, touch } from './support.js';
import { rows } from './events.js';

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
