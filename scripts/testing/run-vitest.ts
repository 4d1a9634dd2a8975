import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';

import { packageRoot } from '../provision/package-root.js';
import { readReport, single, type LegOutput, type LegResult } from './report.js';

const require = createRequire(import.meta.url);

export interface VitestRun {
  /** Files and folders, and options of vitest such as --exclude. */
  readonly folders: readonly string[];
  /** HMM_TEST_TARGET: where the conformance suite runs. */
  readonly target?: string;
  /** More of the environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Test files run at the same time, on as many threads as there are processors. Default: one after the other. */
  readonly parallel?: boolean;
}

/** The configuration runs files one after the other. By default vitest leaves one processor free. */
const PARALLEL = ['--fileParallelism', '--pool=threads', `--maxWorkers=${availableParallelism()}`];

/** vitest.config.mjs's limit on one test, and vitest's own on the end of its worker; milliseconds. */
const TEST_TIMEOUT = 60_000;
const TEARDOWN_TIMEOUT = 10_000;

/**
 * The command that runs vitest over some folders and leaves its report in `report`.
 * @param slowness factor for the limits on time
 */
export function vitestCommand(folders: readonly string[], report: string, slowness = 1): string[] {
  const limit = TEST_TIMEOUT * slowness;
  const limits = [
    ...[`--testTimeout=${limit}`, `--hookTimeout=${limit}`],
    `--teardownTimeout=${TEARDOWN_TIMEOUT * slowness}`,
  ];
  const vitest = path.join(path.dirname(require.resolve('vitest/package.json')), 'vitest.mjs');
  return [
    process.execPath,
    vitest,
    'run',
    '--configLoader=native',
    // One process for all files: each would load the test runner anew, which takes longest of all in a translated guest.
    '--no-isolate',
    '--reporter=default',
    `--reporter=${path.join(packageRoot(), 'dist', 'scripts', 'testing', 'vitest-reporter.js')}`,
    `--outputFile.outcomes=${report}`,
    ...(slowness === 1 ? [] : limits),
    ...folders,
  ];
}

/** A folder for the reports of one leg, as long as `use` takes. */
export async function withReportFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(path.join(tmpdir(), 'node-hmm-test-'));
  try {
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs tests on this machine. */
export async function runVitest(leg: string, run: VitestRun, output: LegOutput): Promise<LegResult> {
  const { folders, target, env, parallel = false } = run;
  return await withReportFolder(async (folder) => {
    const report = path.join(folder, 'report.json');
    const [program, ...args] = vitestCommand([...(parallel ? PARALLEL : []), ...folders], report);
    const child = spawn(program!, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        // The pipe is ours: what it carries is shown where our own output goes.
        ...(process.stdout.isTTY ? { FORCE_COLOR: '1' } : {}),
        ...(target === undefined ? {} : { HMM_TEST_TARGET: target }),
        ...env,
      },
    });
    child.stdout.on('data', output);
    child.stderr.on('data', output);
    const status = await new Promise<string>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => resolve(signal ?? `status ${code}`));
    });
    return withStatus(leg, report, status, status === 'status 0');
  });
}

/** The report, unless the run ended badly without a failed test to show for it: that is a failure of its own. */
export function withStatus(leg: string, report: string, status: string, ok: boolean): LegResult {
  let result: LegResult;
  try {
    result = readReport(leg, report);
  } catch (error) {
    return single(leg, false, `no report (${status}): ${error instanceof Error ? error.message : String(error)}`);
  }
  if (ok || result.failures.length > 0) return result;
  return { ...result, failures: [{ name: 'vitest', detail: `it ended with ${status}` }] };
}
