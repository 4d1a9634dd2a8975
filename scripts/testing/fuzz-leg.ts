import { failureText, runCampaign } from '../fuzz/campaign.js';
import { LENGTH, seedOfTheDay } from '../fuzz/command.js';
import { rates } from '../fuzz/report.js';
import { VmError } from '../vm/errors.js';
import { merge, single, type LegOutput, type LegResult } from './report.js';

/** Programs in every run of the tests; more is for npm run fuzz. */
const PROGRAMS = 300;

/** The differential test on one kernel, with other programs every day. */
export async function runFuzzLeg(leg: string, kernel: string, output: LegOutput): Promise<LegResult> {
  const seed = seedOfTheDay();
  try {
    const { report, complaints } = await runCampaign({
      kernel,
      seed,
      programs: PROGRAMS,
      shard: { index: 0, count: 1 },
      length: LENGTH,
      failures: 1,
      progress: (line) => output(`${leg}: ${line}\n`),
      output,
    });
    for (const failure of report.failures) output(`${failureText(failure, report)}\n`);
    output(`${leg}: ${rates(report)}\n`);
    const diverged = `${report.diverged} of ${report.programs} programs of seed ${seed} diverge`;
    return merge(leg, [
      single(leg, report.diverged === 0, report.diverged === 0 ? undefined : diverged),
      ...complaints.map((complaint) => single(leg, false, complaint)),
    ]);
  } catch (error) {
    if (!(error instanceof VmError)) throw error;
    return single(leg, false, error.report);
  }
}
