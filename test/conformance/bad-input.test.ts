/** Arguments that make no sense: a clear error at once, nothing half done, and the object as good as before. */
import {
  HmmRange,
  Lock,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  openHmm,
  type AddressSpace,
  type Hmm,
  type IntervalNotifier,
  type Mirror,
} from 'node-hmm';
import { describe, expect, it } from 'vitest';
import { BASE, PAGE, bench, openTarget, refusalCode } from './support.js';

interface Objects {
  readonly hmm: Hmm;
  readonly space: AddressSpace;
  readonly notifier: IntervalNotifier;
  readonly mirror: Mirror;
}

/** What JavaScript can pass and TypeScript would not let it: never fits everywhere. */
type Call = (objects: Objects, bad: never) => unknown;

const notNumbers = [undefined, null, '4096', 4096n, {}, [], true];
const notIntegers = [NaN, Infinity, -Infinity, 0.5, -1, -4096, 2 ** 53, 1e300];

const numbers: readonly [string, Call][] = [
  ['mmap length', ({ space }, bad) => space.mmap(bad)],
  ['mmap address', ({ space }, bad) => space.mmap(PAGE, { address: bad ?? null })],
  ['mmap offset', ({ space }, bad) => space.mmap(PAGE, { offset: bad ?? null })],
  ['munmap address', ({ space }, bad) => space.munmap(bad, PAGE)],
  ['munmap length', ({ space }, bad) => space.munmap(BASE, bad)],
  ['mprotect address', ({ space }, bad) => space.mprotect(bad, PAGE, 1)],
  ['mprotect length', ({ space }, bad) => space.mprotect(BASE, bad, 1)],
  ['madvise address', ({ space }, bad) => space.madvise(bad, PAGE, 4)],
  ['madvise length', ({ space }, bad) => space.madvise(BASE, bad, 4)],
  ['mremap address', ({ space }, bad) => space.mremap(bad, PAGE, PAGE)],
  ['mremap old length', ({ space }, bad) => space.mremap(BASE, bad, PAGE)],
  ['mremap new length', ({ space }, bad) => space.mremap(BASE, PAGE, bad)],
  ['read address', ({ space }, bad) => space.read(bad, 1)],
  ['read length', ({ space }, bad) => space.read(BASE, bad)],
  ['write address', ({ space }, bad) => space.write(bad, Uint8Array.of(1))],
  ['createFile length', ({ space }, bad) => space.createFile(bad)],
  ['insertIntervalNotifier start', ({ space }, bad) => space.insertIntervalNotifier(bad, PAGE, { invalidate() {} })],
  ['insertIntervalNotifier length', ({ space }, bad) => space.insertIntervalNotifier(BASE, bad, { invalidate() {} })],
  ['mirror start', ({ hmm, space }, bad) => space.mirror(hmm.devices[0]!, { start: bad, length: PAGE })],
  ['mirror length', ({ hmm, space }, bad) => space.mirror(hmm.devices[0]!, { start: BASE, length: bad })],
  ['readRetry sequence', ({ notifier }, bad) => notifier.readRetry(bad)],
  ['HmmRange start', ({ notifier }, bad) => new HmmRange({ notifier, start: bad, end: BASE })],
  ['HmmRange end', ({ notifier }, bad) => new HmmRange({ notifier, start: BASE, end: bad })],
  [
    'notifierSequence',
    ({ notifier }, bad) => (new HmmRange({ notifier, start: BASE, end: BASE + PAGE }).notifierSequence = bad),
  ],
  ['populate start', ({ mirror }, bad) => mirror.populate(bad, BASE)],
  ['populate end', ({ mirror }, bad) => mirror.populate(BASE, bad)],
  ['mirror.read address', ({ mirror }, bad) => mirror.read(bad, 1)],
  ['mirror.read length', ({ mirror }, bad) => mirror.read(BASE, bad)],
  ['mirror.write address', ({ mirror }, bad) => mirror.write(bad, Uint8Array.of(1))],
  ['mirror.snapshot start', ({ mirror }, bad) => mirror.snapshot(bad, BASE)],
  ['mirror.snapshot end', ({ mirror }, bad) => mirror.snapshot(BASE, bad)],
  ['migrateToDevice start', ({ mirror }, bad) => mirror.migrateToDevice(bad, BASE)],
  ['migrateToDevice end', ({ mirror }, bad) => mirror.migrateToDevice(BASE, bad)],
  ['migrateToSystem start', ({ mirror }, bad) => mirror.migrateToSystem(bad, BASE)],
  ['migrateToSystem end', ({ mirror }, bad) => mirror.migrateToSystem(BASE, bad)],
  ['makeExclusive start', ({ mirror }, bad) => mirror.makeExclusive(bad, BASE)],
  ['makeExclusive end', ({ mirror }, bad) => mirror.makeExclusive(BASE, bad)],
  ['atomicAdd address', ({ mirror }, bad) => mirror.atomicAdd(bad, 1n)],
  ['pageTable.get address', ({ mirror }, bad) => mirror.pageTable.get(bad)],
  ['run thread', ({ space }, bad) => space.run([], { thread: bad ?? null })],
];

const shapes: readonly [string, Call, readonly unknown[]][] = [
  ['mmap options', ({ space }, bad) => space.mmap(PAGE, bad), [null, 5, 'x', [], { adress: 1 }, { file: {} }]],
  ['mmap flags', ({ space }, bad) => space.mmap(PAGE, { flags: bad }), ['x', 1n, {}]],
  [
    'write bytes',
    ({ space }, bad) => space.write(BASE, bad),
    [undefined, null, 'x', [1], new ArrayBuffer(4), new Uint16Array(2)],
  ],
  ['run operations', ({ space }, bad) => space.run(bad), [undefined, null, {}, 'x', [null], [{}], [{ op: 5 }]]],
  [
    'run operation keys',
    ({ space }, bad) => space.run([bad]),
    [{ op: 'munmap', addr: BASE, length: PAGE }, { op: 'munmap' }],
  ],
  [
    'notifier ops',
    ({ space }, bad) => space.insertIntervalNotifier(BASE, PAGE, bad),
    [undefined, null, {}, { invalidate: 5 }, 'x'],
  ],
  [
    'mirror device',
    ({ space }, bad) => space.mirror(bad, { start: BASE, length: PAGE }),
    [undefined, null, {}, 0, 'x'],
  ],
  [
    'mirror span',
    ({ hmm, space }, bad) => space.mirror(hmm.devices[0]!, bad),
    [undefined, null, 5, { start: BASE }, { start: BASE, end: BASE }],
  ],
  ['rangeFault range', ({ hmm }, bad) => hmm.rangeFault(bad), [undefined, null, {}, { start: BASE }]],
  [
    'rangeFault options',
    ({ hmm, notifier }, bad) => hmm.rangeFault(new HmmRange({ notifier, start: BASE, end: BASE + PAGE }), bad),
    [null, 5, { snapshots: true }, { snapshot: 1 }],
  ],
  ['HmmRange init', (_, bad) => new HmmRange(bad), [undefined, null, {}, { notifier: {} }]],
  [
    'HmmRange flags',
    ({ notifier }, bad) =>
      new HmmRange({ notifier, start: BASE, end: BASE + PAGE, defaultFlags: bad, pfnFlagsMask: bad }),
    [1, 'x', null],
  ],
  [
    'populate options',
    ({ mirror }, bad) => mirror.populate(BASE, BASE + PAGE, bad),
    [null, { writes: true }, { write: 1 }, { write: true, snapshot: true }],
  ],
  ['mirror.write bytes', ({ mirror }, bad) => mirror.write(BASE, bad), [undefined, [1], 'x']],
  ['atomicAdd value', ({ mirror }, bad) => mirror.atomicAdd(BASE, bad), [undefined, null, 1, '1', {}]],
  [
    'device.read space',
    ({ hmm }, bad) => hmm.devices[0]!.read(bad, BASE, 0, new BigUint64Array(0)),
    [undefined, null, {}, 5],
  ],
  [
    'device.read entries',
    ({ hmm, space }, bad) => hmm.devices[0]!.read(space, BASE, 1, bad),
    [undefined, [1n], new Uint8Array(8)],
  ],
  [
    'openHmm options',
    (_, bad) => openHmm(bad),
    [null, 5, { backends: 'kernel' }, { scheduler: {} }, { device: 5, backend: 'kernel' }],
  ],
  [
    'openHmm devices',
    (_, bad) => openHmm({ backend: 'simulation', devices: bad }),
    [null, 5, {}, [null], [{}], [{ kind: 'none' }], [{ kind: 5, capacity: 1 }], [{ kind: 'private', capacity: 1n }]],
  ],
  ['openHmm devices of a kernel', (_, bad) => openHmm({ backend: 'kernel', devices: bad }), [[]]],
  ['openHmm device of a simulation', (_, bad) => openHmm({ device: '/dev/x', devices: bad }), [[]]],
  [
    'createLock options',
    ({ hmm }, bad) => hmm.createLock(bad),
    [null, 5, 'pt', { nam: 'pt' }, { name: 5 }, { name: '' }],
  ],
  ['Lock critical section', ({ hmm }, bad) => hmm.createLock().run(bad), [undefined, 5]],
];

const ranges: readonly [string, Call, readonly unknown[]][] = [
  ['openHmm backend', (_, bad) => openHmm({ backend: bad }), ['qemu', '']],
  ['openHmm kernel', (_, bad) => openHmm({ backend: 'simulation', kernel: bad }), ['5.4', '6']],
  ['openHmm callbackTimeout', (_, bad) => openHmm({ backend: 'simulation', callbackTimeout: bad }), [0, 60001, NaN]],
  [
    'openHmm devices',
    (_, bad) => openHmm({ backend: 'simulation', devices: bad }),
    [
      Array.from({ length: 9 }, () => ({ kind: 'none', capacity: 0 })),
      [{ kind: 'none', capacity: 1 }],
      [{ kind: 'private', capacity: 0 }],
      [{ kind: 'coherent', capacity: 2 ** 20 + 1 }],
      [{ kind: 'public', capacity: 1 }],
    ],
  ],
  ['atomicAdd value', ({ mirror }, bad) => mirror.atomicAdd(BASE, bad), [-(2n ** 63n) - 1n, 2n ** 64n]],
  ['mmap protection', ({ space }, bad) => space.mmap(PAGE, { protection: bad }), [2 ** 31, 0.5, NaN]],
  ['thread', ({ space }, bad) => space.run([], { thread: bad }), [16, -1, 1.5]],
  ['operation name', ({ space }, bad) => space.run([{ op: bad } as never]), ['mumap', '']],
  ['read length', ({ space }, bad) => space.read(BASE, bad), [2 ** 31, 2 ** 52]],
  [
    'an address and a length that no number can add',
    ({ space }, bad) => space.read(bad, 100),
    [Number.MAX_SAFE_INTEGER],
  ],
  ['HmmRange pages', ({ notifier }, bad) => new HmmRange({ notifier, start: 0, end: bad }), [2 ** 40, 2 ** 52]],
  [
    'HmmRange flags',
    ({ notifier }, bad) => new HmmRange({ notifier, start: BASE, end: BASE, defaultFlags: bad }),
    [-1n, 1n << 64n],
  ],
  [
    'device.read entries',
    ({ hmm, space }, bad) => hmm.devices[0]!.read(space, BASE + PAGE - 1, 2, bad),
    [new BigUint64Array(1), new BigUint64Array(3)],
  ],
];

async function objects(): Promise<Objects> {
  const { hmm, space } = await bench();
  await space.mmap(4 * PAGE, { address: BASE, flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED });
  await space.write(BASE, Uint8Array.of(77));
  const notifier = await space.insertIntervalNotifier(BASE, 4 * PAGE, { invalidate: () => undefined });
  return { hmm, space, notifier, mirror: await space.mirror(hmm.devices[0]!, { start: BASE, length: 4 * PAGE }) };
}

/** Nothing was touched: the memory is there, no invalidation was seen, and the loop works. */
async function asBefore({ space, notifier, mirror }: Objects): Promise<void> {
  expect(await space.read(BASE, 1)).toEqual(Uint8Array.of(77));
  expect(await mirror.read(BASE, 1)).toEqual(Uint8Array.of(77));
  expect(mirror.takeEvents()).toEqual([]);
  expect(await notifier.readBegin()).toBe(1);
}

async function thrownBy(call: () => unknown): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    return error;
  }
  return 'nothing';
}

async function expectAll(call: Call, values: readonly unknown[], type: new (message?: string) => Error): Promise<void> {
  const all = await objects();
  for (const bad of values) {
    const error = await thrownBy(() => call(all, bad as never));
    expect(error, `for ${String(bad)}`).toBeInstanceOf(type);
    expect((error as Error).message.length).toBeGreaterThan(10);
  }
  await asBefore(all);
}

describe('the wrong type is a TypeError', () => {
  it.each(numbers)('%s', (_, call) => expectAll(call, notNumbers, TypeError));
  it.each(shapes)('%s', (_, call, values) => expectAll(call, values, TypeError));
});

describe('an impossible number is a RangeError', () => {
  it.each(numbers)('%s', (_, call) => expectAll(call, notIntegers, RangeError));
  it.each(ranges)('%s', (_, call, values) => expectAll(call, values, RangeError));
});

it('objects of another Hmm are refused', async () => {
  const mine = await objects();
  const other = await openTarget();
  const foreign = await other.createAddressSpace();
  const file = await foreign.createFile(PAGE);
  expect(await thrownBy(() => mine.space.mirror(other.devices[0]!, { start: BASE, length: PAGE }))).toBeInstanceOf(
    TypeError,
  );
  expect(await thrownBy(() => mine.space.mmap(PAGE, { file }))).toBeInstanceOf(TypeError);
  expect(await thrownBy(() => mine.hmm.devices[0]!.read(foreign, BASE, 0, new BigUint64Array(0)))).toBeInstanceOf(
    TypeError,
  );
  const range = new HmmRange({ notifier: mine.notifier, start: BASE, end: BASE + PAGE });
  expect(await thrownBy(() => other.rangeFault(range))).toBeInstanceOf(TypeError);
  expect(await thrownBy(() => (range.devPrivateOwner = other.devices[0]!))).toBeInstanceOf(TypeError);
  await asBefore(mine);
});

it('what only the kernel can refuse is refused with its errno', async () => {
  const all = await objects();
  const { hmm, space } = all;
  const ops = { invalidate: () => undefined };
  expect(await refusalCode(space.insertIntervalNotifier(BASE, 0, ops))).toBe('EOVERFLOW');
  const device = hmm.devices[0]!;
  expect(await refusalCode(space.mirror(device, { start: BASE, length: 0 }))).toBe('EOVERFLOW');
  expect(await refusalCode(space.mirror(device, { start: BASE + 1, length: PAGE }))).toBe('EINVAL');
  expect(await refusalCode(space.mirror(device, { start: BASE, length: PAGE + 1 }))).toBe('EINVAL');
  const { mirror } = all;
  for (const [start, end] of [
    [BASE, BASE],
    [BASE + PAGE, BASE],
    [BASE + 1, BASE + PAGE],
    [BASE, BASE + 1],
  ] as const) {
    expect(await refusalCode(mirror.migrateToDevice(start, end))).toBe('EINVAL');
    expect(await refusalCode(mirror.migrateToSystem(start, end))).toBe('EINVAL');
    expect(await refusalCode(mirror.makeExclusive(start, end))).toBe('EINVAL');
  }
  expect(await refusalCode(mirror.atomicAdd(BASE + 4, 1n))).toBe('EINVAL');
  await asBefore(all);
});

it('a lock that is not held cannot be released', async () => {
  const { hmm } = await objects();
  const lock = hmm.createLock();
  expect(lock).toBeInstanceOf(Lock);
  expect(await thrownBy(() => lock.release())).toMatchObject({ code: 'EINVAL' });
  const held = await lock.acquire();
  held[Symbol.dispose]();
  held[Symbol.dispose]();
  expect(await thrownBy(() => lock.release())).toMatchObject({ code: 'EINVAL' });
  expect(await lock.run(() => 5)).toBe(5);
  expect(await thrownBy(() => lock.run(() => Promise.reject(new Error('inside'))))).toMatchObject({
    message: 'inside',
  });
  await lock.run(() => undefined);
});

it('an interval of no whole pages is one: the kernel asks for no alignment', async () => {
  const { space } = await bench();
  const seen: number[] = [];
  await space.mmap(2 * PAGE, { address: BASE, flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED });
  const notifier = await space.insertIntervalNotifier(BASE + 5, 7, {
    invalidate: ({ start }) => void seen.push(start),
  });
  expect([notifier.start, notifier.length]).toEqual([BASE + 5, 7]);
  await space.munmap(BASE + PAGE, PAGE);
  await space.munmap(BASE, PAGE);
  expect(seen).toEqual([BASE]);
});
