import {
  openHmm,
  HmmError,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
  type AddressSpace,
  type Hmm,
  type HmmRange,
  type InvalidationEvent,
  type IntervalNotifier,
} from 'node-hmm';
import { expect, onTestFinished, type TestContext } from 'vitest';
import { kernelNamed, type KernelFeatures } from '../../scripts/vm/kernels.js';

/** Where the suite runs: HMM_TEST_TARGET is 'simulation-6.1', 'simulation-6.12' or 'kernel'. */
const target = process.env['HMM_TEST_TARGET'] ?? 'simulation-6.12';

export const onKernel = target === 'kernel';

export type Profile = '6.1' | '6.12';

export const KiB = 1024;
export const MiB = 1024 * KiB;
export const GiB = 1024 * MiB;
export const PAGE = 4096;
/** Start of a 512 GiB slice that no process here uses for anything else. */
export const BASE = 1024 * GiB;

export const RW = PROT_READ | PROT_WRITE;
/** Anonymous memory, at the place that the test says. */
export const PRIVATE = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
export const SHARED = MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED;

/** Which kernel the simulation behaves as, where the suite runs on it. */
export const simulated: Profile = profileOf(target);

/** The bound of callbacks is far off, unless a test is about it: a guest may be slow, and no test waits for it by accident. */
export async function openTarget(options: { callbackTimeout?: number } = { callbackTimeout: 30_000 }): Promise<Hmm> {
  const hmm = await openHmm(
    onKernel ? { backend: 'kernel', ...options } : { backend: 'simulation', kernel: simulated, ...options },
  );
  // Not by afterEach(): files that share this module (--no-isolate) would register that for the first of them alone.
  onTestFinished(() => hmm.close());
  return hmm;
}

/** Which kernel's answers to expect. Newer kernels than were read are taken for the newest that was. */
export function profileOf(release: string): Profile {
  return /(^|-)6\.1([.-]|$)/.test(release) ? '6.1' : '6.12';
}

export type Feature = keyof KernelFeatures;

/**
 * What must be there: on a machine of `node-hmm vm` what its row in scripts/vm/kernels.ts says, in
 * the simulation everything. Undefined on a kernel that is in no table.
 */
export function promised(): KernelFeatures | undefined {
  if (!onKernel) return SIMULATED;
  const machine = process.env['NODE_HMM_VM'];
  return machine === undefined ? undefined : kernelNamed(machine).features;
}

const SIMULATED: KernelFeatures = {
  devicePrivate: true,
  deviceCoherent: true,
  exclusive: true,
  transparentHugePages: true,
  hugetlb: true,
};

/**
 * Skips the test where the kernel lacks a feature, and says why.
 * @throws if the feature is missing where it was promised: a probe that fails must not turn tests
 *   into skips
 */
export function need(context: TestContext, hmm: Hmm, ...features: readonly Feature[]): void {
  const table = promised();
  for (const feature of features) {
    if (hmm.features[feature]) continue;
    const reason = `${feature}: ${hmm.features.reasons[feature] ?? 'no reason was given'}`;
    if (table?.[feature] === true) throw new Error(`this kernel has it, and it was not found: ${reason}`);
    context.skip(reason);
  }
}

/**
 * Skips a test of what a kernel without that feature answers, where the feature is there and was
 * promised.
 */
export function needWithout(context: TestContext, hmm: Hmm, feature: Feature): void {
  if (!hmm.features[feature]) return;
  if (promised()?.[feature] === false) throw new Error(`${feature} was found on a kernel that has not got it`);
  context.skip(`${feature}: this kernel has it`);
}

export interface Bench {
  readonly hmm: Hmm;
  readonly space: AddressSpace;
  readonly profile: Profile;
}

export async function bench(options?: { callbackTimeout?: number }): Promise<Bench> {
  const hmm = await openTarget(options);
  return { hmm, space: await hmm.createAddressSpace(), profile: profileOf(hmm.kernelRelease) };
}

/** Memory at BASE + offset; offsets and lengths are in bytes. */
export function map(
  space: AddressSpace,
  offset: number,
  length: number,
  protection = RW,
  flags = PRIVATE,
): Promise<number> {
  return space.mmap(length, { address: BASE + offset, protection, flags });
}

/** One store by the CPU into each page; the byte tells which. */
export async function touch(space: AddressSpace, offset = 0, length = PAGE): Promise<void> {
  for (let page = 0; page < length; page += PAGE) {
    await space.write(BASE + offset + page, Uint8Array.of(byteOf(offset + page)));
  }
}

/** One load by the CPU from each page. */
export async function look(space: AddressSpace, offset = 0, length = PAGE): Promise<number[]> {
  const bytes: number[] = [];
  for (let page = 0; page < length; page += PAGE) bytes.push((await space.read(BASE + offset + page, 1))[0]!);
  return bytes;
}

/** What touch() stores at a page. */
export function byteOf(offset: number): number {
  return 1 + ((offset / PAGE) % 255);
}

/** What a notifier saw, with addresses relative to BASE: 'unmap 0x1000..0x3000'. */
export interface Recorder {
  readonly notifier: IntervalNotifier;
  readonly sequences: number[];
  take(): string[];
}

export function shown(event: InvalidationEvent, start: number, end: number): string {
  return `${event} ${place(start)}..${place(end)}`;
}

function place(address: number): string {
  if (address === 0) return 'first';
  if (address === 2 ** 64) return 'last';
  const offset = address - BASE;
  return offset < 0 ? `-0x${(-offset).toString(16)}` : `0x${offset.toString(16)}`;
}

/** Records every invalidation that meets [start, start + length); by default the whole slice around BASE. */
export async function record(space: AddressSpace, start = BASE, length = 512 * GiB): Promise<Recorder> {
  const seen: string[] = [];
  const sequences: number[] = [];
  const notifier = await space.insertIntervalNotifier(start, length, {
    invalidate(range, sequence) {
      seen.push(shown(range.event, range.start, range.end) + (range.blockable ? '' : ' (not blockable)'));
      sequences.push(sequence);
    },
  });
  return { notifier, sequences, take: () => seen.splice(0) };
}

export function pattern(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 7 + seed * 31 + (index >> 8)) & 0xff);
}

/**
 * readBegin and hmm_range_fault, again after each EBUSY, as a driver does.
 * @returns the errors of the calls, in order, '' for success; of an EBUSY that does not end, four
 */
export async function rangeFaultUntilDone(hmm: Hmm, range: HmmRange): Promise<string[]> {
  const answers: string[] = [];
  do {
    range.notifierSequence = await range.notifier.readBegin();
    answers.push(
      await hmm.rangeFault(range).then(
        () => '',
        (error: HmmError) => error.code,
      ),
    );
  } while (answers.at(-1) === 'EBUSY' && answers.length < 4);
  return answers;
}

/** Awaits a failure and returns it; a success, or an error that is no HmmError, fails the test. */
export async function refused(operation: Promise<unknown>): Promise<HmmError> {
  let value: unknown;
  try {
    value = await operation;
  } catch (error) {
    expect(error).toBeInstanceOf(HmmError);
    return error as HmmError;
  }
  throw new Error(`expected a refusal, got ${String(value).slice(0, 80)}`);
}

export async function refusalCode(operation: Promise<unknown>): Promise<string> {
  return (await refused(operation)).code;
}
