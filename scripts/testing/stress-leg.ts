import { STRESS_PROGRAMS, runStress } from '../stress/run.js';
import { VmError } from '../vm/errors.js';
import { merge, single, type LegOutput, type LegResult } from './report.js';

/** Seconds of the fuzzer in every run of the tests; more is for npm run stress. */
const SECONDS = 30;

/** The programs that strain the module, each one test. */
export async function runStressLeg(leg: string, kernel: string, output: LegOutput): Promise<LegResult> {
  const results: LegResult[] = [];
  for (const program of STRESS_PROGRAMS) {
    try {
      const complaints = await runStress({
        kernel,
        program,
        seconds: SECONDS,
        seed: Math.floor(Date.now() / 86_400_000),
        progress: (line) => output(`${leg}: ${line}\n`),
        output,
      });
      results.push(single(program, complaints.length === 0, complaints.join('\n') || undefined));
    } catch (error) {
      if (!(error instanceof VmError)) throw error;
      results.push(single(program, false, `${program}: ${error.failure}: ${error.message}`));
    }
  }
  return merge(leg, results);
}
