/** invalidate() in TypeScript runs while the operation that caused it waits, and that wait is bounded. */
import { HmmRange, MADV_DONTNEED, MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, type NotifierRange } from 'node-hmm';
import { expect, it } from 'vitest';
import { BASE, PAGE, bench, record, refusalCode, refused } from './support.js';

const ANON = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

async function mapped(pages: number, options?: { callbackTimeout?: number }) {
  const { hmm, space } = await bench(options);
  await space.mmap(pages * PAGE, { address: BASE, flags: ANON });
  await space.write(BASE, Uint8Array.of(0x5a));
  return { hmm, space };
}

it('munmap returns only after an async callback of 100 ms has finished, and the page is there until then', async () => {
  const { space } = await mapped(1);
  const order: string[] = [];
  let seenInside: Uint8Array | undefined;
  // Starting a thread takes mmap_lock for writing, and munmap holds it for reading while it waits: so not inside the callback.
  await space.run([], { thread: 1 });
  await space.insertIntervalNotifier(BASE, PAGE, {
    async invalidate(range: NotifierRange) {
      order.push(`begins ${range.event}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
      // Another thread of the process still reads its page: the page table has not been changed yet.
      const [result] = await space.run([{ op: 'read', address: BASE, length: 1 }], { thread: 1 });
      seenInside = result?.value as Uint8Array;
      order.push('ends');
    },
  });
  await space.munmap(BASE, PAGE);
  order.push('munmap returned');
  expect(order).toEqual(['begins unmap', 'ends', 'munmap returned']);
  expect(seenInside).toEqual(Uint8Array.of(0x5a));
  expect(await refused(space.read(BASE, 1))).toMatchObject({ code: 'EFAULT', address: BASE, signal: 'SIGSEGV' });
});

it('every callback of one event finishes before the operation goes on, one after the other', async () => {
  const { space } = await mapped(4);
  const order: string[] = [];
  for (const name of ['a', 'b', 'c']) {
    await space.insertIntervalNotifier(BASE, PAGE, {
      async invalidate() {
        order.push(`${name} begins`);
        await new Promise((resolve) => setTimeout(resolve, 5));
        order.push(`${name} ends`);
      },
    });
  }
  await space.munmap(BASE, PAGE);
  expect(order).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
});

it('a callback that never ends: the bound is kept, the next call says ETIMEDOUT, and all goes on', async () => {
  const { hmm, space } = await mapped(4, { callbackTimeout: 200 });
  let calls = 0;
  const notifier = await space.insertIntervalNotifier(BASE, 4 * PAGE, {
    invalidate: () => (calls++ === 0 ? new Promise<void>(() => undefined) : undefined),
  });
  await space.munmap(BASE, PAGE);
  expect(await refused(notifier.readBegin())).toMatchObject({ code: 'ETIMEDOUT', address: BASE });
  expect(await notifier.readBegin()).toBe(3);
  await space.munmap(BASE + PAGE, PAGE);
  expect(calls).toBe(2);
  expect(await notifier.readBegin()).toBe(5);
  await notifier.remove();
  await hmm.close();
});

it('a callback that ends too late: the operation has gone on, and the answer that comes late is let go', async () => {
  const { space } = await mapped(2, { callbackTimeout: 100 });
  let finish!: () => void;
  const late = new Promise<void>((resolve) => (finish = resolve));
  let calls = 0;
  const notifier = await space.insertIntervalNotifier(BASE, 2 * PAGE, {
    invalidate: () => (calls++ === 0 ? late : undefined),
  });
  await space.munmap(BASE, PAGE);
  finish();
  await late;
  expect(await refusalCode(notifier.readBegin())).toBe('ETIMEDOUT');
  await space.munmap(BASE + PAGE, PAGE);
  expect(await notifier.readBegin()).toBe(5);
});

it.each([
  [
    'throws',
    () => {
      throw new Error('driver bug');
    },
  ],
  ['rejects', () => Promise.reject(new Error('driver bug'))],
])(
  'a callback that %s: the operation succeeds, the next call on the notifier fails with the cause',
  async (_, invalidate) => {
    const { space } = await mapped(2);
    const notifier = await space.insertIntervalNotifier(BASE, 2 * PAGE, { invalidate });
    await space.munmap(BASE, PAGE);
    const error = await refused(notifier.readBegin());
    expect(error).toMatchObject({ code: 'ERR_HMM_CALLBACK', errno: 0 });
    expect((error.cause as Error).message).toBe('driver bug');
    expect(await notifier.readBegin()).toBe(3);
  },
);

it('a failure waits for rangeFault, readRetry or remove just as well, and is told once', async () => {
  const { hmm, space } = await mapped(2);
  const notifier = await space.insertIntervalNotifier(BASE, 2 * PAGE, {
    invalidate: () => {
      throw new Error('again');
    },
  });
  const range = new HmmRange({ notifier, start: BASE, end: BASE + PAGE });
  await space.munmap(BASE, PAGE);
  expect(await refusalCode(hmm.rangeFault(range))).toBe('ERR_HMM_CALLBACK');
  await space.madvise(BASE + PAGE, PAGE, MADV_DONTNEED);
  expect(() => notifier.readRetry(1)).toThrow(expect.objectContaining({ code: 'ERR_HMM_CALLBACK' }));
  await space.madvise(BASE + PAGE, PAGE, MADV_DONTNEED);
  expect(await refusalCode(notifier.remove())).toBe('ERR_HMM_CALLBACK');
  await notifier.remove();
});

it('false for a blockable event is not an answer: the operation goes on, the notifier complains', async () => {
  const { space } = await mapped(1);
  const notifier = await space.insertIntervalNotifier(BASE, PAGE, { invalidate: () => false });
  await space.munmap(BASE, PAGE);
  expect(await refusalCode(notifier.readBegin())).toBe('ERR_HMM_CALLBACK');
});

it('exit waits for the callbacks of its release, and then all is torn down', async () => {
  const { space } = await mapped(1);
  const seen: string[] = [];
  await space.insertIntervalNotifier(BASE, PAGE, {
    async invalidate({ event }) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      seen.push(event);
    },
  });
  await space.exit();
  expect(seen).toEqual(['release', 'unmap']);
});

it('a fault by hmm_range_fault whose own CLEAR has an async callback does not wait for itself', async () => {
  const { hmm, space } = await mapped(4);
  await space.read(BASE + PAGE, 1);
  const events: string[] = [];
  const notifier = await space.insertIntervalNotifier(BASE, 4 * PAGE, {
    async invalidate({ event }) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      events.push(event);
    },
  });
  const range = new HmmRange({ notifier, start: BASE + PAGE, end: BASE + 2 * PAGE, defaultFlags: 3n << 62n });
  range.notifierSequence = await notifier.readBegin();
  expect(await refusalCode(hmm.rangeFault(range))).toBe('EBUSY');
  expect(events).toEqual(['clear']);
  range.notifierSequence = await notifier.readBegin();
  await hmm.rangeFault(range);
});

it('many notifiers, many events: each callback ran exactly as often as it was met', async () => {
  const { space } = await mapped(64);
  const counts = new Array<number>(64).fill(0);
  for (let page = 0; page < 64; page++) {
    await space.insertIntervalNotifier(BASE + page * PAGE, PAGE, { invalidate: () => void counts[page]!++ });
  }
  const whole = await record(space);
  const operations = Array.from({ length: 64 }, (_, page) => ({
    op: 'madvise' as const,
    address: BASE,
    length: (page + 1) * PAGE,
    advice: MADV_DONTNEED,
  }));
  await space.run(operations);
  expect(counts).toEqual(Array.from({ length: 64 }, (_, page) => 64 - page));
  expect(whole.take()).toHaveLength(64);
});

it('several callbacks that never end: one bound for the invalidation, and each notifier says ETIMEDOUT', async () => {
  const { space } = await mapped(2, { callbackTimeout: 500 });
  const silent = { invalidate: () => new Promise<void>(() => undefined) };
  const notifiers = [];
  for (let count = 0; count < 12; count++) notifiers.push(await space.insertIntervalNotifier(BASE, PAGE, silent));
  const began = performance.now();
  await space.munmap(BASE, PAGE);
  // Twelve bounds would be six seconds.
  expect(performance.now() - began).toBeLessThan(3_000);
  for (const notifier of notifiers) expect(await refusalCode(notifier.readBegin())).toBe('ETIMEDOUT');
});

it('the end of a process waits for one bound, though it sends two events', async () => {
  const { space } = await mapped(1, { callbackTimeout: 1_000 });
  const events: string[] = [];
  for (let count = 0; count < 6; count++) {
    await space.insertIntervalNotifier(BASE, PAGE, {
      invalidate: (range) => (events.push(range.event), new Promise<void>(() => undefined)),
    });
  }
  const began = performance.now();
  await space.exit();
  expect(performance.now() - began).toBeLessThan(4_000);
  expect(events.filter((event) => event === 'release')).toHaveLength(6);
  expect(events.filter((event) => event === 'unmap')).toHaveLength(6);
});

it('one that is called when the bound has run out was not waited for, and says so, however quick it is', async () => {
  const { space } = await mapped(2, { callbackTimeout: 500 });
  const silent = await space.insertIntervalNotifier(BASE, PAGE, {
    invalidate: () => new Promise<void>(() => undefined),
  });
  let calls = 0;
  const quick = await space.insertIntervalNotifier(BASE, PAGE, { invalidate: () => void calls++ });
  await space.munmap(BASE, PAGE);
  expect(await refusalCode(silent.readBegin())).toBe('ETIMEDOUT');
  expect(await refusalCode(quick.readBegin())).toBe('ETIMEDOUT');
  expect(calls).toBe(1);
});

it('a callback that ends in time is not told so because another one did not', async () => {
  const { space } = await mapped(2, { callbackTimeout: 500 });
  const quick = await space.insertIntervalNotifier(BASE, PAGE, { invalidate: async () => undefined });
  const silent = await space.insertIntervalNotifier(BASE, PAGE, {
    invalidate: () => new Promise<void>(() => undefined),
  });
  await space.munmap(BASE, PAGE);
  expect(await refusalCode(silent.readBegin())).toBe('ETIMEDOUT');
  expect(await quick.readBegin()).toBe(3);
});
