import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { provideKernel, type Kernel } from '../provision/kernel.js';
import type { Progress } from '../provision/tools.js';
import { VmError } from '../vm/errors.js';
import { kernelNamed, type KernelDescription } from '../vm/kernels.js';
import { runInVm, type VmResult } from '../vm/run.js';
import { provideHmmTests } from './build.js';
import { compare, type Comparison, type ModuleRun, type NoRun } from './compare.js';
import { parseTap } from './tap.js';
import { skipUnsupported } from './unsupported.js';

export type Choice = 'ours' | 'reference' | 'both';

export interface SelftestOptions {
  /** A name from KERNELS. */
  readonly kernel: string;
  /** A built hmm-tests; default: one built from the kernel's source. */
  readonly binary?: string;
  readonly module: Choice;
  readonly progress: Progress;
  /** Called with the release (uname -r) of each kernel that is booted. */
  readonly booted?: (kernelRelease: string) => void;
  /** Takes what the tests print, as they run. */
  readonly output?: (module: 'ours' | 'reference', chunk: Buffer) => void;
}

/** Two tests want one free huge page each; others take what is there. */
const HUGE_PAGES = 16;

/** Seconds, on a stock kernel under tcg: it takes five. The harness itself ends a test after thirty. */
const TIME_LIMIT = 300;

/**
 * test_hmm makes devices without a class, for which the kernel makes no nodes; ours makes its own. Those that are missing
 * are made from the number that /proc/devices names. Both streams in one, so that what a test says stands before its result.
 */
const SCRIPT = `
major=$(awk '$2 == "HMM_DMIRROR" { print $1 }' /proc/devices)
for minor in 0 1 2 3; do
  node=/dev/hmm_dmirror$minor
  [ -e $node ] || [ -z "$major" ] || mknod $node c $major $minor || exit 1
done
exec "$0" 2>&1
`;

async function runOne(
  { name: kernel, folder }: Kernel,
  binary: string,
  module: string | true,
  options: SelftestOptions,
): Promise<ModuleRun> {
  const which = module === true ? 'ours' : 'reference';
  const chunks: Buffer[] = [];
  let result: VmResult;
  try {
    result = await runInVm({
      kernel,
      module,
      command: ['/bin/sh', '-c', SCRIPT, binary],
      hugePages: HUGE_PAGES,
      timeout: TIME_LIMIT * kernelNamed(kernel).slowness,
      stdout: (chunk) => {
        chunks.push(chunk);
        options.output?.(which, chunk);
      },
      stderr: (chunk) => options.output?.(which, chunk),
      progress: options.progress,
      onBoot: ({ kernelRelease, accelerator }) => {
        options.progress(`${which}: Linux ${kernelRelease} under ${accelerator}`);
        options.booted?.(kernelRelease);
      },
    });
  } catch (error) {
    if (!(error instanceof VmError)) throw error;
    const problem = `${error.failure}: ${error.message}${error.splats.length > 0 ? '' : `\n${error.logTail}`}`;
    const faults = error.splats.map((splat) => `kernel splat:\n${splat}`);
    return { tap: parseTap(Buffer.concat(chunks).toString()), problems: [problem], faults };
  }
  const told = parseTap(Buffer.concat(chunks).toString());
  const seconds = (ms: number) => (ms / 1000).toFixed(1);
  const { boot, command } = result.timings;
  options.progress(`${which}: ${told.tests.length} tests in ${seconds(command)} s, after a boot of ${seconds(boot)} s`);
  const failed = told.tests.some((test) => test.outcome === 'fail');
  return {
    tap: skipUnsupported(told, readFileSync(join(folder, 'config'), 'utf8')),
    problems: result.status === 0 || failed ? [] : [`ended with status ${result.status} although no test failed`],
    faults: [
      ...result.splats.map((splat) => `kernel splat:\n${splat}`),
      ...(result.unloadFailure === undefined ? [] : [`the module could not be unloaded: ${result.unloadFailure}`]),
    ],
  };
}

/** The kernel's own module to compare with, or why there is none. */
function referenceOf(kernel: Kernel, { name }: KernelDescription): string | NoRun {
  if (kernel.reference !== undefined) return kernel.reference;
  return {
    reason:
      `${name} is without CONFIG_DEVICE_PRIVATE, and test_hmm makes two devices of private memory whatever it is told: ` +
      'it neither links (make_device_exclusive_range) nor starts there',
  };
}

/**
 * Runs the kernel's hmm-tests, unmodified, on one kernel: on our module, on the kernel's own test_hmm, or on both.
 * @throws VmError if what is needed for that cannot be provided
 */
export async function runSelftests(options: SelftestOptions): Promise<Comparison> {
  const { progress } = options;
  const description = kernelNamed(options.kernel);
  const kernel = await provideKernel(description, progress);
  const binary = options.binary ?? (await provideHmmTests(description.sourcePackage, progress));
  const reference = options.module === 'ours' ? { reason: 'not asked for' } : referenceOf(kernel, description);
  if (options.module === 'reference' && typeof reference !== 'string') {
    throw new VmError('unsupported', reference.reason);
  }
  const ours: ModuleRun | NoRun =
    options.module === 'reference' ? { reason: 'not asked for' } : await runOne(kernel, binary, true, options);
  const other = typeof reference === 'string' ? await runOne(kernel, binary, reference, options) : reference;
  return compare(ours, other);
}
