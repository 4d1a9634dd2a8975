/**
 * The differential test: random programs on a real kernel and on the simulation of it, everything that can be observed compared.
 */
import { parseCommandLine, wholeNumber } from '../command-line.js';
import { EXIT } from '../exit-status.js';
import { checkOutput, writeOutput } from '../files.js';
import { UsageError } from '../usage-error.js';
import { DEFAULT_KERNEL, kernelNamed } from '../vm/kernels.js';
import { failureText, runCampaign } from './campaign.js';
import { mergeReports, readReport, summary, type Report } from './report.js';
import { replay } from './replay.js';
import { FUZZ, LENGTH } from './spec.js';

export { LENGTH };

const EXIT_DIVERGED = 1;

/** Unless another number is asked for. */
const PROGRAMS = 1000;

/** Threads that a replay may have. */
const MAX_WORKERS = 64;

function shardOf(text: string): { index: number; count: number } {
  const match = /^(\d+)\/(\d+)$/.exec(text);
  const [index, count] = [Number(match?.[1]), Number(match?.[2])];
  if (match === null || index < 1 || index > count)
    throw new UsageError(`--shard takes I/N, I from 1 to N, not ${text}`);
  return { index: index - 1, count };
}

/** A seed that is another one each day. */
export function seedOfTheDay(): number {
  return Math.floor(Date.now() / 86_400_000);
}

function say(line: string): void {
  process.stderr.write(`fuzz: ${line}\n`);
}

function finish(report: Report, complaints: readonly string[]): number {
  for (const failure of report.failures) console.log(`${failureText(failure, report)}\n`);
  console.log(summary(report));
  for (const complaint of complaints) console.log(complaint);
  if (report.diverged > 0) return EXIT_DIVERGED;
  return complaints.length > 0 ? EXIT.kernel : 0;
}

/** @returns the exit status */
export async function fuzzCommand(args: readonly string[]): Promise<number> {
  const { values, operands } = parseCommandLine(FUZZ, args);
  const number = (
    option: 'seed' | 'programs' | 'length' | 'only' | 'failures' | 'workers',
    least: number,
    most?: number,
  ) => {
    const text = values[option];
    return text === undefined ? undefined : wholeNumber(`--${option}`, text, least, most);
  };
  checkOutput('--report', values.report);
  checkOutput('--record', values.record);
  if (values.merge) {
    const report = mergeReports(operands.map(readReport));
    if (values.report !== undefined) writeOutput(values.report, JSON.stringify(report));
    return finish(report, []);
  }
  if (operands.length > 0) throw new UsageError(`what is ${operands.join(' ')}?`);
  const kernel = kernelNamed(values.kernel ?? DEFAULT_KERNEL).name;
  const seed = number('seed', 0) ?? seedOfTheDay();
  const workers = number('workers', 1, MAX_WORKERS);
  if (workers !== undefined && values.replay === undefined)
    throw new UsageError('--workers goes with --replay: a machine runs one program after the other');
  const progress = (line: string): void => say(line);
  const output = (chunk: Buffer): void => void process.stderr.write(chunk);
  if (values.replay !== undefined) return await replay(values.replay, kernel, workers, progress, output);
  const only = number('only', 0);
  const { report, complaints } = await runCampaign({
    ...{ kernel, seed, progress, output },
    programs: only === undefined ? (number('programs', 1) ?? PROGRAMS) : only + 1,
    // The one program whose index leaves that remainder.
    shard: only === undefined ? shardOf(values.shard ?? '1/1') : { index: only, count: only + 1 },
    length: number('length', 1) ?? LENGTH,
    failures: number('failures', 1) ?? 1,
    ...(values.record === undefined ? {} : { record: values.record }),
  });
  if (values.report !== undefined) writeOutput(values.report, JSON.stringify(report));
  return finish(report, complaints);
}
