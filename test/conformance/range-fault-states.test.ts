/** hmm_range_fault, mm/hmm.c: what each state of a page gives for a snapshot, a fault and a fault for writing. */
import {
  MADV_DONTNEED,
  MADV_FREE,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_EXEC,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  type AddressSpace,
} from 'node-hmm';
import { describe, expect, it } from 'vitest';
import { BASE, PAGE, RW, SHARED, bench, look, map, record, touch } from './support.js';
import { FAULT, WRITE, walk } from './walk.js';

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
    arrange: (s) => map(s, 0, PAGE, PROT_NONE),
    snapshot: 'E',
    fault: ['EFAULT'],
    write: ['EFAULT'],
  },
  {
    name: 'PROT_NONE over a page that is present',
    arrange: async (s) => (await map(s, 0, PAGE), await touch(s), await s.mprotect(BASE, PAGE, PROT_NONE)),
    snapshot: 'E',
    fault: ['EFAULT'],
    write: ['EFAULT'],
  },
  {
    name: 'PROT_WRITE alone',
    arrange: async (s) => (await map(s, 0, PAGE, PROT_WRITE), await touch(s)),
    snapshot: 'E',
    fault: ['EFAULT'],
    write: ['EFAULT'],
  },
  {
    name: 'PROT_EXEC alone',
    arrange: (s) => map(s, 0, PAGE, PROT_EXEC),
    snapshot: 'E',
    fault: ['EFAULT'],
    write: ['EFAULT'],
  },
  { name: 'nothing populated', arrange: (s) => map(s, 0, PAGE), snapshot: '0', fault: ['', 'V'], write: ['', 'VW'] },
  {
    name: 'nothing populated in a GiB that has tables',
    arrange: async (s) => (await map(s, 0, PAGE), await map(s, 9 * PAGE, PAGE), await touch(s, 9 * PAGE)),
    snapshot: '0',
    fault: ['', 'V'],
    write: ['', 'VW'],
  },
  {
    name: 'read-only and nothing populated',
    arrange: (s) => map(s, 0, PAGE, PROT_READ),
    snapshot: '0',
    fault: ['', 'V'],
    write: ['EPERM'],
  },
  {
    name: 'present and writable',
    arrange: async (s) => (await map(s, 0, PAGE), await touch(s)),
    snapshot: 'VW',
    fault: ['', 'VW'],
    write: ['', 'VW'],
  },
  {
    name: 'present, made read-only',
    arrange: async (s) => (await map(s, 0, PAGE), await touch(s), await s.mprotect(BASE, PAGE, PROT_READ)),
    snapshot: 'V',
    fault: ['', 'V'],
    write: ['EPERM'],
  },
  {
    name: 'present, made read-only and writable again: an exclusive page is writable at once',
    arrange: async (s) => {
      await map(s, 0, PAGE);
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
    arrange: async (s) => (await map(s, 0, PAGE), await look(s)),
    snapshot: 'V',
    fault: ['', 'V'],
    write: ['EBUSY', '', 'VW'],
  },
  {
    name: 'shared with a forked child',
    arrange: async (s) => (await map(s, 0, PAGE), await touch(s), await s.fork()),
    snapshot: 'V',
    fault: ['', 'V'],
    write: ['EBUSY', '', 'VW'],
  },
  {
    name: 'once shared with a child that has gone: reused, silently',
    arrange: async (s) => (await map(s, 0, PAGE), await touch(s), await (await s.fork()).exit()),
    snapshot: 'V',
    fault: ['', 'V'],
    write: ['', 'VW'],
  },
  {
    name: 'dropped by MADV_DONTNEED',
    arrange: async (s) => (await map(s, 0, PAGE), await touch(s), await s.madvise(BASE, PAGE, MADV_DONTNEED)),
    snapshot: '0',
    fault: ['', 'V'],
    write: ['', 'VW'],
  },
  {
    name: 'given up by MADV_FREE: still there, still writable',
    arrange: async (s) => (await map(s, 0, PAGE), await touch(s), await s.madvise(BASE, PAGE, MADV_FREE)),
    snapshot: 'VW',
    fault: ['', 'VW'],
    write: ['', 'VW'],
  },
  {
    name: 'shared memory, not populated: a read fault makes it writable',
    arrange: (s) => map(s, 0, PAGE, RW, SHARED),
    snapshot: '0',
    fault: ['', 'VW'],
    write: ['', 'VW'],
  },
  {
    name: 'shared memory that was read',
    arrange: async (s) => (await map(s, 0, PAGE, RW, SHARED), await look(s)),
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
