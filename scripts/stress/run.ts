import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { provideKernel } from '../provision/kernel.js';
import { provideModule } from '../provision/module.js';
import { packageRoot } from '../provision/package-root.js';
import type { Progress } from '../provision/tools.js';
import { moduleParameters } from '../vm/device-memory.js';
import { VmError } from '../vm/errors.js';
import { kernelNamed } from '../vm/kernels.js';
import { runInVm } from '../vm/run.js';

/** The programs of test/stress: their sources, and what they are for. */
const PROGRAMS = {
  fuzz: ['ioctl-fuzz.c', 'workload.c', 'requests.c', 'random.c'],
  allocations: ['fail-nth.c'],
} as const;

export type StressProgram = keyof typeof PROGRAMS;
export const STRESS_PROGRAMS = Object.keys(PROGRAMS) as StressProgram[];

export interface StressOptions {
  readonly kernel: string;
  readonly program: StressProgram;
  /** The fuzzer's: for how long, seconds, and with which random numbers. */
  readonly seconds: number;
  readonly seed: number;
  readonly progress: Progress;
  /** Takes what the program prints, as it runs. */
  readonly output: (chunk: Buffer) => void;
}

const MEMORY = '4G';
/** Seconds beyond the fuzzer's own: boot, the end of the last round, the search for leaks. */
const SLACK = 300;

/** What stock kernels cannot do: requests that never succeed there, and steps that fail. */
const WITHOUT_PRIVATE_MEMORY = {
  fuzz: 'HMM_MIRROR_MAKE_EXCLUSIVE,HMM_MIRROR_ATOMIC_ADD,HMM_DMIRROR_EXCLUSIVE,HMM_DMIRROR_CHECK_EXCLUSIVE',
  allocations: '',
} as const;

function compile(program: StressProgram, folder: string): string {
  const binary = path.join(folder, program);
  const sources = PROGRAMS[program].map((source) => path.join(packageRoot(), 'test', 'stress', source));
  const flags = ['-std=gnu11', '-D_GNU_SOURCE', '-O2', '-Wall', '-Wextra', '-Werror', '-static', '-pthread'];
  execFileSync('cc', [...flags, '-o', binary, ...sources], { stdio: ['ignore', 'inherit', 'inherit'] });
  return binary;
}

/**
 * Runs one of the programs that strain the module. @returns what is wrong: nothing, if all is well
 * @throws VmError if what is needed cannot be provided
 */
export async function runStress(options: StressOptions): Promise<string[]> {
  const { program, progress, output } = options;
  const description = kernelNamed(options.kernel);
  if (program === 'allocations' && description.source.kind !== 'own') {
    throw new VmError('unsupported', `${options.kernel} has no fault injection: own-6.12-debug has`);
  }
  const kernel = await provideKernel(description, progress);
  const module = await provideModule(kernel, progress);
  const parameters = moduleParameters(module, MEMORY, undefined);
  const folder = mkdtempSync(path.join(tmpdir(), 'node-hmm-stress-'));
  try {
    const binary = compile(program, folder);
    const without = description.source.kind === 'own' ? '' : WITHOUT_PRIVATE_MEMORY[program];
    const own = program === 'fuzz' ? ['--seconds', String(options.seconds), '--seed', String(options.seed)] : [];
    const result = await runInVm({
      kernel: options.kernel,
      memory: MEMORY,
      command: [
        binary,
        ...own,
        ...['--module', module],
        ...['--arguments', parameters],
        ...(without === '' ? [] : ['--without', without]),
      ],
      timeout: (program === 'fuzz' ? options.seconds : 120 * description.slowness) + SLACK * description.slowness,
      stdout: output,
      stderr: output,
      progress,
      onBoot: (boot) => progress(`${program}: Linux ${boot.kernelRelease} under ${boot.accelerator}`),
    });
    return [
      ...(result.status === 0 ? [] : [`${program}: status ${result.status}`]),
      ...result.splats.map((splat) => `${program}: kernel splat:\n${splat}`),
      ...(result.unloadFailure === undefined ? [] : [`${program}: cannot unload: ${result.unloadFailure}`]),
    ];
  } catch (error) {
    if (!(error instanceof VmError) || error.failure === 'unsupported') throw error;
    const splats = error.splats.map((splat) => `\nkernel splat:\n${splat}`).join('');
    return [`${program}: ${error.failure}: ${error.message}\n${error.logTail}${splats}`];
  } finally {
    rmSync(folder, { recursive: true });
  }
}
