import { STRESS_PROGRAMS, runStress, type StressProgram } from '../stress/run.js';
import { VmError } from '../vm/errors.js';
import { merge, single, type LegOutput, type LegResult } from './report.js';
import type { Extent } from './vm-leg.js';

/** Seconds of the fuzzer in every run of the tests; more is for npm run stress. */
const SECONDS = 30;

/**
 * The fuzzer, and every allocation of every request made to fail. 'short' leaves out what is about loading the module, which takes
 * longest.
 */
export async function runStressLeg(leg: string, kernel: string, output: LegOutput, extent: Extent): Promise<LegResult> {
  const programs = extent === 'all' ? STRESS_PROGRAMS : STRESS_PROGRAMS.filter((program) => program !== 'loading');
  const results: LegResult[] = [];
  for (const program of programs) results.push(await strain(program, kernel, output));
  return merge(leg, results);
}

async function strain(program: StressProgram, kernel: string, output: LegOutput): Promise<LegResult> {
  try {
    const complaints = await runStress({
      kernel,
      program,
      seconds: SECONDS,
      seed: Math.floor(Date.now() / 86_400_000),
      progress: (line) => output(`stress: ${line}\n`),
      output,
    });
    return single(program, complaints.length === 0, complaints.join('\n') || undefined);
  } catch (error) {
    if (!(error instanceof VmError)) throw error;
    return single(program, false, `${program}: ${error.failure}: ${error.message}`);
  }
}
