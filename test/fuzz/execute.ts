/** Runs a program on whatever backend there is, by the public API alone, and logs everything that can be observed. */
import {
  HmmRange,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_HUGETLB,
  MAP_LOCKED,
  MAP_PRIVATE,
  MAP_SHARED,
  type AddressSpace,
  type PageState,
} from 'node-hmm';
import type { Origin } from './origin.js';
import { bytesText, entriesText, pageOf, place } from './observe.js';
import { MAX_SPACES, PAGE, WINDOW, type Backing, type Log, type Program, type Step } from './program.js';
import { NotModelled, REQUEST_FLAGS, World, answer, pagesAround, type Mirrored, type Process } from './world.js';

const NOTHING = 'nothing there';

const BACKING: { readonly [backing in Backing]: number } = {
  private: MAP_PRIVATE | MAP_ANONYMOUS,
  shared: MAP_SHARED | MAP_ANONYMOUS,
  'file-private': MAP_PRIVATE,
  'file-shared': MAP_SHARED,
  'hugetlb-private': MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB,
  'hugetlb-shared': MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB,
};

/** Steps that only look. */
const MAPPING_UNCHANGED: ReadonlySet<Step['op']> = new Set([
  'begin',
  'retry',
  'insert',
  'remove',
  'mirror',
  'unmirror',
  'look',
]);

/** Steps that begin again as long as they are interrupted, up to ten seconds: then it is EBUSY. */
const BEGIN_AGAIN: ReadonlySet<Step['op']> = new Set(['atomic', 'exclusive', 'populate', 'load', 'store']);

/** The last line of a program that ended with such a step. */
export const ENDED_EARLY = 'the program ends here: ten seconds of beginning again';

export interface Execution {
  /** One entry a step, and one for the end, when all pages that the program wrote to or read from are read once more. */
  readonly log: Log;
  /** Why the simulation could not go on; the log ends with the step before. */
  readonly notModelled?: string;
}

export async function execute(origin: Origin, program: Program): Promise<Execution> {
  const world = await World.create(origin);
  const log: string[][] = [];
  let locked = false;
  try {
    for (const step of program.steps) {
      const result = await answer(() => perform(world, step));
      world.say(`= ${result}`);
      if (result.startsWith('EBUSY') && BEGIN_AGAIN.has(step.op)) {
        // How often it began again, and so what sequence all that follows has, is a matter of speed.
        log.push([`= ${result}`, ENDED_EARLY]);
        await world.abandon();
        return { log };
      }
      // With locked memory there is a batch for all that is unmapped, too.
      locked ||= step.op === 'mmap' && (step.flags & MAP_LOCKED) !== 0;
      if (locked || step.op === 'madvise' || (step.op === 'mmap' && step.flags !== 0)) await world.drain();
      await world.observe(!MAPPING_UNCHANGED.has(step.op));
      log.push(world.take());
    }
    await readAll(world, program);
    await world.observe(true);
  } catch (error) {
    await world.close();
    if (!(error instanceof NotModelled)) throw error;
    return { log, notModelled: error.message };
  }
  await world.close();
  log.push(world.take());
  return { log };
}

/** What `answer` awaits. */
type Answer = string | void | Promise<string | void>;

/** Not an async function, as those that it calls: each would put off the answer by three turns of the microtasks. */
function perform(world: World, step: Step): Answer {
  switch (step.op) {
    case 'remove':
    case 'begin':
    case 'retry':
    case 'fault':
    case 'driver':
      return withNotifier(world, step);
    case 'unmirror':
    case 'populate':
    case 'load':
    case 'store':
    case 'look':
    case 'to-device':
    case 'to-system':
    case 'exclusive':
    case 'atomic': {
      const mirrored = world.mirrors.get(step.slot);
      return mirrored === undefined ? NOTHING : withMirror(world, step, mirrored);
    }
    case 'evict':
      return world.hmm.devices[step.device % world.hmm.devices.length]!.evict().then(migratedText);
    case 'mmap':
    case 'munmap':
    case 'mprotect':
    case 'madvise':
    case 'mremap':
    case 'write':
    case 'read':
    case 'truncate':
    case 'punch':
    case 'fork':
    case 'exit':
    case 'insert':
    case 'mirror': {
      const process = world.process(step.space);
      return process === null ? NOTHING : withProcess(world, step, process);
    }
  }
}

function migratedText({ migrated }: { readonly migrated: number }): string {
  return `${migrated} migrated`;
}

type ProcessStep = Extract<Step, { readonly space: number }>;

function withProcess(world: World, step: ProcessStep, process: Process): Answer {
  const { space } = process;
  switch (step.op) {
    case 'mmap': {
      const file = step.file === undefined ? undefined : world.files[step.file];
      const address = WINDOW + step.at;
      const { length, protection } = step;
      const flags = BACKING[step.backing] | MAP_FIXED | step.flags;
      const options =
        file === undefined
          ? { address, protection, flags }
          : { address, protection, flags, file, offset: step.offset ?? 0 };
      return space.mmap(length, options).then(where);
    }
    case 'munmap':
      return space.munmap(WINDOW + step.at, step.length);
    case 'mprotect':
      return space.mprotect(WINDOW + step.at, step.length, step.protection);
    case 'madvise':
      return space.madvise(WINDOW + step.at, step.length, step.advice);
    case 'mremap': {
      const { flags } = step;
      const options = step.to === undefined ? { flags } : { flags, newAddress: WINDOW + step.to };
      return space.mremap(WINDOW + step.at, step.length, step.newLength, options).then(where);
    }
    case 'write':
      return space.write(WINDOW + step.at, contents(step));
    case 'read':
      return space.read(WINDOW + step.at, step.length).then(bytesText);
    case 'truncate':
      return one(space, { op: 'truncate', file: world.files[step.file]!, length: step.length });
    case 'punch':
      return one(space, {
        op: 'punchHole',
        file: world.files[step.file]!,
        offset: step.offset,
        length: step.length,
      });
    case 'fork':
      if (world.processes.length >= MAX_SPACES) return 'enough processes';
      return fork(world, space);
    case 'exit':
      return space.exit();
    case 'insert':
      if (world.watches.has(step.slot)) return 'taken';
      return world.insert(step.slot, process, WINDOW + step.at, step.length, step.reaction);
    case 'mirror':
      if (world.mirrors.has(step.slot)) return 'taken';
      return world.mirror(step.slot, process, step.device, WINDOW + step.at, step.length);
  }
}

async function fork(world: World, space: AddressSpace): Promise<void> {
  await world.adopt(await space.fork());
}

async function one(space: AddressSpace, operation: Parameters<AddressSpace['run']>[0][number]): Promise<void> {
  const [result] = await space.run([operation]);
  if (result?.error !== undefined) throw result.error;
}

/** A place that the kernel chose for itself is not the same on two machines. */
function where(address: number): string {
  const offset = address - WINDOW;
  return offset >= 0 && offset < 2 ** 40 ? place(address) : 'elsewhere';
}

/** Two periods of what contents() stores in 256 bytes. */
const PATTERN = Uint8Array.from({ length: 255 + 256 }, (_, at) => 1 + ((at * 7) % 255));
/** 7 * 73 is 1 modulo 255: where the pattern has gone on by 1. */
const STEP_OF_1 = 73;

/** Byte `at` is 1 + (31 * seed + 7 * at + at / 256) % 255, in pieces of 256 that are copied. */
function contents({ seed, length }: { readonly seed: number; readonly length: number }): Uint8Array {
  const bytes = new Uint8Array(length);
  if (seed === 0) return bytes;
  for (let at = 0; at < length; at += 256) {
    const first = (((seed * 31 + at * 7 + (at >> 8)) % 255) * STEP_OF_1) % 255;
    bytes.set(PATTERN.subarray(first, first + Math.min(256, length - at)), at);
  }
  return bytes;
}

type NotifierStep = Extract<Step, { readonly op: 'remove' | 'begin' | 'retry' | 'fault' | 'driver' }>;

async function withNotifier(world: World, step: NotifierStep): Promise<string | void> {
  const watch = world.watches.get(step.slot);
  if (watch === undefined) return NOTHING;
  const { notifier, process } = watch;
  switch (step.op) {
    case 'remove':
      return world.remove(step.slot, watch);
    case 'begin':
      return `${(watch.sequence = await notifier.readBegin())}`;
    case 'retry':
      return `${notifier.readRetry(watch.sequence)}`;
    case 'fault': {
      const range = new HmmRange({
        notifier,
        start: WINDOW + step.at,
        end: WINDOW + step.at + step.length,
        defaultFlags: REQUEST_FLAGS[step.flags],
        pfnFlagsMask: REQUEST_FLAGS[step.mask],
        devPrivateOwner: step.owner === undefined ? null : world.hmm.devices[step.owner % world.hmm.devices.length]!,
      });
      if (step.requests.length > 0) {
        const requests = step.requests.map((request) => REQUEST_FLAGS[request]);
        for (let page = 0; page < range.pfns.length; page++) range.pfns[page] = requests[page % requests.length]!;
      }
      if (step.fresh) watch.sequence = await notifier.readBegin();
      range.notifierSequence = watch.sequence;
      const text = await answer(() => world.hmm.rangeFault(range, { snapshot: step.snapshot }));
      const left = new Uint8Array(range.pfns.length);
      watch.kept = text === 'ok' ? { start: range.start, pfns: range.pfns, left } : null;
      // What the entries are beside is the page table as it is now.
      await world.look(process);
      return `${text}; ${entriesText(range.pfns, pageOf(range.start), process.pages)}`;
    }
    case 'driver': {
      const { kept } = watch;
      if (kept === null || kept.pfns.length === 0) return NOTHING;
      const index = Math.floor(step.at / PAGE) % kept.pfns.length;
      const device = world.hmm.devices[step.device % world.hmm.devices.length]!;
      const address = kept.start + index * PAGE + (step.at % PAGE);
      const entries = kept.pfns.slice(index, index + 1);
      // A frame that went, and has come back by chance, would be taken for the page that it was; where it did not, the driver is told.
      await world.look(process);
      const entry = entriesText(entries, pageOf(address), process.pages);
      if (kept.left[index] === 1 && process.space.alive && entry.endsWith('=') && (!step.write || entry.includes('W')))
        return `ESTALE at ${place(kept.start + index * PAGE)}`;
      if (!step.write) return bytesText(await device.read(process.space, address, 1, entries));
      return device.write(process.space, address, Uint8Array.of(0x5a), entries);
    }
  }
}

type MirrorStep = Extract<
  Step,
  {
    readonly op:
      'unmirror' | 'populate' | 'load' | 'store' | 'look' | 'to-device' | 'to-system' | 'exclusive' | 'atomic';
  }
>;

function withMirror(world: World, step: MirrorStep, mirrored: Mirrored): Answer {
  const { mirror } = mirrored;
  switch (step.op) {
    case 'unmirror':
      return world.unmirror(step.slot, mirrored);
    case 'populate': {
      const options = step.how === 'read' ? {} : { [step.how]: true };
      return mirror
        .populate(...pagesAround(step), options)
        .then(({ pages, retries }) => `${pages} pages, ${retries} retries`);
    }
    case 'load':
      return mirror.read(WINDOW + step.at, step.length).then(bytesText);
    case 'store':
      return mirror.write(WINDOW + step.at, contents(step));
    case 'look':
      return mirror.snapshot(...pagesAround(step)).then(statesText);
    case 'to-device':
      return mirror.migrateToDevice(...pagesAround(step)).then(migratedText);
    case 'to-system':
      return mirror.migrateToSystem(...pagesAround(step)).then(migratedText);
    case 'exclusive':
      return mirror.makeExclusive(...pagesAround(step)).then(({ pages }) => `${pages} pages`);
    case 'atomic':
      return mirror.atomicAdd(WINDOW + step.at, BigInt(step.value)).then(String);
  }
}

/** Where each page is, and what the device has for it. */
function statesText(states: readonly PageState[]): string {
  const words = states.map(({ valid, write, error, order, location, device }) => {
    const cpu = error ? 'E' : valid ? (write ? 'VW' : 'V') : '-';
    const place = location === null || typeof location === 'string' ? (location ?? '') : `device ${location.id}`;
    const entry = device === null ? '-' : `${device.write ? 'VW' : 'V'}${device.exclusive ? 'X' : ''}`;
    return `${cpu}${order === 0 ? '' : ` o${order}`} ${place}/${entry}`;
  });
  const runs: string[] = [];
  for (let at = 0; at < words.length;) {
    let next = at + 1;
    while (next < words.length && words[next] === words[at]) next++;
    runs.push(`${next - at} ${words[at]!}`);
    at = next;
  }
  return runs.join(', ');
}

/** The first word of every page that a process wrote or read, as each process that is left sees it. */
async function readAll(world: World, { steps }: Program): Promise<void> {
  const pages = new Set<number>();
  for (const step of steps) {
    if ((step.op === 'write' || step.op === 'store') && step.length > 0) {
      pages.add(Math.floor(step.at / PAGE));
      pages.add(Math.floor((step.at + step.length - 1) / PAGE));
    }
    if (step.op === 'mremap' && step.to !== undefined) pages.add(Math.floor(step.to / PAGE));
  }
  const operations = [...pages]
    .sort((a, b) => a - b)
    .map((page) => ({ op: 'read' as const, address: WINDOW + page * PAGE, length: PAGE }));
  // After a fork most pages are the same in all processes.
  const known: (Known | undefined)[] = [];
  for (const { name, space } of world.processes) {
    if (!space.alive) continue;
    const results = await space.run(operations);
    for (const [index, { value, error }] of results.entries()) {
      const at = place(operations[index]!.address);
      if (error !== undefined) {
        world.say(`${name} reads ${at}: ${error.code} ${error.signal ?? ''}`);
        continue;
      }
      const bytes = value as Uint8Array;
      let same = known[index];
      if (same === undefined || Buffer.compare(same.bytes, bytes) !== 0) {
        known[index] = same = { bytes, text: bytesText(bytes) };
      }
      world.say(`${name} reads ${at}: ${same.text}`);
    }
  }
}

interface Known {
  readonly bytes: Uint8Array;
  readonly text: string;
}
