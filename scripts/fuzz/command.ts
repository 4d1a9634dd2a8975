/**
 * The differential test: random programs on a real kernel and on the simulation of it, everything that can be observed compared.
 */
import { writeFileSync } from 'node:fs';

import { parsed } from '../program.js';
import { UsageError } from '../usage-error.js';
import { VmError } from '../vm/errors.js';
import { DEFAULT_KERNEL, kernelNamed } from '../vm/kernels.js';
import { failureText, runCampaign } from './campaign.js';
import { mergeReports, readReport, summary, type Report } from './report.js';
import { replay } from './replay.js';

const EXIT_DIVERGED = 1;
const EXIT_MACHINE_FAILED = 69;
const EXIT_KERNEL_FAULT = 70;

/** Steps of a program, unless others are asked for. */
export const LENGTH = 40;

export const HELP = `Usage: node-hmm fuzz [OPTIONS]

Runs the same random programs on a real kernel, in a virtual machine, and on the simulation of that kernel, and compares all
that can be observed. Ends with 1 if they differ, after printing the least program for which they do.

  --kernel NAME      default ${DEFAULT_KERNEL}
  --seed S           which programs; default: those of the day
  --programs N       how many, default 1000
  --length N         steps of each, default ${LENGTH}
  --shard I/N        only every N-th program, from the I-th on (1 to N); reports of all shards merge
  --only I           only program I
  --failures N       go on until there are N kinds of divergence, default 1
  --report FILE      writes what was found, as JSON
  --record FILE      writes what the kernel showed, a JSON object a line
  --replay FILE      a program, a report or a recording: recordings are compared without a machine
  --workers N        threads for a recording, default one for each processor
  --merge FILE…      puts reports together, and prints the table
`;

function whole(text: string, name: string, least: number, most = Number.MAX_SAFE_INTEGER): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < least || value > most) {
    const to = most === Number.MAX_SAFE_INTEGER ? '' : ` to ${most}`;
    throw new UsageError(`${name} takes a whole number from ${least}${to}, not ${text}`);
  }
  return value;
}

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
  return complaints.length > 0 ? EXIT_KERNEL_FAULT : 0;
}

/** @returns the exit status */
export async function fuzzCommand(args: readonly string[]): Promise<number> {
  const { values, positionals } = parse(args);
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  if (values.merge) {
    const report = mergeReports(positionals.map(readReport));
    if (values.report !== undefined) writeFileSync(values.report, JSON.stringify(report));
    return finish(report, []);
  }
  if (positionals.length > 0) throw new UsageError(`what is ${positionals.join(' ')}?`);
  const kernel = kernelNamed(values.kernel).name;
  const seed = values.seed === undefined ? seedOfTheDay() : whole(values.seed, '--seed', 0);
  if (values.workers !== undefined && values.replay === undefined)
    throw new UsageError('--workers goes with --replay: a machine runs one program after the other');
  const workers = values.workers === undefined ? undefined : whole(values.workers, '--workers', 1, MAX_WORKERS);
  const progress = (line: string): void => say(line);
  const output = (chunk: Buffer): void => void process.stderr.write(chunk);
  try {
    if (values.replay !== undefined) return await replay(values.replay, kernel, workers, progress, output);
    const only = values.only === undefined ? undefined : whole(values.only, '--only', 0);
    const { report, complaints } = await runCampaign({
      ...{ kernel, seed, progress, output },
      programs: only === undefined ? whole(values.programs, '--programs', 1) : only + 1,
      // The one program whose index leaves that remainder.
      shard: only === undefined ? shardOf(values.shard) : { index: only, count: only + 1 },
      length: whole(values.length, '--length', 1),
      failures: whole(values.failures, '--failures', 1),
      ...(values.record === undefined ? {} : { record: values.record }),
    });
    if (values.report !== undefined) writeFileSync(values.report, JSON.stringify(report));
    return finish(report, complaints);
  } catch (error) {
    if (!(error instanceof VmError)) throw error;
    say(error.report);
    return EXIT_MACHINE_FAILED;
  }
}

function parse(args: readonly string[]) {
  return parsed({
    args: [...args],
    allowPositionals: true,
    options: {
      help: { type: 'boolean', default: false },
      kernel: { type: 'string', default: DEFAULT_KERNEL },
      seed: { type: 'string' },
      programs: { type: 'string', default: '1000' },
      length: { type: 'string', default: String(LENGTH) },
      shard: { type: 'string', default: '1/1' },
      only: { type: 'string' },
      failures: { type: 'string', default: '1' },
      report: { type: 'string' },
      record: { type: 'string' },
      replay: { type: 'string' },
      workers: { type: 'string' },
      merge: { type: 'boolean', default: false },
    },
  });
}
