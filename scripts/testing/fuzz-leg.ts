import { failureText, runCampaign } from '../fuzz/campaign.js';
import { LENGTH } from '../fuzz/command.js';
import { rates } from '../fuzz/report.js';
import { VmError } from '../vm/errors.js';
import type { LegContext } from './leg.js';
import { merge, single, type LegResult } from './report.js';

/** Programs in every run of the tests; more is for npm run fuzz. */
const PROGRAMS = 200;

/** The tests end the same on every day: new programs are for npm run fuzz, which takes the day's seed. */
const SEED = 20261201;

/** The differential test on one kernel, always with the same programs. */
export async function runFuzzLeg(
  leg: string,
  kernel: string,
  { output, booted }: Pick<LegContext, 'output' | 'booted'>,
): Promise<LegResult> {
  try {
    const { report, complaints } = await runCampaign({
      kernel,
      seed: SEED,
      programs: PROGRAMS,
      shard: { index: 0, count: 1 },
      length: LENGTH,
      failures: 1,
      progress: (line) => output(`${leg}: ${line}\n`),
      output,
    });
    booted(report.release);
    for (const failure of report.failures) output(`${failureText(failure, report)}\n`);
    output(`${leg}: ${rates(report)}\n`);
    const diverged = `${report.diverged} of ${report.programs} programs of seed ${SEED} diverge`;
    return merge(leg, [
      single(leg, report.diverged === 0, report.diverged === 0 ? undefined : diverged),
      ...complaints.map((complaint) => single(leg, false, complaint)),
    ]);
  } catch (error) {
    if (!(error instanceof VmError)) throw error;
    return single(leg, false, error.report);
  }
}
