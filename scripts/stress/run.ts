import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
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

/** What there is, and which folder of test/stress has the program. */
const PROGRAMS = { fuzz: 'fuzz', allocations: 'fail-nth', loading: 'fail-nth' } as const;

export type StressProgram = keyof typeof PROGRAMS;
export const STRESS_PROGRAMS = Object.keys(PROGRAMS) as StressProgram[];

export interface StressOptions {
  readonly kernel: string;
  readonly program: StressProgram;
  /** The fuzzer's: for how long, seconds, and with which random numbers. */
  readonly seconds: number;
  readonly seed: number;
  readonly progress: Progress;
  /** Called with the release (uname -r) of the kernel that is booted. */
  readonly booted?: (kernelRelease: string) => void;
  /** Takes what the program prints, as it runs. */
  readonly output: (chunk: Buffer) => void;
}

const MEMORY = '4G';
/** Seconds beyond the fuzzer's own: boot, the end of the last round, the search for leaks. */
const SLACK = 300;

/** Requests that never succeed on a stock kernel. */
const WITHOUT_PRIVATE_MEMORY = ['HMM_MIRROR_MAKE_EXCLUSIVE', 'HMM_MIRROR_ATOMIC_ADD', 'HMM_DMIRROR_EXCLUSIVE'];

/**
 * For the fuzzer, so that devices run out of memory and an eviction does not take seconds; and for a module that is loaded
 * hundreds of times: what takes longest of that is memory for its devices.
 */
const LITTLE_MEMORY = 'private_pages=512 coherent_mb=2';

/** Seconds that making allocations fail may take on a stock kernel: several times what it does. */
const INJECTION_LIMIT = { allocations: 30, loading: 120 } as const;

/** The program's arguments, and the parameters with which the module is loaded when it starts. */
function job(options: StressOptions, module: string, without: readonly string[]): { args: string[]; loaded: string } {
  const again = () => [...['--module', module], ...['--arguments', moduleParameters(module, MEMORY, LITTLE_MEMORY)]];
  switch (options.program) {
    case 'fuzz': {
      const own = ['--seconds', String(options.seconds), '--seed', String(options.seed)];
      return {
        args: [...own, ...again(), ...(without.length === 0 ? [] : ['--without', without.join(',')])],
        loaded: LITTLE_MEMORY,
      };
    }
    case 'allocations':
      return { args: [], loaded: '' };
    case 'loading':
      return { args: again(), loaded: LITTLE_MEMORY };
  }
}

function compile(program: StressProgram, folder: string): string {
  const binary = path.join(folder, program);
  const stress = path.join(packageRoot(), 'test', 'stress');
  const own = readdirSync(path.join(stress, PROGRAMS[program])).filter((name) => name.endsWith('.c'));
  const sources = [...own.map((name) => path.join(stress, PROGRAMS[program], name)), path.join(stress, 'module.c')];
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
  if (program !== 'fuzz' && description.source.kind !== 'own') {
    throw new VmError('unsupported', `${options.kernel} has no fault injection: own-6.12-debug has`);
  }
  const kernel = await provideKernel(description, progress);
  const module = await provideModule(kernel, progress);
  const { args, loaded } = job(options, module, description.source.kind === 'own' ? [] : WITHOUT_PRIVATE_MEMORY);
  const folder = mkdtempSync(path.join(tmpdir(), 'node-hmm-stress-'));
  try {
    const binary = compile(program, folder);
    const result = await runInVm({
      kernel: options.kernel,
      memory: MEMORY,
      command: [binary, ...args],
      moduleParameters: loaded,
      timeout:
        (program === 'fuzz' ? options.seconds : INJECTION_LIMIT[program] * description.slowness) +
        SLACK * description.slowness,
      stdout: output,
      stderr: output,
      progress,
      onBoot: ({ kernelRelease, accelerator }) => {
        progress(`${program}: Linux ${kernelRelease} under ${accelerator}`);
        options.booted?.(kernelRelease);
      },
    });
    return [
      ...(result.status === 0 ? [] : [`${program}: status ${result.status}`]),
      ...result.splats.map((splat) => `${program}: kernel splat:\n${splat}`),
      ...(result.unloadFailure === undefined ? [] : [`${program}: cannot unload: ${result.unloadFailure}`]),
    ];
  } catch (error) {
    if (!(error instanceof VmError) || error.failure === 'unsupported') throw error;
    return [`${program}: ${error.report}`];
  } finally {
    rmSync(folder, { recursive: true });
  }
}
