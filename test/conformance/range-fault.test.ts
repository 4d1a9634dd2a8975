/** hmm_range_fault, mm/hmm.c: which pages of a range it faults, where it stops, and what it puts out. */
import {
  HMM_PFN_REQ_WRITE,
  HmmRange,
  MADV_DONTNEED,
  PROT_NONE,
  PROT_READ,
  hmmPfnToFrame,
  type AddressSpace,
} from 'node-hmm';
import { expect, it } from 'vitest';
import { BASE, MiB, PAGE, bench, look, map, pattern, record, refusalCode, touch } from './support.js';
import { FAULT, WRITE, letters, walk } from './walk.js';

it('a snapshot ignores what the range requests, and faults nothing', async () => {
  const { hmm, space } = await bench();
  await map(space, 0, 2 * PAGE);
  const { notifier } = await record(space);
  const range = new HmmRange({ notifier, start: BASE, end: BASE + 2 * PAGE, defaultFlags: WRITE });
  range.notifierSequence = await notifier.readBegin();
  await hmm.rangeFault(range, { snapshot: true });
  expect(letters(range.pfns)).toEqual(['0', '0']);
  await hmm.rangeFault(range);
  expect(letters(range.pfns)).toEqual(['VW', 'VW']);
});

it('HMM_PFN_REQ_WRITE without REQ_FAULT requests nothing', async () => {
  const { hmm, space } = await bench();
  await map(space, 0, PAGE);
  const result = await walk(hmm, await record(space), { defaultFlags: HMM_PFN_REQ_WRITE });
  expect(result).toEqual({ answers: [''], pfns: ['0'] });
});

it('requests of single pages count as far as the mask lets them', async () => {
  const { hmm, space } = await bench();
  await map(space, 0, 1024 * PAGE);
  // Both tables are there, so that the two pages are in stretches of their own, and not in one hole.
  await touch(space, 0);
  await touch(space, 1023 * PAGE);
  const recorder = await record(space);
  const requests = [FAULT, 0n];
  expect(await walk(hmm, recorder, { page: 511, pages: 2, requests })).toEqual({ answers: [''], pfns: ['0', '0'] });
  expect(await walk(hmm, recorder, { page: 511, pages: 2, requests, pfnFlagsMask: FAULT })).toEqual({
    answers: [''],
    pfns: ['V', '0'],
  });
  expect(await walk(hmm, recorder, { page: 511, pages: 2, requests: [WRITE, WRITE], pfnFlagsMask: FAULT })).toEqual({
    answers: [''],
    pfns: ['V', 'V'],
  });
});

it('the first page that needs a fault takes the rest of its 2 MiB along, those before it not', async () => {
  const { hmm, space } = await bench();
  await map(space, 0, 8 * PAGE);
  await touch(space, 0);
  const recorder = await record(space);
  const requests = [0n, 0n, 0n, FAULT];
  const result = await walk(hmm, recorder, { pages: 8, requests, pfnFlagsMask: FAULT });
  expect(result).toEqual({ answers: [''], pfns: ['VW', '0', '0', 'V', 'V', 'V', 'V', 'V'] });
});

it('in a hole of the page table any page that needs a fault faults the whole hole, for writing if any asks for that', async () => {
  const { hmm, space } = await bench();
  await map(space, 0, 4 * PAGE);
  const recorder = await record(space);
  const result = await walk(hmm, recorder, { pages: 4, requests: [0n, 0n, WRITE, 0n], pfnFlagsMask: WRITE });
  expect(result).toEqual({ answers: [''], pfns: ['VW', 'VW', 'VW', 'VW'] });
});

it('read requests before a write request map zero pages, whose replacement makes the call EBUSY once', async () => {
  const { hmm, space } = await bench();
  await map(space, 0, 4 * PAGE);
  await touch(space, 3 * PAGE);
  const recorder = await record(space);
  const result = await walk(hmm, recorder, { pages: 3, requests: [FAULT, FAULT, WRITE], pfnFlagsMask: WRITE });
  expect(result.answers).toEqual(['EBUSY', '']);
  expect(result.pfns).toEqual(['V', 'V', 'VW']);
  expect(recorder.take()).toEqual(['clear 0x2000..0x3000']);
});

it('write requests over zero pages: EBUSY once, a CLEAR for each page, then success', async () => {
  const { hmm, space } = await bench();
  await map(space, 0, 3 * PAGE);
  await look(space, 0, 3 * PAGE);
  const recorder = await record(space);
  const result = await walk(hmm, recorder, { pages: 3, defaultFlags: WRITE });
  expect(result).toEqual({ answers: ['EBUSY', ''], pfns: ['VW', 'VW', 'VW'] });
  expect(recorder.take()).toEqual(['clear 0x0..0x1000', 'clear 0x1000..0x2000', 'clear 0x2000..0x3000']);
});

it('a range that ends in a hole: the mapped part is faulted and put out, then EFAULT', async () => {
  const { hmm, space } = await bench();
  await map(space, 0, 2 * PAGE);
  const result = await walk(hmm, await record(space), { pages: 4, defaultFlags: FAULT });
  expect(result).toEqual({ answers: ['EFAULT'], pfns: ['V', 'V', '0', '0'] });
});

it('a snapshot across mappings, holes and protections', async () => {
  const { hmm, space } = await bench();
  await map(space, 0, 2 * PAGE);
  await touch(space, PAGE);
  await map(space, 3 * PAGE, PAGE, PROT_NONE);
  await map(space, 4 * PAGE, 2 * PAGE, PROT_READ);
  await look(space, 5 * PAGE);
  const result = await walk(hmm, await record(space), { pages: 8 });
  expect(result).toEqual({ answers: [''], pfns: ['0', 'VW', 'E', 'E', '0', 'V', 'E', 'E'] });
});

it('a write request on a read-only mapping is EPERM before any page is faulted', async () => {
  const { hmm, space } = await bench();
  await map(space, 0, 4 * PAGE, PROT_READ);
  const recorder = await record(space);
  expect(await walk(hmm, recorder, { pages: 4, defaultFlags: WRITE })).toEqual({
    answers: ['EPERM'],
    pfns: ['0', '0', '0', '0'],
  });
  expect(await walk(hmm, recorder, { pages: 4 })).toEqual({ answers: [''], pfns: ['0', '0', '0', '0'] });
});

it('with a mask, outputs of one call are requests of the next', async () => {
  const { hmm, space } = await bench();
  await map(space, 0, PAGE);
  await touch(space);
  const { notifier } = await record(space);
  const range = new HmmRange({ notifier, start: BASE, end: BASE + PAGE, pfnFlagsMask: FAULT });
  range.notifierSequence = await notifier.readBegin();
  await hmm.rangeFault(range);
  expect(letters(range.pfns)).toEqual(['VW']);
  await space.madvise(BASE, PAGE, MADV_DONTNEED);
  range.notifierSequence = await notifier.readBegin();
  await hmm.rangeFault(range);
  expect(letters(range.pfns)).toEqual(['V']);
});

it('frames: zero pages share one, written pages have their own, a child shares its parent’s until either writes', async () => {
  const { hmm, space } = await bench();
  await map(space, 0, 4 * PAGE);
  await look(space, 0, 2 * PAGE);
  await touch(space, 2 * PAGE, 2 * PAGE);
  const child = await space.fork();
  const frames = async (of: AddressSpace) => {
    const { notifier } = await record(of);
    const range = new HmmRange({ notifier, start: BASE, end: BASE + 4 * PAGE });
    range.notifierSequence = await notifier.readBegin();
    await hmm.rangeFault(range);
    return Array.from(range.pfns, hmmPfnToFrame);
  };
  const parents = await frames(space);
  expect(parents[0]).toBe(parents[1]);
  expect(new Set(parents).size).toBe(3);
  expect(await frames(child)).toEqual(parents);
  await touch(child, 2 * PAGE);
  const childs = await frames(child);
  expect(childs[2]).not.toBe(parents[2]);
  expect(childs[3]).toBe(parents[3]);
});

it('arguments of the range that make no sense are EINVAL, and leave the entries alone', async () => {
  const { hmm, space } = await bench();
  await map(space, 0, 4 * PAGE);
  const { notifier } = await record(space, BASE, 4 * PAGE);
  const attempt = async (start: number, end: number) => {
    const range = new HmmRange({ notifier, start, end });
    range.notifierSequence = await notifier.readBegin();
    range.pfns.fill(7n);
    const code = await refusalCode(hmm.rangeFault(range));
    expect(range.pfns.every((entry) => entry === 7n)).toBe(true);
    return code;
  };
  expect(await attempt(BASE, BASE)).toBe('EINVAL');
  expect(await attempt(BASE + PAGE, BASE)).toBe('EINVAL');
  expect(await attempt(BASE + 1, BASE + PAGE)).toBe('EINVAL');
  expect(await attempt(BASE, BASE + PAGE + 1)).toBe('EINVAL');
  expect(await attempt(BASE - PAGE, BASE + PAGE)).toBe('EINVAL');
  expect(await attempt(BASE, BASE + 5 * PAGE)).toBe('EINVAL');
});

it('big ranges: 32 MiB with every second page written', async () => {
  const { hmm, space } = await bench();
  const pages = (32 * MiB) / PAGE;
  await map(space, 0, pages * PAGE);
  await space.run(
    Array.from({ length: pages / 2 }, (_, index) => ({
      op: 'write' as const,
      address: BASE + 2 * index * PAGE,
      bytes: Uint8Array.of(1),
    })),
  );
  const { notifier } = await record(space);
  const range = new HmmRange({ notifier, start: BASE, end: BASE + pages * PAGE });
  range.notifierSequence = await notifier.readBegin();
  await hmm.rangeFault(range);
  const seen = letters(range.pfns);
  expect(seen.filter((_, index) => index % 2 === 0).every((entry) => entry === 'VW')).toBe(true);
  expect(seen.filter((_, index) => index % 2 === 1).every((entry) => entry === '0')).toBe(true);
});

it('bytes: what a fault maps is what the CPU wrote', async () => {
  const { hmm, space } = await bench();
  await map(space, 0, 2 * PAGE);
  const bytes = pattern(2 * PAGE);
  await space.write(BASE, bytes);
  const { notifier } = await record(space);
  const range = new HmmRange({ notifier, start: BASE, end: BASE + 2 * PAGE, defaultFlags: FAULT });
  range.notifierSequence = await notifier.readBegin();
  await hmm.rangeFault(range);
  expect(await hmm.devices[0]!.read(space, BASE, 2 * PAGE, range.pfns)).toEqual(bytes);
});
