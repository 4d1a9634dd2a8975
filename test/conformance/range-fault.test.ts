/** hmm_range_fault: mm/hmm.c. What each state of a page gives for a snapshot, a fault and a fault for writing. */
import type { HmmError } from 'node-hmm';
import {
  HMM_PFN_ERROR,
  HMM_PFN_REQ_FAULT,
  HMM_PFN_REQ_WRITE,
  HMM_PFN_VALID,
  HMM_PFN_WRITE,
  HmmRange,
  MADV_DONTNEED,
  MADV_FREE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_EXEC,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  hmmPfnToFrame,
  hmmPfnToOrder,
  type AddressSpace,
  type Hmm,
  type HmmRangeInit,
} from 'node-hmm';
import { describe, expect, it } from 'vitest';
import { BASE, MiB, PAGE, bench, pattern, record, refusalCode, refused, type Recorder } from './support.js';

const RW = PROT_READ | PROT_WRITE;
const ANON = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
const SHARED = MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED;
const FAULT = HMM_PFN_REQ_FAULT;
const WRITE = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE;

function map(space: AddressSpace, pages: number, protection = RW, flags = ANON, page = 0): Promise<number> {
  return space.mmap(pages * PAGE, { address: BASE + page * PAGE, protection, flags });
}

async function touch(space: AddressSpace, page = 0, pages = 1): Promise<void> {
  for (let each = 0; each < pages; each++) await space.write(BASE + (page + each) * PAGE, Uint8Array.of(0xa5));
}

async function look(space: AddressSpace, page = 0, pages = 1): Promise<void> {
  for (let each = 0; each < pages; each++) await space.read(BASE + (page + each) * PAGE, 1);
}

/** 'VW', 'V', 'E', '0', and '?' for what no driver should ever see. */
function letters(pfns: BigUint64Array): string[] {
  return Array.from(pfns, (pfn) => {
    if (pfn === 0n) return '0';
    if (pfn === HMM_PFN_ERROR) return 'E';
    if ((pfn & HMM_PFN_VALID) === 0n || (pfn & HMM_PFN_ERROR) !== 0n || hmmPfnToOrder(pfn) !== 0) return '?';
    return (pfn & HMM_PFN_WRITE) === 0n ? 'V' : 'VW';
  });
}

interface Walk {
  /** The errors of the calls, in order, until one succeeds or fails otherwise than with EBUSY; '' for success. */
  readonly answers: string[];
  readonly pfns: string[];
}

/** readBegin and rangeFault, again after each EBUSY, as a driver does. */
async function walk(
  hmm: Hmm,
  { notifier }: Recorder,
  init: Omit<HmmRangeInit, 'notifier' | 'start' | 'end'> & { pages?: number; page?: number; requests?: bigint[] } = {},
): Promise<Walk> {
  const { pages = 1, page = 0, requests = [], ...rest } = init;
  const start = BASE + page * PAGE;
  const range = new HmmRange({ notifier, start, end: start + pages * PAGE, ...rest });
  requests.forEach((request, index) => (range.pfns[index] = request));
  const answers: string[] = [];
  do {
    range.notifierSequence = await notifier.readBegin();
    answers.push(
      await hmm.rangeFault(range).then(
        () => '',
        (error: HmmError) => error.code,
      ),
    );
  } while (answers.at(-1) === 'EBUSY' && answers.length < 4);
  return { answers, pfns: letters(range.pfns) };
}

interface State {
  readonly name: string;
  readonly arrange: (space: AddressSpace) => Promise<unknown>;
  /** Answers of the calls, then the entry (that of a failing call is what went in). */
  readonly snapshot: string;
  readonly fault: readonly string[];
  readonly write: readonly string[];
}

const states: readonly State[] = [
  { name: 'no mapping', arrange: async () => undefined, snapshot: 'E', fault: ['EFAULT'], write: ['EFAULT'] },
  {
    name: 'PROT_NONE',
    arrange: (s) => map(s, 1, PROT_NONE),
    snapshot: 'E',
    fault: ['EFAULT'],
    write: ['EFAULT'],
  },
  {
    name: 'PROT_NONE over a page that is present',
    arrange: async (s) => (await map(s, 1), await touch(s), await s.mprotect(BASE, PAGE, PROT_NONE)),
    snapshot: 'E',
    fault: ['EFAULT'],
    write: ['EFAULT'],
  },
  {
    name: 'PROT_WRITE alone',
    arrange: async (s) => (await map(s, 1, PROT_WRITE), await touch(s)),
    snapshot: 'E',
    fault: ['EFAULT'],
    write: ['EFAULT'],
  },
  {
    name: 'PROT_EXEC alone',
    arrange: (s) => map(s, 1, PROT_EXEC),
    snapshot: 'E',
    fault: ['EFAULT'],
    write: ['EFAULT'],
  },
  { name: 'nothing populated', arrange: (s) => map(s, 1), snapshot: '0', fault: ['', 'V'], write: ['', 'VW'] },
  {
    name: 'nothing populated in a GiB that has tables',
    arrange: async (s) => (await map(s, 1), await map(s, 1, RW, ANON, 9), await touch(s, 9)),
    snapshot: '0',
    fault: ['', 'V'],
    write: ['', 'VW'],
  },
  {
    name: 'read-only and nothing populated',
    arrange: (s) => map(s, 1, PROT_READ),
    snapshot: '0',
    fault: ['', 'V'],
    write: ['EPERM'],
  },
  {
    name: 'present and writable',
    arrange: async (s) => (await map(s, 1), await touch(s)),
    snapshot: 'VW',
    fault: ['', 'VW'],
    write: ['', 'VW'],
  },
  {
    name: 'present, made read-only',
    arrange: async (s) => (await map(s, 1), await touch(s), await s.mprotect(BASE, PAGE, PROT_READ)),
    snapshot: 'V',
    fault: ['', 'V'],
    write: ['EPERM'],
  },
  {
    name: 'present, made read-only and writable again: an exclusive page is writable at once',
    arrange: async (s) => {
      await map(s, 1);
      await touch(s);
      await s.mprotect(BASE, PAGE, PROT_READ);
      await s.mprotect(BASE, PAGE, RW);
    },
    snapshot: 'VW',
    fault: ['', 'VW'],
    write: ['', 'VW'],
  },
  {
    name: 'the zero page',
    arrange: async (s) => (await map(s, 1), await look(s)),
    snapshot: 'V',
    fault: ['', 'V'],
    write: ['EBUSY', '', 'VW'],
  },
  {
    name: 'shared with a forked child',
    arrange: async (s) => (await map(s, 1), await touch(s), await s.fork()),
    snapshot: 'V',
    fault: ['', 'V'],
    write: ['EBUSY', '', 'VW'],
  },
  {
    name: 'once shared with a child that has gone: reused, silently',
    arrange: async (s) => (await map(s, 1), await touch(s), await (await s.fork()).exit()),
    snapshot: 'V',
    fault: ['', 'V'],
    write: ['', 'VW'],
  },
  {
    name: 'dropped by MADV_DONTNEED',
    arrange: async (s) => (await map(s, 1), await touch(s), await s.madvise(BASE, PAGE, MADV_DONTNEED)),
    snapshot: '0',
    fault: ['', 'V'],
    write: ['', 'VW'],
  },
  {
    name: 'given up by MADV_FREE: still there, still writable',
    arrange: async (s) => (await map(s, 1), await touch(s), await s.madvise(BASE, PAGE, MADV_FREE)),
    snapshot: 'VW',
    fault: ['', 'VW'],
    write: ['', 'VW'],
  },
  {
    name: 'shared memory, not populated: a read fault makes it writable',
    arrange: (s) => map(s, 1, RW, SHARED),
    snapshot: '0',
    fault: ['', 'VW'],
    write: ['', 'VW'],
  },
  {
    name: 'shared memory that was read',
    arrange: async (s) => (await map(s, 1, RW, SHARED), await look(s)),
    snapshot: 'VW',
    fault: ['', 'VW'],
    write: ['', 'VW'],
  },
  {
    name: 'a private mapping of a file that was read',
    arrange: async (s) => {
      const file = await s.createFile(PAGE);
      await s.mmap(PAGE, { address: BASE, file, flags: MAP_PRIVATE | MAP_FIXED });
      await look(s);
    },
    snapshot: 'V',
    fault: ['', 'V'],
    write: ['EBUSY', '', 'VW'],
  },
  {
    name: 'a private mapping of a file that was written',
    arrange: async (s) => {
      const file = await s.createFile(PAGE);
      await s.mmap(PAGE, { address: BASE, file, flags: MAP_PRIVATE | MAP_FIXED });
      await touch(s);
    },
    snapshot: 'VW',
    fault: ['', 'VW'],
    write: ['', 'VW'],
  },
  {
    name: 'beyond the end of the file',
    arrange: async (s) => {
      const file = await s.createFile(0);
      await s.mmap(PAGE, { address: BASE, file, flags: MAP_SHARED | MAP_FIXED });
    },
    snapshot: '0',
    fault: ['EFAULT'],
    write: ['EFAULT'],
  },
];

describe.each(states)('$name', ({ arrange, snapshot, fault, write }) => {
  const cases = [
    { mode: 'snapshot', defaultFlags: 0n, expected: ['', snapshot] },
    { mode: 'fault', defaultFlags: FAULT, expected: fault },
    { mode: 'fault for writing', defaultFlags: WRITE, expected: write },
  ];
  it.each(cases)('$mode', async ({ defaultFlags, expected }) => {
    const { hmm, space } = await bench();
    await arrange(space);
    const { answers, pfns } = await walk(hmm, await record(space), { defaultFlags });
    const failed = answers.at(-1) !== '';
    expect([...answers, ...(failed ? [] : pfns)]).toEqual(expected);
    if (failed) expect(pfns).toEqual(['0']);
  });
});

it('a snapshot ignores what the range requests, and faults nothing', async () => {
  const { hmm, space } = await bench();
  await map(space, 2);
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
  await map(space, 1);
  const result = await walk(hmm, await record(space), { defaultFlags: HMM_PFN_REQ_WRITE });
  expect(result).toEqual({ answers: [''], pfns: ['0'] });
});

it('requests of single pages count as far as the mask lets them', async () => {
  const { hmm, space } = await bench();
  await map(space, 1024);
  // Both tables are there, so that the two pages are in stretches of their own, and not in one hole.
  await touch(space, 0);
  await touch(space, 1023);
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
  await map(space, 8);
  await touch(space, 0);
  const recorder = await record(space);
  const requests = [0n, 0n, 0n, FAULT];
  const result = await walk(hmm, recorder, { pages: 8, requests, pfnFlagsMask: FAULT });
  expect(result).toEqual({ answers: [''], pfns: ['VW', '0', '0', 'V', 'V', 'V', 'V', 'V'] });
});

it('in a hole of the page table any page that needs a fault faults the whole hole, for writing if any asks for that', async () => {
  const { hmm, space } = await bench();
  await map(space, 4);
  const recorder = await record(space);
  const result = await walk(hmm, recorder, { pages: 4, requests: [0n, 0n, WRITE, 0n], pfnFlagsMask: WRITE });
  expect(result).toEqual({ answers: [''], pfns: ['VW', 'VW', 'VW', 'VW'] });
});

it('read requests before a write request map zero pages, whose replacement makes the call EBUSY once', async () => {
  const { hmm, space } = await bench();
  await map(space, 4);
  await touch(space, 3);
  const recorder = await record(space);
  const result = await walk(hmm, recorder, { pages: 3, requests: [FAULT, FAULT, WRITE], pfnFlagsMask: WRITE });
  expect(result.answers).toEqual(['EBUSY', '']);
  expect(result.pfns).toEqual(['V', 'V', 'VW']);
  expect(recorder.take()).toEqual(['clear 0x2000..0x3000']);
});

it('write requests over zero pages: EBUSY once, a CLEAR for each page, then success', async () => {
  const { hmm, space } = await bench();
  await map(space, 3);
  await look(space, 0, 3);
  const recorder = await record(space);
  const result = await walk(hmm, recorder, { pages: 3, defaultFlags: WRITE });
  expect(result).toEqual({ answers: ['EBUSY', ''], pfns: ['VW', 'VW', 'VW'] });
  expect(recorder.take()).toEqual(['clear 0x0..0x1000', 'clear 0x1000..0x2000', 'clear 0x2000..0x3000']);
});

it('a range that ends in a hole: the mapped part is faulted and put out, then EFAULT', async () => {
  const { hmm, space } = await bench();
  await map(space, 2);
  const result = await walk(hmm, await record(space), { pages: 4, defaultFlags: FAULT });
  expect(result).toEqual({ answers: ['EFAULT'], pfns: ['V', 'V', '0', '0'] });
});

it('a snapshot across mappings, holes and protections', async () => {
  const { hmm, space } = await bench();
  await map(space, 2);
  await touch(space, 1);
  await map(space, 1, PROT_NONE, ANON, 3);
  await map(space, 2, PROT_READ, ANON, 4);
  await look(space, 5);
  const result = await walk(hmm, await record(space), { pages: 8 });
  expect(result).toEqual({ answers: [''], pfns: ['0', 'VW', 'E', 'E', '0', 'V', 'E', 'E'] });
});

it('a write request on a read-only mapping is EPERM before any page is faulted', async () => {
  const { hmm, space } = await bench();
  await map(space, 4, PROT_READ);
  const recorder = await record(space);
  expect(await walk(hmm, recorder, { pages: 4, defaultFlags: WRITE })).toEqual({
    answers: ['EPERM'],
    pfns: ['0', '0', '0', '0'],
  });
  expect(await walk(hmm, recorder, { pages: 4 })).toEqual({ answers: [''], pfns: ['0', '0', '0', '0'] });
});

it('with a mask, outputs of one call are requests of the next', async () => {
  const { hmm, space } = await bench();
  await map(space, 1);
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
  await map(space, 4);
  await look(space, 0, 2);
  await touch(space, 2, 2);
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
  await touch(child, 2);
  const childs = await frames(child);
  expect(childs[2]).not.toBe(parents[2]);
  expect(childs[3]).toBe(parents[3]);
});

it('arguments of the range that make no sense are EINVAL, and leave the entries alone', async () => {
  const { hmm, space } = await bench();
  await map(space, 4);
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
  await map(space, pages);
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

describe("a driver's own format", () => {
  const format = {
    flags: { valid: 1n << 0n, write: 1n << 1n },
    values: { error: 0xfffn, none: 0n, special: 0xffcn },
    pfnShift: 12,
  };

  it('requests and results are in its flags and values, frames shifted as it says', async () => {
    const { hmm, space } = await bench();
    await map(space, 2);
    await touch(space, 0);
    const { notifier } = await record(space);
    const plain = new HmmRange({ notifier, start: BASE, end: BASE + 3 * PAGE });
    const own = new HmmRange({
      notifier,
      start: BASE,
      end: BASE + 3 * PAGE,
      format: { ...format, values: { error: 0xff0n, none: 0n } },
    });
    plain.notifierSequence = own.notifierSequence = await notifier.readBegin();
    await hmm.rangeFault(plain);
    await hmm.rangeFault(own);
    expect(Array.from(own.pfns)).toEqual([(hmmPfnToFrame(plain.pfns[0]!) << 12n) | 3n, 0n, 0xff0n]);
  });

  it('faults what its flags request, by page or for all', async () => {
    const { hmm, space } = await bench();
    await map(space, 1024);
    await touch(space, 0);
    await touch(space, 1023);
    const { notifier } = await record(space);
    const values = { error: 0xff0n, none: 0n };
    const range = new HmmRange({
      notifier,
      start: BASE + 511 * PAGE,
      end: BASE + 513 * PAGE,
      format: { ...format, values },
      pfnFlagsMask: 3n,
    });
    range.pfns[0] = 3n;
    range.notifierSequence = await notifier.readBegin();
    await hmm.rangeFault(range);
    expect(Array.from(range.pfns, (pfn) => pfn & 0xfffn)).toEqual([3n, 0n]);
    range.defaultFlags = 1n;
    await hmm.rangeFault(range);
    expect(Array.from(range.pfns, (pfn) => pfn & 0xfffn)).toEqual([3n, 1n]);
  });

  it('entries that a failing walk did not reach keep what the driver wrote there', async () => {
    const { hmm, space } = await bench();
    await map(space, 1);
    const { notifier } = await record(space);
    const range = new HmmRange({
      notifier,
      start: BASE,
      end: BASE + 2 * PAGE,
      format: { ...format, values: { error: 0xff0n, none: 0n } },
      defaultFlags: 1n,
    });
    range.pfns[1] = 0x77000n;
    range.notifierSequence = await notifier.readBegin();
    expect((await refused(hmm.rangeFault(range))).code).toBe('EFAULT');
    expect(range.pfns[0]! & 0xfffn).toBe(1n);
    expect(range.pfns[1]).toBe(0x77000n);
  });

  it('a format that cannot be told apart is refused at once', async () => {
    const { space } = await bench();
    const { notifier } = await record(space);
    const init = { notifier, start: BASE, end: BASE + PAGE };
    expect(() => new HmmRange({ ...init, format })).toThrow(RangeError);
    expect(() => new HmmRange({ ...init, format: { ...format, flags: { valid: 0n, write: 2n } } })).toThrow(RangeError);
    expect(() => new HmmRange({ ...init, format: { ...format, pfnShift: 64 } })).toThrow(RangeError);
    // @ts-expect-error a flag that is no bigint
    expect(() => new HmmRange({ ...init, format: { ...format, flags: { valid: 1, write: 2n } } })).toThrow(TypeError);
  });
});

it('bytes: what a fault maps is what the CPU wrote', async () => {
  const { hmm, space } = await bench();
  await map(space, 2);
  const bytes = pattern(2 * PAGE);
  await space.write(BASE, bytes);
  const { notifier } = await record(space);
  const range = new HmmRange({ notifier, start: BASE, end: BASE + 2 * PAGE, defaultFlags: FAULT });
  range.notifierSequence = await notifier.readBegin();
  await hmm.rangeFault(range);
  expect(await hmm.devices[0]!.read(space, BASE, 2 * PAGE, range.pfns)).toEqual(bytes);
});
