/**
 * Small scenarios: two operations on one page at the same time, of a process, of a driver's parts or of a Mirror. What each answered, what the mirror was told and what
 * there is in the end is the outcome, so that as much as can depends on the order of the steps.
 */
import {
  HMM_PFN_REQ_FAULT,
  HMM_PFN_REQ_WRITE,
  HmmRange,
  MADV_DONTNEED,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  PROT_WRITE,
  type AddressSpace,
  type Hmm,
  type IntervalNotifier,
  type Lock,
  type Mirror,
} from 'node-hmm';
import { PAGE } from './driver.js';
import type { Scenario, World } from 'node-hmm/explore';

interface Ground {
  readonly world: World;
  readonly hmm: Hmm;
  readonly space: AddressSpace;
  readonly start: number;
  readonly mirror: Mirror;
  readonly notifier: IntervalNotifier;
  readonly lock: Lock;
  readonly rangeClass: typeof HmmRange;
  /** What is written and read under the lock. */
  counter: number;
}

type Operation = (ground: Ground) => unknown;

const AWAY = 0x10_0000_0000;

/** hmm_range_fault as a driver calls it, and whether the answer still holds. */
function fault(defaultFlags: bigint): Operation {
  return async ({ hmm, notifier, start, rangeClass }) => {
    const range = new rangeClass({ notifier, start, end: start + PAGE, defaultFlags });
    range.notifierSequence = await notifier.readBegin();
    const refused = await hmm.rangeFault(range).then(
      () => 'ok',
      (error: { code: string }) => error.code,
    );
    return [range.notifierSequence, refused, range.pfns[0], notifier.readRetry(range.notifierSequence)];
  };
}

const OPERATIONS: { readonly [name: string]: Operation } = {
  munmap: ({ space, start }) => space.munmap(start, PAGE),
  'mprotect read-only': ({ space, start }) => space.mprotect(start, PAGE, PROT_READ),
  'mprotect writable': ({ space, start }) => space.mprotect(start, PAGE, PROT_READ | PROT_WRITE),
  'madvise DONTNEED': ({ space, start }) => space.madvise(start, PAGE, MADV_DONTNEED),
  mremap: ({ space, start }) =>
    space.mremap(start, PAGE, PAGE, { flags: MREMAP_MAYMOVE | MREMAP_FIXED, newAddress: AWAY }),
  write: ({ space, start }) => space.write(start, new Uint8Array([2])),
  read: ({ space, start }) => space.read(start, 1),
  fork: ({ space }) => space.fork().then(() => 'forked'),
  populate: ({ mirror, start }) => mirror.populate(start, start + PAGE),
  'populate to write': ({ mirror, start }) => mirror.populate(start, start + PAGE, { write: true }),
  'device read': ({ mirror, start }) => mirror.read(start, 1),
  'device write': ({ mirror, start }) => mirror.write(start, new Uint8Array([3])),
  'to the device': ({ mirror, start }) => mirror.migrateToDevice(start, start + PAGE),
  'to the system': ({ mirror, start }) => mirror.migrateToSystem(start, start + PAGE),
  entry: ({ mirror, start }) => mirror.pageTable.get(start),
  events: ({ mirror }) => mirror.takeEvents().map(({ event, sequence }) => `${event} ${sequence}`),
  fault: fault(HMM_PFN_REQ_FAULT),
  'fault to write': fault(HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE),
  snapshot: fault(0n),
  /** Invalidations of the mirror wait meanwhile. */
  'update lock': ({ mirror, world }) =>
    mirror.updateLock.run(async () => {
      const before = mirror.takeEvents().length;
      await world.point();
      return [before, mirror.takeEvents().length];
    }),
  exit: ({ space }) => space.exit(),
  lock: (ground) =>
    ground.lock.run(async () => {
      const before = ground.counter;
      await ground.world.point();
      ground.counter = before + 1;
      return before;
    }),
};

/** What has happened to the page before. */
const BEFORE: readonly (readonly string[])[] = [
  ['write'],
  [],
  ['write', 'populate to write'],
  ['write', 'fork'],
  ['read', 'populate'],
  ['write', 'to the device'],
];

export interface SmallWorld {
  /** What is done before the tasks begin, then one list a task. */
  readonly text: string;
  readonly scenario: Scenario;
}

/**
 * Every pair of operations, each with one of the beginnings.
 * @param rangeClass of the library that explores them, which may be a copy
 */
export function smallWorlds(rangeClass = HmmRange): SmallWorld[] {
  const names = Object.keys(OPERATIONS);
  const worlds: SmallWorld[] = [];
  for (const [first, one] of names.entries()) {
    for (const [second, other] of names.entries()) {
      if (second < first) continue;
      const before = BEFORE[worlds.length % BEFORE.length]!;
      const text = `${before.join(', ') || 'nothing'}; ${one} | ${other}`;
      worlds.push({ text, scenario: scenarioOf(before, [[one], [other]], rangeClass) });
    }
  }
  return worlds;
}

function scenarioOf(
  before: readonly string[],
  tasks: readonly (readonly string[])[],
  rangeClass: typeof HmmRange,
): Scenario {
  return async (world) => {
    const hmm = await world.open();
    const space = await hmm.createAddressSpace();
    const start = await space.mmap(PAGE);
    const mirror = await space.mirror(hmm.devices[0]!, { start, length: PAGE });
    const notifier = await space.insertIntervalNotifier(start, PAGE, { invalidate: () => true });
    const lock = hmm.createLock();
    const ground: Ground = { world, hmm, space, start, mirror, notifier, lock, rangeClass, counter: 0 };
    const run = async (names: readonly string[]): Promise<unknown[]> => {
      const answers: unknown[] = [];
      for (const name of names) answers.push(await answerOf(OPERATIONS[name]!, ground));
      return answers;
    };
    await run(before);
    mirror.takeEvents();
    const answers = await world.parallel(Object.fromEntries(tasks.map((names, at) => [`t${at}`, () => run(names)])));
    const told = mirror.takeEvents().map(({ event, sequence }) => `${event} ${sequence}`);
    const entry = await answerOf(OPERATIONS['entry']!, ground);
    return [answers, told, entry, await answerOf(OPERATIONS['read']!, ground), ground.counter];
  };
}

/** What it gave, or how the kernel refused. */
async function answerOf(operation: Operation, ground: Ground): Promise<unknown> {
  try {
    return await operation(ground);
  } catch (error) {
    if (error instanceof Error && 'errno' in error && 'code' in error) return error.code;
    throw error;
  }
}
