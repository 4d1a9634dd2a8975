import { runSelftests } from '../selftests/run.js';
import { VmError } from '../vm/errors.js';
import { single, type LegOutput, type LegResult } from './report.js';

/** The kernel's own hmm-tests, on our module and on the kernel's; every complaint counts as one failure. */
export async function runSelftestsLeg(leg: string, kernel: string, output: LegOutput): Promise<LegResult> {
  try {
    const progress = (line: string): void => output(`${leg}: ${line}\n`);
    const { lines, complaints, passed, skipped } = await runSelftests({ kernel, module: 'both', progress });
    output(`${lines.join('\n')}\n`);
    return { leg, passed, failed: complaints.length, skipped, notes: complaints };
  } catch (error) {
    if (!(error instanceof VmError)) throw error;
    return single(leg, false, `${error.failure}: ${error.message}`);
  }
}
