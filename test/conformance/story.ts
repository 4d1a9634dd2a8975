/**
 * Stories of memory in huge pages: step by step what is done, which invalidations that sends, and what a snapshot then says.
 * The rows of the huge-pages*.test.ts and hugetlb*.test.ts are made of these.
 */
import {
  HMM_PFN_ERROR,
  HMM_PFN_REQ_FAULT,
  HMM_PFN_REQ_WRITE,
  HMM_PFN_VALID,
  HMM_PFN_WRITE,
  HmmRange,
  MADV_HUGEPAGE,
  hmmPfnToFrame,
  hmmPfnToOrder,
  type AddressSpace,
  type Hmm,
} from 'node-hmm';
import { expect, it } from 'vitest';
import {
  BASE,
  MiB,
  PAGE,
  PRIVATE,
  RW,
  bench,
  need,
  rangeFaultUntilDone,
  record,
  refusalCode,
  type Profile,
  type Recorder,
} from './support.js';

export const HUGE = 2 * MiB;

interface Process {
  readonly space: AddressSpace;
  readonly recorder: Recorder;
  /** Sequences that have been looked at already. */
  taken: number;
}

/** A process, and at most one child of it. */
export interface Story {
  readonly hmm: Hmm;
  readonly profile: Profile;
  readonly parent: Process;
  child: Process | null;
}

export type Act = (story: Story, space: AddressSpace, recorder: Recorder) => Promise<unknown>;

type PerProfile<T> = T | Readonly<Record<Profile, T>>;

/**
 * What is done; the events, '+' before one that is nested in the one above it; and the pages, as runs of '-' (nothing),
 * 'E', 'V', 'VW', with 'o9' for a mapping of 2 MiB. Those of the child, if there is one, follow '/'.
 */
export type Step = readonly [act: Act, events: PerProfile<readonly string[]>, pages: PerProfile<string>];

export interface Row {
  readonly name: string;
  /** The 2 MiB blocks to look at, by their offsets. Default: the first. */
  readonly watch?: readonly number[];
  readonly steps: readonly Step[];
}

export function stories(section: string, feature: 'transparentHugePages' | 'hugetlb', rows: readonly Row[]): void {
  for (const { name, watch = [0], steps } of rows) {
    it(`${section}: ${name}`, async (context) => {
      const { hmm, space, profile } = await bench();
      need(context, hmm, feature);
      const story: Story = { hmm, profile, parent: await processOf(space), child: null };
      for (const [index, [act, events, pages]] of steps.entries()) {
        await act(story, story.parent.space, story.parent.recorder);
        const seen = { step: index, events: eventsOf(story), pages: await pagesOf(story, watch) };
        expect(seen).toEqual({ step: index, events: pick(events, profile), pages: pick(pages, profile) });
      }
    });
  }
}

function pick<T>(value: PerProfile<T>, profile: Profile): T {
  const perProfile = typeof value === 'object' && value !== null && '6.1' in value;
  return perProfile ? value[profile] : value;
}

async function processOf(space: AddressSpace): Promise<Process> {
  return { space, recorder: await record(space), taken: 0 };
}

function eventsOf({ parent, child }: Story): string[] {
  return [...take(parent, ''), ...(child === null ? [] : take(child, 'child: '))];
}

/** The events since the last call. Nested ones share the sequence of the outermost; else it steps by 2. */
function take(process: Process, prefix: string): string[] {
  const events = process.recorder.take();
  const sequences = process.recorder.sequences.slice(process.taken);
  let previous = process.taken === 0 ? 1 : process.recorder.sequences[process.taken - 1]!;
  process.taken += sequences.length;
  const lines: string[] = [];
  for (const [index, event] of events.entries()) {
    const sequence = sequences[index]!;
    expect(sequence === previous || sequence === previous + 2).toBe(true);
    lines.push(`${prefix}${sequence === previous ? '+' : ''}${event}`);
    previous = sequence;
  }
  return shortened(lines);
}

/** Three and more events of following pages become one line. */
function shortened(lines: readonly string[]): string[] {
  const short: string[] = [];
  for (let index = 0; index < lines.length;) {
    let count = 1;
    while (index + count < lines.length && follows(lines[index + count - 1]!, lines[index + count]!)) count++;
    if (count < 3) short.push(...lines.slice(index, index + count));
    else short.push(`${lines[index]!}, and the same of the next ${count - 1} pages`);
    index += count;
  }
  return short;
}

function follows(one: string, other: string): boolean {
  const pattern = /^(.*) 0x([0-9a-f]+)\.\.0x([0-9a-f]+)$/;
  const [, event, start, end] = pattern.exec(one) ?? [];
  const [, nextEvent, nextStart, nextEnd] = pattern.exec(other) ?? [];
  if (event === undefined || event !== nextEvent || end !== nextStart) return false;
  return [start, nextStart].every((from, at) => parseInt([end, nextEnd][at]!, 16) - parseInt(from!, 16) === PAGE);
}

async function pagesOf(story: Story, watch: readonly number[]): Promise<string> {
  const { parent, child } = story;
  const texts: string[] = [];
  for (const process of child === null ? [parent] : [parent, child]) {
    if (!process.space.alive) continue;
    const blocks: string[] = [];
    for (const offset of watch) blocks.push(await snapshot(story.hmm, process, offset, offset + HUGE));
    texts.push(blocks.join(' | '));
  }
  return texts.join(' / ');
}

async function snapshot(hmm: Hmm, { recorder }: Process, from: number, to: number): Promise<string> {
  const { notifier } = recorder;
  const range = new HmmRange({ notifier, start: BASE + from, end: BASE + to });
  range.notifierSequence = await notifier.readBegin();
  await hmm.rangeFault(range, { snapshot: true });
  return runsOf(range.pfns);
}

function runsOf(pfns: BigUint64Array): string {
  const runs: { word: string; count: number }[] = [];
  for (const [index, pfn] of pfns.entries()) {
    const word = wordOf(pfn);
    const order = hmmPfnToOrder(pfn);
    if (order !== 0 && (pfn & HMM_PFN_VALID) !== 0n) {
      // Consecutive frames, naturally aligned: the blocks that are looked at are.
      expect(hmmPfnToFrame(pfn) % 512n).toBe(BigInt(index % 512));
    }
    const last = runs.at(-1);
    if (last !== undefined && last.word === word) last.count++;
    else runs.push({ word, count: 1 });
  }
  return runs.map(({ word, count }) => `${count} ${word}`).join(', ');
}

function wordOf(pfn: bigint): string {
  if (pfn === 0n) return '-';
  if (pfn === HMM_PFN_ERROR) return 'E';
  const order = hmmPfnToOrder(pfn) === 0 ? '' : ` o${hmmPfnToOrder(pfn)}`;
  if ((pfn & HMM_PFN_VALID) === 0n) return `-${order}`;
  return `${(pfn & HMM_PFN_WRITE) === 0n ? 'V' : 'VW'}${order}`;
}

export function map(offset: number, length: number, flags = PRIVATE, protection = RW): Act {
  return (_, space) => space.mmap(length, { address: BASE + offset, protection, flags });
}

/** Private memory that is to have huge pages. */
export function mapHuge(offset: number, length: number): Act {
  return async (_, space) => {
    await space.mmap(length, { address: BASE + offset, protection: RW, flags: PRIVATE });
    await space.madvise(BASE + offset, length, MADV_HUGEPAGE);
  };
}

export function unmap(offset: number, length: number): Act {
  return (_, space) => space.munmap(BASE + offset, length);
}

export function protect(offset: number, length: number, protection: number): Act {
  return (_, space) => space.mprotect(BASE + offset, length, protection);
}

export function advise(offset: number, length: number, advice: number): Act {
  return (_, space) => space.madvise(BASE + offset, length, advice);
}

/** mremap to BASE + target, or, with none, in place. */
export function remap(offset: number, length: number, target: number | null, flags: number, newLength = length): Act {
  return (_, space) =>
    space.mremap(BASE + offset, length, newLength, target === null ? { flags } : { flags, newAddress: BASE + target });
}

/** One byte, by the CPU. */
export function write(offset: number, byte = 0xa5): Act {
  return (_, space) => space.write(BASE + offset, Uint8Array.of(byte));
}

export function reads(offset: number, byte: number): Act {
  return async (_, space) => {
    expect((await space.read(BASE + offset, 1))[0]).toBe(byte);
  };
}

/** hmm_range_fault with requests, again after each EBUSY; `answers` are the errors of the calls, '' for success. */
export function fault(offset: number, length: number, how: 'read' | 'write', answers: readonly string[]): Act {
  return async ({ hmm }, _, { notifier }) => {
    const flags = how === 'write' ? HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE : HMM_PFN_REQ_FAULT;
    const start = BASE + offset;
    const range = new HmmRange({ notifier, start, end: start + length, defaultFlags: flags });
    expect(await rangeFaultUntilDone(hmm, range)).toEqual(answers);
  };
}

/** The errno that the step ends with. */
export function refused(code: PerProfile<string>, act: Act): Act {
  return async (story, space, recorder) => {
    expect(await refusalCode(act(story, space, recorder))).toBe(pick(code, story.profile));
  };
}

/** The process forks; from here on its child is watched too. */
export const fork: Act = async (story, space) => {
  story.child = await processOf(await space.fork());
};

/** Something that the child does. */
export function inChild(act: Act): Act {
  return (story) => act(story, story.child!.space, story.child!.recorder);
}

export const exit: Act = async (_, space) => {
  await space.exit();
};

/** How many stories begin: one huge page that was written, the same shared with a child, or the huge zero page. */
export const writtenHugePage: readonly Step[] = [
  [mapHuge(0, HUGE), [], '512 -'],
  [write(0), [], '512 VW o9'],
];
export const forkedHugePage: readonly Step[] = [
  ...writtenHugePage,
  [fork, ['protection-page 0x0..0x200000'], '512 V o9 / 512 V o9'],
];
export const hugeZeroPage: readonly Step[] = [
  [mapHuge(0, HUGE), [], '512 -'],
  [reads(0, 0), [], '512 V o9'],
];
