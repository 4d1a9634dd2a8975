/** Every operation in every state that an object can be in: what is allowed, and what it is refused with. */
import {
  HmmRange,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  type AddressSpace,
  type Hmm,
  type IntervalNotifier,
  type Mirror,
} from 'node-hmm';
import { describe, expect, it } from 'vitest';
import { BASE, PAGE, bench } from './support.js';

interface Objects {
  readonly hmm: Hmm;
  readonly space: AddressSpace;
  readonly notifier: IntervalNotifier;
  readonly range: HmmRange;
  readonly mirror: Mirror;
}

const states: Readonly<Record<string, (objects: Objects) => Promise<void>>> = {
  open: async () => undefined,
  'notifier and mirror removed': async ({ notifier, mirror }) => {
    await notifier.remove();
    await mirror.remove();
  },
  'process gone': ({ space }) => space.exit(),
  'address space closed': ({ space }) => space[Symbol.asyncDispose](),
  'Hmm closed': ({ hmm }) => hmm.close(),
};

const C = 'ERR_HMM_CLOSED';

/** Answers of what not every kernel can do: the features say which, and then it is refused before anything else is looked at. */
const MEMORY = 'ok with device memory';
const MEMORY_EFAULT = 'EFAULT with device memory';
const EXCLUSIVE = 'ok with exclusive access';
const EXCLUSIVE_EFAULT = 'EFAULT with exclusive access';

function expected(answer: string, { hmm }: Objects): string {
  const [code, needs] = answer.split(' with ');
  if (needs === undefined) return answer;
  const there = needs === 'device memory' ? hmm.devices[0]!.capacity > 0 : hmm.features.exclusive;
  return there ? code! : 'EOPNOTSUPP';
}

/** What each operation answers, in the order of `states`: 'ok' or a code. */
const operations: readonly [string, (objects: Objects) => unknown, readonly string[]][] = [
  ['hmm.createAddressSpace', ({ hmm }) => hmm.createAddressSpace(), ['ok', 'ok', 'ok', 'ok', C]],
  ['hmm.createLock', ({ hmm }) => hmm.createLock(), ['ok', 'ok', 'ok', 'ok', C]],
  ['hmm.rangeFault', ({ hmm, range }) => hmm.rangeFault(range), ['ok', C, 'EFAULT', C, C]],
  ['hmm.close', ({ hmm }) => hmm.close(), ['ok', 'ok', 'ok', 'ok', 'ok']],
  ['space.mmap', ({ space }) => space.mmap(PAGE), ['ok', 'ok', 'ESRCH', C, C]],
  ['space.munmap', ({ space }) => space.munmap(BASE, PAGE), ['ok', 'ok', 'ESRCH', C, C]],
  ['space.mprotect', ({ space }) => space.mprotect(BASE, PAGE, 1), ['ok', 'ok', 'ESRCH', C, C]],
  ['space.madvise', ({ space }) => space.madvise(BASE, PAGE, 4), ['ok', 'ok', 'ESRCH', C, C]],
  ['space.mremap', ({ space }) => space.mremap(BASE, PAGE, PAGE), ['ok', 'ok', 'ESRCH', C, C]],
  ['space.read', ({ space }) => space.read(BASE, 1), ['ok', 'ok', 'ESRCH', C, C]],
  ['space.write', ({ space }) => space.write(BASE, Uint8Array.of(1)), ['ok', 'ok', 'ESRCH', C, C]],
  ['space.run', ({ space }) => space.run([{ op: 'read', address: BASE, length: 1 }]), ['ok', 'ok', 'ESRCH', C, C]],
  ['space.createFile', ({ space }) => space.createFile(PAGE), ['ok', 'ok', 'ESRCH', C, C]],
  ['space.fork', ({ space }) => space.fork(), ['ok', 'ok', 'ESRCH', C, C]],
  ['space.exit', ({ space }) => space.exit(), ['ok', 'ok', 'ok', C, C]],
  ['space dispose', ({ space }) => space[Symbol.asyncDispose](), ['ok', 'ok', 'ok', 'ok', 'ok']],
  [
    'space.insertIntervalNotifier',
    ({ space }) => space.insertIntervalNotifier(BASE, PAGE, { invalidate: () => undefined }),
    ['ok', 'ok', 'EFAULT', C, C],
  ],
  [
    'space.mirror',
    ({ hmm, space }) => space.mirror(hmm.devices[0]!, { start: BASE, length: PAGE }),
    ['ok', 'ok', 'EFAULT', C, C],
  ],
  ['notifier.readBegin', ({ notifier }) => notifier.readBegin(), ['ok', C, 'ok', C, C]],
  ['notifier.readRetry', ({ notifier }) => notifier.readRetry(1), ['ok', C, 'ok', C, C]],
  ['notifier.remove', ({ notifier }) => notifier.remove(), ['ok', C, 'ok', C, C]],
  ['notifier dispose', ({ notifier }) => notifier[Symbol.asyncDispose](), ['ok', 'ok', 'ok', 'ok', 'ok']],
  ['new HmmRange', ({ notifier }) => new HmmRange({ notifier, start: BASE, end: BASE + PAGE }), ['ok', C, 'ok', C, C]],
  ['mirror.populate', ({ mirror }) => mirror.populate(BASE, BASE + PAGE), ['ok', C, 'EFAULT', C, C]],
  ['mirror.read', ({ mirror }) => mirror.read(BASE, 1), ['ok', C, 'EFAULT', C, C]],
  ['mirror.write', ({ mirror }) => mirror.write(BASE, Uint8Array.of(1)), ['ok', C, 'EFAULT', C, C]],
  ['mirror.snapshot', ({ mirror }) => mirror.snapshot(BASE, BASE + PAGE), ['ok', C, 'EFAULT', C, C]],
  ['mirror.pageTable.entries', ({ mirror }) => mirror.pageTable.entries(BASE, BASE + PAGE), ['ok', C, 'ok', C, C]],
  [
    'mirror.migrateToDevice',
    ({ mirror }) => mirror.migrateToDevice(BASE, BASE + PAGE),
    [MEMORY, C, MEMORY_EFAULT, C, C],
  ],
  [
    'mirror.migrateToSystem',
    ({ mirror }) => mirror.migrateToSystem(BASE, BASE + PAGE),
    [MEMORY, C, MEMORY_EFAULT, C, C],
  ],
  [
    'mirror.makeExclusive',
    ({ mirror }) => mirror.makeExclusive(BASE, BASE + PAGE),
    [EXCLUSIVE, C, EXCLUSIVE_EFAULT, C, C],
  ],
  ['mirror.atomicAdd', ({ mirror }) => mirror.atomicAdd(BASE, 1n), [EXCLUSIVE, C, EXCLUSIVE_EFAULT, C, C]],
  [
    'mirror.updateLock.acquire',
    async ({ mirror }) => (await mirror.updateLock.acquire()).release(),
    ['ok', C, 'ok', C, C],
  ],
  ['mirror.updateLock.tryAcquire', ({ mirror }) => mirror.updateLock.tryAcquire()!.release(), ['ok', C, 'ok', C, C]],
  ['mirror.updateLock.run', ({ mirror }) => mirror.updateLock.run(() => 5), ['ok', C, 'ok', C, C]],
  ['mirror.takeEvents', ({ mirror }) => mirror.takeEvents(), ['ok', 'ok', 'ok', 'ok', 'ok']],
  ['mirror.remove', ({ mirror }) => mirror.remove(), ['ok', C, 'ok', C, C]],
  ['mirror dispose', ({ mirror }) => mirror[Symbol.asyncDispose](), ['ok', 'ok', 'ok', 'ok', 'ok']],
  [
    'device.read',
    ({ hmm, space, range }) => hmm.devices[0]!.read(space, BASE, 1, range.pfns),
    ['ok', 'ok', 'EFAULT', C, C],
  ],
  ['device.usage', ({ hmm }) => hmm.devices[0]!.usage(), ['ok', 'ok', 'ok', 'ok', C]],
  ['device.evict', ({ hmm }) => hmm.devices[0]!.evict(), [MEMORY, MEMORY, MEMORY, MEMORY, C]],
];

async function outcome(operation: () => unknown): Promise<string> {
  try {
    await operation();
    return 'ok';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

describe.each(Object.entries(states))('%s', (name, enter) => {
  const column = Object.keys(states).indexOf(name);
  it.each(operations)('%s', async (_, operation, answers) => {
    const { hmm, space } = await bench();
    await space.mmap(PAGE, { address: BASE, flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED });
    await space.write(BASE, Uint8Array.of(1));
    const notifier = await space.insertIntervalNotifier(BASE, PAGE, { invalidate: () => undefined });
    const mirror = await space.mirror(hmm.devices[0]!, { start: BASE, length: PAGE });
    const range = new HmmRange({ notifier, start: BASE, end: BASE + PAGE });
    range.notifierSequence = await notifier.readBegin();
    await hmm.rangeFault(range);
    const objects = { hmm, space, notifier, range, mirror };
    await enter(objects);
    expect(await outcome(() => operation(objects))).toBe(expected(answers[column]!, objects));
  });
});
