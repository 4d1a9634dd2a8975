import { STRESS_PROGRAMS, runStress, type StressProgram } from '../stress/run.js';
import { VmError } from '../vm/errors.js';
import type { LegContext } from './leg.js';
import { merge, single, type LegResult } from './report.js';

/** Seconds of the fuzzer in every run of the tests; more is for npm run stress. */
const SECONDS = 30;
/** The fuzzer's random numbers: the same in every run of the tests. */
const SEED = 20261201;

/**
 * The fuzzer, and every allocation of every request made to fail. 'short' leaves out what is about loading the module, which takes
 * longest.
 */
export async function runStressLeg(leg: string, kernel: string, context: LegContext): Promise<LegResult> {
  const programs =
    context.extent === 'all' ? STRESS_PROGRAMS : STRESS_PROGRAMS.filter((program) => program !== 'loading');
  const results: LegResult[] = [];
  for (const program of programs) results.push(await strain(program, kernel, context));
  return merge(leg, results);
}

async function strain(program: StressProgram, kernel: string, { output, booted }: LegContext): Promise<LegResult> {
  try {
    const complaints = await runStress({
      kernel,
      program,
      seconds: SECONDS,
      seed: SEED,
      progress: (line) => output(`stress: ${line}\n`),
      output,
      booted,
    });
    return single(program, complaints.length === 0, complaints.join('\n') || undefined);
  } catch (error) {
    if (!(error instanceof VmError)) throw error;
    return single(program, false, `${program}: ${error.failure}: ${error.message}`);
  }
}
