/** The types of the package as a stranger's project reads them: every compiler, and every way to resolve modules. */
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { project, run } from './support.js';

const require = createRequire(import.meta.url);
const consumer = project();
afterAll(() => consumer.remove());

/** Names under which package.json has the compilers. */
const COMPILERS = ['typescript-5.9', 'typescript', 'typescript-7'];

const RESOLUTIONS = [
  { module: 'nodenext' },
  { module: 'node16' },
  { module: 'node20' },
  { module: 'esnext', moduleResolution: 'bundler' },
];

/** Uses what the package exports, and names the types that its own signatures mention. */
const PROGRAM = `
import {
  HMM_PFN_REQ_FAULT, HmmError, HmmRange, PROT_READ, isHmmError, openHmm,
  type AddressSpace, type Device, type DeviceKind, type DevicePageTable, type ErrnoCode, type Features, type Held, type Hmm,
  type HmmErrorCode, type KernelVersion, type LibraryErrorCode, type HmmErrorDetails, type HmmRangeInit, type IntervalNotifier, type InvalidationEvent, type Lock,
  type LockOptions, type MemoryFile, type Mirror, type MirrorEvent, type MirrorPopulateOptions, type MmapOptions,
  type MremapOptions, type NotifierOps, type NotifierRange, type OpenHmmOptions, type Operation, type OperationResult,
  type PageState, type PfnFormat, type RangeFaultOptions, type RunOptions, type Scheduler, type SimulatedDevice, type StepView, type TaskView,
} from 'node-hmm';
import { explore, replay, type Counts, type ExhaustiveOptions, type ExploreOptions, type ExploreResult, type Scenario, type World } from 'node-hmm/explore';

export async function use(): Promise<bigint> {
  await using hmm: Hmm = await openHmm({ backend: 'simulation' });
  await using space: AddressSpace = await hmm.createAddressSpace();
  const start: number = await space.mmap(hmm.pageSize);
  const ops: NotifierOps = { invalidate: (range: NotifierRange) => void range.event };
  await using notifier: IntervalNotifier = await space.insertIntervalNotifier(start, hmm.pageSize, ops);
  const range = new HmmRange({ notifier, start, end: start + hmm.pageSize, defaultFlags: HMM_PFN_REQ_FAULT });
  try {
    await hmm.rangeFault(range);
  } catch (error) {
    if (isHmmError(error, 'EBUSY')) throw error;
    const code: HmmErrorCode | undefined = error instanceof HmmError ? error.code : undefined;
    void code;
  }
  await space.mprotect(start, hmm.pageSize, PROT_READ);
  return range.pfns[0]!;
}

export async function search(scenario: Scenario, options: ExploreOptions): Promise<ExploreResult> {
  const result = await explore(scenario, options);
  if (result.result === 'failed') await replay(scenario, result.failure.schedule);
  return result;
}

export type Named = [
  Device, DeviceKind, DevicePageTable, ErrnoCode, Features, Held, HmmErrorDetails, HmmRangeInit, InvalidationEvent, Lock,
  LockOptions, MemoryFile, Mirror, MirrorEvent, MirrorPopulateOptions, MmapOptions, MremapOptions, OpenHmmOptions, Operation,
  OperationResult, PageState, PfnFormat, RangeFaultOptions, RunOptions, Scheduler, SimulatedDevice, TaskView, World, KernelVersion, LibraryErrorCode, StepView, Counts, ExhaustiveOptions,
];
`;

/** Types alone, which a CommonJS module of TypeScript may require where Node may require ES modules. */
const COMMONJS = `
import { openHmm, type Hmm } from 'node-hmm';
import { explore } from 'node-hmm/explore';
export const open = async (): Promise<Hmm> => await openHmm();
export { explore };
`;

function compile(compiler: string, files: readonly string[], options: object) {
  writeFileSync(
    path.join(consumer.folder, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        ...{
          strict: true,
          exactOptionalPropertyTypes: true,
          noEmit: true,
          skipLibCheck: false,
          types: [],
          lib: ['es2022'],
        },
        ...{ target: 'es2022', ...options },
      },
      files,
    }),
  );
  const tsc = path.join(path.dirname(require.resolve(`${compiler}/package.json`)), 'bin', 'tsc');
  return run(process.execPath, [tsc, '-p', '.', '--pretty', 'false'], consumer.folder);
}

const CLEAN = { status: 0, stdout: '', stderr: '' };

writeFileSync(path.join(consumer.folder, 'program.mts'), PROGRAM);
writeFileSync(path.join(consumer.folder, 'required.cts'), COMMONJS);

describe.each(COMPILERS)("%s, without any types but the package's, libraries checked", (compiler) => {
  it.each(RESOLUTIONS)('$module $moduleResolution', (options) => {
    expect(compile(compiler, ['program.mts'], options)).toEqual(CLEAN);
  });

  it.each([{ module: 'nodenext' }, { module: 'node20' }])('CommonJS, $module', (options) => {
    expect(compile(compiler, ['required.cts'], options)).toEqual(CLEAN);
  });

  it('what is internal is not offered', () => {
    const uses = [
      "import { openHmm, type HmmRange, type IntervalNotifier } from 'node-hmm';",
      'export const range = (value: HmmRange): unknown => value.fault();',
      'export const space = (value: IntervalNotifier): unknown => value.backendSpace();',
      "export const typo = openHmm({ backend: 'qemu' });",
    ];
    writeFileSync(path.join(consumer.folder, 'mistakes.mts'), uses.join('\n'));
    const { status, stdout } = compile(compiler, ['mistakes.mts'], { module: 'nodenext' });
    const lines = [...stdout.matchAll(/^mistakes\.mts\((\d),\d+\): error (TS\d+)/gm)].map((match) => match.slice(1));
    expect(lines).toEqual([
      ['2', 'TS2339'],
      ['3', 'TS2339'],
      ['4', 'TS2322'],
    ]);
    expect(status).not.toBe(0);
  });
});
