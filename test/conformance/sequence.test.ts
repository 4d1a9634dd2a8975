/** The sequence protocol of mmu_interval_notifier: mm/mmu_notifier.c. */
import {
  HmmRange,
  MADV_DONTNEED,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  type AddressSpace,
  type IntervalNotifier,
} from 'node-hmm';
import { expect, it } from 'vitest';
import { BASE, PAGE, bench, record, refusalCode } from './support.js';

const FIXED = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

function map(space: AddressSpace, page: number, pages: number): Promise<number> {
  return space.mmap(pages * PAGE, { address: BASE + page * PAGE, flags: FIXED });
}

function dontneed(space: AddressSpace, page: number, pages = 1): Promise<void> {
  return space.madvise(BASE + page * PAGE, pages * PAGE, MADV_DONTNEED);
}

/** A gate that callbacks wait at, and a way to know that one has arrived. */
function gate() {
  let open!: () => void;
  let arrive!: () => void;
  const opened = new Promise<void>((resolve) => (open = resolve));
  const arrived = new Promise<void>((resolve) => (arrive = resolve));
  return { open, opened, arrive, arrived };
}

/** A notifier over [page, page + pages) whose callbacks arrive at the gate and wait until it opens. */
async function gated(space: AddressSpace, page: number, pages: number, calls: number[] = []) {
  const at = gate();
  await idle(space);
  const notifier = await space.insertIntervalNotifier(BASE + page * PAGE, pages * PAGE, {
    async invalidate(_range, sequence) {
      calls.push(sequence);
      at.arrive();
      await at.opened;
    },
  });
  return { notifier, at, calls };
}

/** A round trip through the process on a thread that no test here blocks, by a call that takes no lock. */
function idle(space: AddressSpace): Promise<unknown> {
  return space.run([{ op: 'madvise', address: 0, length: 0, advice: 0 }], { thread: 9 });
}

/** It was the gate that let the callback go, and not the bound of its wait. */
async function inTime({ notifier }: { notifier: IntervalNotifier }): Promise<void> {
  await notifier.readBegin();
}

/** Whether the promise has settled by the time that everything runnable has run. */
async function settled(promise: Promise<unknown>, space: AddressSpace): Promise<boolean> {
  let done = false;
  const mark = () => (done = true);
  promise.then(mark, mark);
  await idle(space);
  await new Promise((resolve) => setTimeout(resolve, 0));
  return done;
}

it('starts at 2: the first notifiers read 1, odd and not current, so that nobody waits', async () => {
  const { space } = await bench();
  const first = await record(space);
  const second = await record(space, BASE, PAGE);
  expect(await first.notifier.readBegin()).toBe(1);
  expect(await second.notifier.readBegin()).toBe(1);
  expect(first.notifier.readRetry(1)).toBe(false);
});

it('steps by two with every outermost event that a notifier overlaps, and by nothing for others', async () => {
  const { space } = await bench();
  await map(space, 0, 16);
  const low = await record(space, BASE, 4 * PAGE);
  const high = await record(space, BASE + 8 * PAGE, 4 * PAGE);
  await dontneed(space, 0);
  await dontneed(space, 5);
  await dontneed(space, 8);
  await dontneed(space, 5);
  await dontneed(space, 0, 12);
  expect(low.sequences).toEqual([3, 7]);
  expect(high.sequences).toEqual([5, 7]);
});

it("read_begin returns the sequence of the notifier's own last event; a later insert reads the one before current", async () => {
  const { space } = await bench();
  await map(space, 0, 16);
  const low = await record(space, BASE, 4 * PAGE);
  const high = await record(space, BASE + 8 * PAGE, 4 * PAGE);
  await dontneed(space, 0);
  await dontneed(space, 8);
  expect(await low.notifier.readBegin()).toBe(3);
  expect(await high.notifier.readBegin()).toBe(5);
  const late = await record(space);
  expect(await late.notifier.readBegin()).toBe(5);
});

it('read_retry: true once its own interval was invalidated, whatever happened to others', async () => {
  const { space } = await bench();
  await map(space, 0, 16);
  const low = await record(space, BASE, 4 * PAGE);
  await record(space, BASE + 8 * PAGE, 4 * PAGE);
  const sequence = await low.notifier.readBegin();
  await dontneed(space, 8);
  expect(low.notifier.readRetry(sequence)).toBe(false);
  await dontneed(space, 3);
  expect(low.notifier.readRetry(sequence)).toBe(true);
  expect(low.notifier.readRetry(await low.notifier.readBegin())).toBe(false);
});

it('read_begin waits while an invalidation of its interval is under way, and not for one of another', async () => {
  const { space } = await bench();
  await map(space, 0, 16);
  const hit = await gated(space, 0, 4);
  const other = await record(space, BASE + 8 * PAGE, 4 * PAGE);
  const running = dontneed(space, 0);
  await hit.at.arrived;
  const begin = hit.notifier.readBegin();
  expect(await other.notifier.readBegin()).toBe(1);
  expect(await settled(begin, space)).toBe(false);
  expect(await settled(running, space)).toBe(false);
  hit.at.open();
  await running;
  expect(await begin).toBe(3);
});

it('inside a callback the notifier has the new sequence already: read_retry of the old one says true', async () => {
  const { space } = await bench();
  await map(space, 0, 1);
  const answers: boolean[] = [];
  const notifier = await space.insertIntervalNotifier(BASE, PAGE, {
    invalidate: (_range, sequence) => void answers.push(notifier.readRetry(1), notifier.readRetry(sequence)),
  });
  await dontneed(space, 0);
  expect(answers).toEqual([true, false]);
});

it('two invalidations at once share a sequence, and it steps when the last of them ends', async () => {
  const { space } = await bench();
  await map(space, 0, 16);
  // Threads are started with mmap_lock held for writing, for which they would wait later.
  await space.run([], { thread: 1 });
  await space.run([], { thread: 2 });
  const a = await gated(space, 0, 2);
  const b = await gated(space, 8, 2);
  const onOne = space.run([{ op: 'madvise', address: BASE, length: PAGE, advice: MADV_DONTNEED }], { thread: 1 });
  await a.at.arrived;
  const onTwo = space.run([{ op: 'madvise', address: BASE + 8 * PAGE, length: PAGE, advice: MADV_DONTNEED }], {
    thread: 2,
  });
  await b.at.arrived;
  expect([...a.calls, ...b.calls]).toEqual([3, 3]);
  const begin = a.notifier.readBegin();
  a.at.open();
  expect((await onOne)[0]?.error).toBeUndefined();
  // Its own invalidation is over, but read_begin waits for the end of all of them.
  expect(await settled(begin, space)).toBe(false);
  b.at.open();
  await onTwo;
  expect(await begin).toBe(3);
  await dontneed(space, 0);
  expect(a.calls).toEqual([3, 5]);
});

it('a notifier inserted during an invalidation is deferred: no callback of it, read_begin waits for its end', async () => {
  const { space } = await bench();
  await map(space, 0, 16);
  const first = await gated(space, 0, 16);
  const running = dontneed(space, 0);
  await first.at.arrived;
  const late = await record(space, BASE, 16 * PAGE);
  const begin = late.notifier.readBegin();
  expect(await settled(begin, space)).toBe(false);
  first.at.open();
  await running;
  await inTime(first);
  expect(await begin).toBe(3);
  expect(late.take()).toEqual([]);
  await dontneed(space, 1);
  expect(late.take()).toEqual(['clear 0x1000..0x2000']);
});

it('remove waits for an invalidation that is under way; afterwards no callback runs', async () => {
  const { space } = await bench();
  await map(space, 0, 16);
  const hit = await gated(space, 0, 4);
  const running = dontneed(space, 0);
  await hit.at.arrived;
  const removal = hit.notifier.remove();
  expect(await settled(removal, space)).toBe(false);
  hit.at.open();
  await Promise.all([running, removal]);
  await dontneed(space, 0);
  expect(hit.calls).toEqual([3]);
});

it('remove of a notifier that is still deferred does not wait', async () => {
  const { space } = await bench();
  await map(space, 0, 16);
  const first = await gated(space, 0, 16);
  const running = dontneed(space, 0);
  await first.at.arrived;
  const late = await record(space);
  await late.notifier.remove();
  first.at.open();
  await running;
  await inTime(first);
  await dontneed(space, 0);
  expect(late.sequences).toEqual([]);
});

it('remove with nothing under way: no callback any more, and the sequence no longer steps for its interval', async () => {
  const { space } = await bench();
  await map(space, 0, 16);
  const gone = await record(space, BASE, 4 * PAGE);
  const stays = await record(space, BASE + 8 * PAGE, PAGE);
  await dontneed(space, 0);
  await gone.notifier.remove();
  await dontneed(space, 0);
  await dontneed(space, 8);
  expect(gone.sequences).toEqual([3]);
  expect(stays.sequences).toEqual([5]);
});

it('hmm_range_fault asks the sequence first: EBUSY once the interval was invalidated, until read_begin is called again', async () => {
  const { hmm, space } = await bench();
  await map(space, 0, 4);
  const { notifier } = await record(space);
  const range = new HmmRange({ notifier, start: BASE, end: BASE + 4 * PAGE });
  range.notifierSequence = await notifier.readBegin();
  await hmm.rangeFault(range);
  await dontneed(space, 3);
  expect(await refusalCode(hmm.rangeFault(range))).toBe('EBUSY');
  expect(await refusalCode(hmm.rangeFault(range, { snapshot: true }))).toBe('EBUSY');
  range.notifierSequence = await notifier.readBegin();
  await hmm.rangeFault(range);
});

it('hmm_range_fault during an invalidation, with the sequence from before: EBUSY', async () => {
  const { hmm, space } = await bench();
  await map(space, 0, 4);
  const hit = await gated(space, 0, 4);
  const range = new HmmRange({ notifier: hit.notifier, start: BASE, end: BASE + PAGE });
  range.notifierSequence = await hit.notifier.readBegin();
  const running = dontneed(space, 0);
  await hit.at.arrived;
  expect(await refusalCode(hmm.rangeFault(range))).toBe('EBUSY');
  hit.at.open();
  await running;
});
