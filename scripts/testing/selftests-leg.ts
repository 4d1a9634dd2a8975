import { runSelftests } from '../selftests/run.js';
import { VmError } from '../vm/errors.js';
import { single, type LegResult } from './report.js';

/** The kernel's own hmm-tests, on our module and on the kernel's; every complaint counts as one failure. */
export async function runSelftestsLeg(leg: string, kernel: string): Promise<LegResult> {
  try {
    const progress = (line: string): void => void process.stderr.write(`${leg}: ${line}\n`);
    const { lines, complaints, passed, skipped } = await runSelftests({ kernel, module: 'both', progress });
    console.log(lines.join('\n'));
    return { leg, passed, failed: complaints.length, skipped, notes: complaints };
  } catch (error) {
    if (!(error instanceof VmError)) throw error;
    return single(leg, false, `${error.failure}: ${error.message}`);
  }
}
