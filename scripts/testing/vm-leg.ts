import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { VmError } from '../vm/errors.js';
import { kernelNamed, type KernelDescription } from '../vm/kernels.js';
import { runInVm } from '../vm/run.js';
import type { Extent, LegContext } from './leg.js';
import { merge, single, type LegResult } from './report.js';
import { vitestCommand, withReportFolder, withStatus } from './run-vitest.js';

interface Suite {
  readonly name: string;
  readonly folders: readonly string[];
  readonly prefix: readonly string[];
}

/**
 * Folders and how they run. What the kernel does must not depend on which processor a page's last user ran on (a page in
 * another one's batch of pages to be put on the LRU is not reused after a fork), so the conformance suite is kept on
 * one; the tests of concurrency have both.
 */
const SUITES: readonly Suite[] = [
  { name: 'conformance', folders: ['test/conformance'], prefix: ['taskset', '1'] },
  { name: 'concurrency', folders: ['test/concurrency', 'test/lifecycle', 'test/dmirror'], prefix: [] },
];

/** Left out of a run, and who does it instead. */
interface LeftOut {
  readonly path: string;
  readonly instead: string;
}

/** Left out where a kernel takes eight times as long: each of them takes more than five minutes there. */
const TOO_LONG: readonly LeftOut[] = [
  { path: 'test/concurrency', instead: 'the stress leg races on that kernel' },
  {
    path: 'test/lifecycle/leaks.test.ts',
    instead: 'it counts free pages, of which the sanitizer keeps back many; kmemleak looks for leaks there',
  },
];
const TOO_SLOW = 8;

/**
 * What a slow kernel runs of that when all legs are asked for: what the checkers have most to say about. The rest is for when that
 * kernel is asked for by name.
 */
const SHORT: readonly Suite[] = [
  {
    name: 'conformance',
    folders: ['mirror', 'device-access', 'device-memory', 'exclusive', 'hugetlb'].map(
      (name) => `test/conformance/${name}.test.ts`,
    ),
    prefix: ['taskset', '1'],
  },
];
const ASK_FOR_ALL = 'asked for by name (--kernel), this kernel runs them all';

/** What a kernel built here from the source of a stock one leaves to that one, when all legs are asked for. */
const AS_STOCK: readonly LeftOut[] = [{ path: 'test/lifecycle', instead: `the stock kernels run it; ${ASK_FOR_ALL}` }];

interface Plan {
  readonly suites: readonly Suite[];
  readonly leftOut: readonly LeftOut[];
}

function without(leftOut: readonly LeftOut[]): Plan {
  const suites = SUITES.map((suite) => {
    const folders = suite.folders.filter((folder) => !leftOut.some(({ path: out }) => out === folder));
    const files = leftOut.filter(({ path: out }) => folders.some((folder) => out.startsWith(`${folder}/`)));
    return { ...suite, folders: [...folders, ...files.map(({ path: out }) => `--exclude=${out}`)] };
  });
  return { suites, leftOut };
}

function planOf({ slowness, source }: KernelDescription, extent: Extent): Plan {
  if (slowness >= TOO_SLOW) {
    if (extent === 'all') return without(TOO_LONG);
    return { suites: SHORT, leftOut: [{ path: 'most of the suites', instead: ASK_FOR_ALL }] };
  }
  if (extent === 'main') return { suites: SUITES.filter(({ name }) => name === 'conformance'), leftOut: [] };
  return without(extent === 'short' && source.kind === 'own' ? AS_STOCK : []);
}

function skipsOf(leg: string, leftOut: readonly LeftOut[]): LegResult {
  return {
    leg,
    passed: 0,
    failures: [],
    skips: leftOut.map(({ path: where, instead }) => ({ where, reason: `takes too long here; ${instead}` })),
  };
}

/** Seconds on a stock kernel: far beyond what it takes, so that a hang ends. */
const TIME_LIMIT = 1500;

/** Boots one kernel and runs the example and the suites there, on the real module. */
export async function runVmLeg(kernel: string, context: LegContext): Promise<LegResult> {
  return await withReportFolder((reports) => runSuites(kernel, context, reports));
}

async function runSuites(kernel: string, { output, extent, booted }: LegContext, reports: string): Promise<LegResult> {
  const description = kernelNamed(kernel);
  const { slowness } = description;
  const { suites, leftOut } = planOf(description, extent);
  const quote = (words: readonly string[]) => words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
  const steps = suites.map((suite) => {
    const { name, prefix } = suite;
    const command = [...prefix, ...vitestCommand(suite.folders, path.join(reports, `${name}.json`), slowness)];
    return `${quote(command)}; echo $? > ${quote([path.join(reports, `${name}.status`)])}`;
  });
  const example = `${quote([process.execPath, 'dist/examples/mirror-a-process.js', '--backend', 'kernel'])} || exit 1`;
  try {
    const result = await runInVm({
      kernel,
      command: ['/bin/sh', '-c', [example, ...steps].join('\n')],
      env: { ...process.env, HMM_TEST_TARGET: 'kernel' },
      writable: [reports],
      // The suites ask for bounds that no slow guest meets by accident.
      moduleParameters: 'callback_timeout_ms=60000',
      timeout: TIME_LIMIT * slowness,
      stdout: output,
      stderr: output,
      progress: (line) => output(`${kernel}: ${line}\n`),
      onBoot: ({ kernelRelease, accelerator, reason }) => {
        output(`${kernel}: Linux ${kernelRelease} under ${accelerator} (${reason})\n`);
        booted(kernelRelease);
      },
    });
    return merge(kernel, [
      single('npm start', result.status === 0, result.status === 0 ? undefined : `status ${result.status}`),
      ...suites.map(({ name }) => suiteResult(name, reports)),
      skipsOf(kernel, leftOut),
      single('kernel log', result.splats.length === 0, result.splats.join('\n') || undefined),
      single('module unloads', result.unloadFailure === undefined, result.unloadFailure),
    ]);
  } catch (error) {
    if (!(error instanceof VmError)) throw error;
    return single(kernel, false, error.report);
  }
}

function suiteResult(name: string, reports: string): LegResult {
  const file = path.join(reports, `${name}.status`);
  const status = existsSync(file) ? readFileSync(file, 'utf8').trim() : 'none: it was never run, or did not end';
  return withStatus(name, path.join(reports, `${name}.json`), `status ${status}`, status === '0');
}
