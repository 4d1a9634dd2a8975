import { runSelftests } from '../selftests/run.js';
import { VmError } from '../vm/errors.js';
import type { LegContext } from './leg.js';
import { single, type Failure, type LegResult } from './report.js';

/** The kernel's own hmm-tests, on our module and on the kernel's; every complaint counts as one failure. */
export async function runSelftestsLeg(
  leg: string,
  kernel: string,
  { output, booted }: Pick<LegContext, 'output' | 'booted'>,
): Promise<LegResult> {
  try {
    const progress = (line: string): void => output(`${leg}: ${line}\n`);
    const { lines, complaints, passed, skipped } = await runSelftests({ kernel, module: 'both', progress, booted });
    output(`${lines.join('\n')}\n`);
    const skips = skipped.map(({ name, reason = 'no reason was given' }) => ({ reason, where: fixtureOf(name) }));
    return { leg, passed, failures: complaints.map(failureOf), skips };
  } catch (error) {
    if (!(error instanceof VmError)) throw error;
    return single(leg, false, `${error.failure}: ${error.message}`);
  }
}

/** "hmm.hmm_device_private.migrate" is a test of the fixture "hmm", in its variant "hmm_device_private". */
function fixtureOf(name: string): string {
  return name.slice(0, Math.max(name.lastIndexOf('.'), 0)) || name;
}

/** The first line of a complaint says what it is about. */
function failureOf(complaint: string): Failure {
  const [name = '', ...rest] = complaint.split('\n');
  return rest.length === 0 ? { name } : { name, detail: rest.join('\n') };
}
