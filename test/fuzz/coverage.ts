/** Which facts about mm/ a campaign has met, and how often: rows of the tables that the simulation was written from. */
import * as hmm from 'node-hmm';
import type { Step } from './program.js';

interface Row {
  readonly name: string;
  /** @param lines what the kernel showed; @param before the process's pages as the last line about them told */
  readonly met: (step: Step, lines: readonly string[]) => boolean;
}

const has = (lines: readonly string[], pattern: RegExp) => lines.some((line) => pattern.test(line));
const answers = (lines: readonly string[], text: string) => lines.some((line) => line.startsWith(`= ${text}`));
const events = (lines: readonly string[], pattern: RegExp) =>
  lines.filter((line) => /^p0|^p\d/.test(line) && pattern.test(line));
const advised = (step: Step, ...advice: readonly number[]) => step.op === 'madvise' && advice.includes(step.advice);

/** Every event that the recorder of a process saw, '2 MiB' being a block. */
const block = (line: string): boolean => {
  const range = /\+0x([0-9a-f]+)\.\.\+0x([0-9a-f]+)/.exec(line);
  return range !== null && parseInt(range[2]!, 16) - parseInt(range[1]!, 16) === 0x20_0000;
};
const cleared = (lines: readonly string[]) => events(lines, /^p\d clear/);
/** Two events of one process with the same sequence: the second is nested in the first. */
const nested = (lines: readonly string[]) => {
  const sequences = events(lines, / seq /).map((line) => `${line[1]} ${/seq (\d+)/.exec(line)?.[1]}`);
  return new Set(sequences).size < sequences.length;
};

const answerRows = (op: Step['op'], ...codes: readonly string[]): Row[] =>
  codes.map((code) => ({ name: `${op}: ${code}`, met: (step, lines) => step.op === op && answers(lines, code) }));

/** But for KSM, which is not modelled. */
const adviceNames = Object.entries(hmm).filter(([name]) => /^MADV_(?!(UN)?MERGEABLE$)/.test(name)) as [
  string,
  number,
][];

export const ROWS: readonly Row[] = [
  {
    name: 'invalidations: straddle CLEAR of a block',
    met: (s, l) =>
      ['munmap', 'mprotect', 'madvise', 'mmap', 'mremap'].includes(s.op) &&
      cleared(l).some(block) &&
      !advised(s, hmm.MADV_DONTNEED, hmm.MADV_FREE, hmm.MADV_COLLAPSE),
  },
  { name: 'invalidations: nested events, one sequence', met: (_, l) => nested(l) },
  { name: 'invalidations: munmap: UNMAP', met: (s, l) => s.op === 'munmap' && events(l, /unmap/).length > 0 },
  {
    name: 'invalidations: munmap of nothing',
    met: (s, l) => s.op === 'munmap' && answers(l, 'ok') && events(l, /unmap/).length === 0,
  },
  {
    name: 'invalidations: mmap over a mapping: UNMAP',
    met: (s, l) => s.op === 'mmap' && events(l, /unmap/).length > 0,
  },
  { name: 'invalidations: mremap: two UNMAPs', met: (s, l) => s.op === 'mremap' && events(l, /unmap/).length >= 2 },
  {
    name: 'invalidations: MREMAP_DONTUNMAP',
    met: (s, l) => s.op === 'mremap' && (s.flags & hmm.MREMAP_DONTUNMAP) !== 0 && answers(l, '+'),
  },
  {
    name: 'invalidations: mremap in place, grown',
    met: (s, l) => s.op === 'mremap' && s.newLength > s.length && s.to === undefined && answers(l, '+'),
  },
  {
    name: 'invalidations: mremap in place, shrunk',
    met: (s, l) => s.op === 'mremap' && s.newLength < s.length && s.to === undefined && answers(l, '+'),
  },
  {
    name: 'invalidations: exit: RELEASE, UNMAP',
    met: (s, l) => s.op === 'exit' && has(l, /^p\d release first\.\.last/),
  },
  {
    name: 'invalidations: mprotect: PROTECTION_VMA',
    met: (s, l) => s.op === 'mprotect' && events(l, /protection-vma/).length === 1,
  },
  {
    name: 'invalidations: mprotect: two of them',
    met: (s, l) => s.op === 'mprotect' && events(l, /protection-vma/).length > 1,
  },
  {
    name: 'invalidations: mprotect without a table: none',
    met: (s, l) => s.op === 'mprotect' && answers(l, 'ok') && events(l, /protection-vma/).length === 0,
  },
  ...adviceNames.flatMap(([name, advice]) => [
    {
      name: `invalidations: ${name}: done`,
      met: (s: Step, l: readonly string[]) => advised(s, advice) && answers(l, 'ok'),
    },
    {
      name: `invalidations: ${name}: refused`,
      met: (s: Step, l: readonly string[]) => advised(s, advice) && has(l, /^= E/),
    },
  ]),
  {
    name: 'invalidations: MADV_FREE drops pages (PAGEOUT)',
    met: (s, l) => advised(s, hmm.MADV_PAGEOUT) && cleared(l).length > 0,
  },
  { name: 'invalidations: truncate: CLEAR twice', met: (s, l) => s.op === 'truncate' && cleared(l).length >= 2 },
  { name: 'invalidations: punch hole: CLEAR', met: (s, l) => s.op === 'punch' && cleared(l).length > 0 },
  {
    name: 'invalidations: a file change seen by two processes',
    met: (s, l) =>
      (s.op === 'punch' || s.op === 'truncate' || advised(s, hmm.MADV_REMOVE)) &&
      has(l, /^p0 clear/) &&
      has(l, /^p[123] clear/),
  },
  {
    name: 'invalidations: write fault: copy, CLEAR of a page',
    met: (s, l) => s.op === 'write' && cleared(l).some((e) => !block(e)),
  },
  {
    name: 'invalidations: write fault: no event',
    met: (s, l) => s.op === 'write' && answers(l, 'ok') && has(l, /^p\d has/) && cleared(l).length === 0,
  },
  {
    name: 'invalidations: write to a huge zero page or shared huge page',
    met: (s, l) => s.op === 'write' && cleared(l).some(block) && cleared(l).length >= 2,
  },
  {
    name: 'invalidations: fork: PROTECTION_PAGE',
    met: (s, l) => s.op === 'fork' && events(l, /protection-page/).length > 0,
  },
  {
    name: 'invalidations: fork: none',
    met: (s, l) => s.op === 'fork' && answers(l, 'ok') && events(l, /protection-page/).length === 0,
  },
  {
    name: 'invalidations: hugetlb: mapped',
    met: (s, l) => s.op === 'mmap' && s.backing.startsWith('hugetlb') && answers(l, '+'),
  },
  { name: 'notifiers: reaction inside a callback', met: (_, l) => has(l, /in the callback/) },
  { name: 'notifiers: a deferred insert', met: (_, l) => has(l, /in the callback: insert n\d: ok/) },
  { name: 'notifiers: a deferred remove', met: (_, l) => has(l, /begun in the callback: remove n\d: ok/) },
  { name: 'notifiers: a read_begin that waits', met: (_, l) => has(l, /begun in the callback: begin n\d: ok/) },
  { name: 'notifiers: read_retry: true', met: (s, l) => s.op === 'retry' && answers(l, 'true') },
  { name: 'notifiers: read_retry: false', met: (s, l) => s.op === 'retry' && answers(l, 'false') },
  { name: 'notifiers: insert: EOVERFLOW', met: (s, l) => s.op === 'insert' && answers(l, 'EOVERFLOW') },
  ...answerRows('fault', 'ok', 'EBUSY', 'EFAULT', 'EPERM', 'EINVAL').map((row) => ({
    ...row,
    name: `hmm_range_fault: ${row.name}`,
  })),
  { name: 'hmm_range_fault: fault: huge', met: (s, l) => s.op === 'fault' && has(l, /^= ok.* o9/) },
  {
    name: 'hmm_range_fault: fault: a request kept from outputs (mask)',
    met: (s, l) => s.op === 'fault' && s.mask !== 'none' && answers(l, 'ok'),
  },
  {
    name: 'hmm_range_fault: fault: own CLEAR, so EBUSY',
    met: (s, l) => s.op === 'fault' && s.fresh && answers(l, 'EBUSY') && cleared(l).length > 0,
  },
  { name: 'hmm_range_fault: driver: ESTALE', met: (s, l) => s.op === 'driver' && answers(l, 'ESTALE') },
  {
    name: 'migration: migrated to the device',
    met: (s, l) => s.op === 'to-device' && /= [1-9]/.test(l.find((x) => x.startsWith('= ')) ?? ''),
  },
  {
    name: 'migration: migrated to the system',
    met: (s, l) => s.op === 'to-system' && /= [1-9]/.test(l.find((x) => x.startsWith('= ')) ?? ''),
  },
  {
    name: 'migration: a CPU faults a device page back',
    met: (s, l) => (s.op === 'read' || s.op === 'write') && events(l, /migrate/).length > 0,
  },
  {
    name: 'migration: a huge page is split for migration',
    met: (s, l) => s.op === 'to-device' && cleared(l).some(block),
  },
  { name: 'migration: shared pages migrate', met: (s, l) => s.op === 'to-device' && cleared(l).some((e) => !block(e)) },
  {
    name: 'migration: eviction',
    met: (s, l) => s.op === 'evict' && /= [1-9]/.test(l.find((x) => x.startsWith('= ')) ?? ''),
  },
  {
    name: 'exclusive access: exclusive: taken',
    met: (s, l) => s.op === 'exclusive' && /= [1-9]/.test(l.find((x) => x.startsWith('= ')) ?? ''),
  },
  {
    name: 'exclusive access: exclusive: given back by a CPU',
    met: (s, l) => (s.op === 'read' || s.op === 'write') && events(l, /exclusive/).length > 0,
  },
  { name: 'exclusive access: atomic add', met: (s, l) => s.op === 'atomic' && has(l, /^= \d/) },
  { name: 'faults: huge page by a write', met: (s, l) => s.op === 'write' && has(l, /VW o9/) },
  { name: 'faults: huge zero page', met: (s, l) => s.op === 'read' && has(l, /V o9/) },
  {
    name: 'faults: MADV_COLLAPSE makes one',
    met: (s, l) => advised(s, hmm.MADV_COLLAPSE) && answers(l, 'ok') && has(l, /^p\d has .*o9/),
  },
  { name: 'faults: pages shared by processes', met: (_, l) => has(l, /^p[1-9] has.* s\d/) },
  { name: 'faults: SIGBUS beyond a file', met: (_, l) => has(l, /SIGBUS/) },
  { name: 'faults: SIGSEGV', met: (_, l) => has(l, /SIGSEGV/) },
];

export type Coverage = Record<string, number>;

export function addCoverage(coverage: Coverage, step: Step, lines: readonly string[]): void {
  for (const { name, met } of ROWS) if (met(step, lines)) coverage[name] = (coverage[name] ?? 0) + 1;
}
