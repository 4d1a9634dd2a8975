import { runStress } from '../stress/run.js';
import { VmError } from '../vm/errors.js';
import { single, type LegOutput, type LegResult } from './report.js';

/** Seconds of the fuzzer in every run of the tests; more is for npm run stress. */
const SECONDS = 30;

/** The fuzzer. Making allocations fail takes too long for every run: npm run stress does that. */
export async function runStressLeg(leg: string, kernel: string, output: LegOutput): Promise<LegResult> {
  try {
    const complaints = await runStress({
      kernel,
      program: 'fuzz',
      seconds: SECONDS,
      seed: Math.floor(Date.now() / 86_400_000),
      progress: (line) => output(`${leg}: ${line}\n`),
      output,
    });
    return single(leg, complaints.length === 0, complaints.join('\n') || undefined);
  } catch (error) {
    if (!(error instanceof VmError)) throw error;
    return single(leg, false, `${error.failure}: ${error.message}`);
  }
}
