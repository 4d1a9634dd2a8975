import { describe, expect, test } from 'vitest';
import { HMM_PFN_REQ_FAULT, HMM_PFN_REQ_WRITE } from '../../lib/constants.js';
import { BASE, GIB, MIB2, PAGE, R, RW, SHARED, openWorld, words } from './world.js';
import type { BackendNotifier } from '../../lib/backend.js';
import type { World } from './world.js';

const FAULT = HMM_PFN_REQ_FAULT;
const WRITE = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE;

async function listening(): Promise<[World, BackendNotifier]> {
  const world = await openWorld();
  return [world, await world.listen()];
}

describe('what a page says, and what it needs', () => {
  test.each([
    ['no mapping', () => undefined, 'E', 'EFAULT', 'EFAULT'],
    ['PROT_NONE', (world: World) => world.map(0, PAGE, 0), 'E', 'EFAULT', 'EFAULT'],
    ['PROT_WRITE alone', (world: World) => world.map(0, PAGE, 2), 'E', 'EFAULT', 'EFAULT'],
    ['untouched', (world: World) => world.map(0, PAGE), '0', 'V', 'VW'],
    ['untouched, read-only', (world: World) => world.map(0, PAGE, R), '0', 'V', 'EPERM'],
    ['zero page', (world: World) => (world.map(0, PAGE), world.look(0)), 'V', 'V', 'EBUSY'],
    ['written', (world: World) => (world.map(0, PAGE), world.touch(0)), 'VW', 'VW', 'VW'],
    ['shared, read', (world: World) => (world.map(0, PAGE, RW, SHARED), world.look(0)), 'VW', 'VW', 'VW'],
    ['shared, read-only', (world: World) => (world.map(0, PAGE, R, SHARED), world.look(0)), 'V', 'V', 'EPERM'],
  ])('%s', async (_name, prepare, snapshot, fault, write) => {
    const answers: string[] = [];
    for (const flags of [0n, FAULT, WRITE]) {
      const [world, notifier] = await listening();
      prepare(world);
      answers.push(await world.pages(notifier, 0, PAGE, flags));
    }
    expect(answers).toEqual([snapshot, fault, write]);
  });

  test('after EBUSY over zero pages the second call succeeds', async () => {
    const [world, notifier] = await listening();
    world.map(0, 2 * PAGE);
    world.look(0, 2 * PAGE);
    expect(await world.pages(notifier, 0, 2 * PAGE, WRITE)).toBe('EBUSY');
    expect(world.events()).toEqual(['clear +0x0..+0x1000', 'clear +0x1000..+0x2000']);
    expect(await world.pages(notifier, 0, 2 * PAGE, WRITE)).toBe('VW VW');
  });

  test('REQ_WRITE alone asks for nothing', async () => {
    const [world, notifier] = await listening();
    world.map(0, PAGE);
    expect(await world.pages(notifier, 0, PAGE, HMM_PFN_REQ_WRITE)).toBe('0');
  });
});

describe('the walk', () => {
  test('the first page that needs a fault takes the rest of its stretch along, and no further', async () => {
    const [world, notifier] = await listening();
    world.map(0, 2 * MIB2);
    world.touch(MIB2 - 4 * PAGE);
    const inputs = [0n, 0n, FAULT, 0n, 0n, 0n];
    const from = MIB2 - 4 * PAGE;
    expect(await world.pages(notifier, from, MIB2 + 2 * PAGE, 0n, inputs, FAULT)).toBe('VW 0 V V 0 0');
  });

  test('a hole is faulted as a whole if one page asks, for writing if one asks for that', async () => {
    const [world, notifier] = await listening();
    world.map(0, 4 * PAGE);
    expect(await world.pages(notifier, 0, 4 * PAGE, 0n, [0n, 0n, WRITE, 0n], WRITE)).toBe('VW VW VW VW');
  });

  test('a read request before a write request: zero pages first, then EBUSY by their CLEARs, with outputs so far', async () => {
    const [world, notifier] = await listening();
    world.map(0, 4 * PAGE);
    world.touch(0);
    const pfns = BigUint64Array.of(FAULT, FAULT, WRITE, FAULT);
    expect(await world.fault(notifier, 0, 4 * PAGE, pfns, 0n, WRITE)).toBe('EBUSY');
    expect(words(pfns)).toBe('VW V VW V');
    expect(pfns[2]).toBe(WRITE);
    expect(world.events()).toEqual(['clear +0x2000..+0x3000', 'clear +0x3000..+0x4000']);
  });

  test('a gap at the end: what is before it is faulted and reported, then EFAULT', async () => {
    const [world, notifier] = await listening();
    world.map(0, 2 * PAGE);
    const pfns = new BigUint64Array(3).fill(7n);
    expect(await world.fault(notifier, 0, 3 * PAGE, pfns, FAULT)).toBe('EFAULT');
    expect(words(pfns)).toBe('V V 0');
    expect(pfns[2]).toBe(7n);
    expect(await world.pages(notifier, 0, 3 * PAGE)).toBe('V V E');
  });

  test('a sequence that has passed is EBUSY before anything is walked', async () => {
    const [world, notifier] = await listening();
    world.map(0, PAGE);
    const sequence = await notifier.readBegin();
    world.run({ op: 'madvise', address: BASE, length: PAGE, advice: 4 });
    const pfns = BigUint64Array.of(5n);
    const range = {
      notifier,
      start: BASE,
      end: BASE + PAGE,
      revision: 0,
      notifierSequence: sequence,
      pfnFlagsMask: 0n,
      owner: null,
      pfns,
    };
    expect(() => world.space.rangeFault({ ...range, defaultFlags: 0n })).toThrow(
      expect.objectContaining({ code: 'EBUSY' }) as Error,
    );
    expect(pfns[0]).toBe(5n);
  });

  test('beyond the end of a file: EFAULT; what the cache has around is mapped', async () => {
    const [world, notifier] = await listening();
    const file = await world.space.createFile(2 * PAGE);
    world.run({ op: 'mmap', address: BASE, length: 3 * PAGE, flags: 0x11, file });
    world.touch(0);
    world.touch(PAGE);
    world.run({ op: 'madvise', address: BASE, length: 3 * PAGE, advice: 4 });
    expect(await world.pages(notifier, 2 * PAGE, 3 * PAGE, FAULT)).toBe('EFAULT');
    expect(await world.pages(notifier, 0, 3 * PAGE)).toBe('VW VW 0');
  });

  test('arguments come before the sequence', async () => {
    const [world, notifier] = await listening();
    const narrow = await world.space.insertNotifier(BASE, PAGE, { invalidate: () => true, timedOut: () => undefined });
    const call = (over: BackendNotifier, start: number, end: number, pages: number): unknown =>
      world.space.rangeFault({
        notifier: over,
        start,
        end,
        revision: 0,
        notifierSequence: 99,
        defaultFlags: 0n,
        pfnFlagsMask: 0n,
        owner: null,
        pfns: new BigUint64Array(pages),
      });
    const einval = expect.objectContaining({ code: 'EINVAL', syscall: 'hmm_range_fault' }) as Error;
    expect(() => call(notifier, BASE, BASE, 0)).toThrow(einval);
    expect(() => call(notifier, BASE + 1, BASE + PAGE, 1)).toThrow(einval);
    expect(() => call(narrow, BASE, BASE + 2 * PAGE, 2)).toThrow(einval);
    expect(() => call(notifier, BASE, BASE + 4 * GIB + PAGE, 1)).toThrow(einval);
    await world.space.exit();
    expect(() => call(notifier, BASE, BASE + PAGE, 1)).toThrow(expect.objectContaining({ code: 'EFAULT' }) as Error);
  });
});
