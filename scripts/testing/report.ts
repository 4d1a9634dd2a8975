import { readFileSync } from 'node:fs';

/** Where a leg's output goes: legs that run at the same time must not mix theirs. */
export type LegOutput = (text: string | Buffer) => void;

export interface Failure {
  readonly name: string;
  /** What is known of it, in any number of lines. */
  readonly detail?: string;
}

export interface Skip {
  readonly reason: string;
  /** What was skipped, or the group of tests that it is one of. */
  readonly where?: string;
}

/** What became of tests; the numbers of those that failed and that were skipped are the lengths of the lists. */
export interface Outcomes {
  readonly passed: number;
  readonly failures: readonly Failure[];
  readonly skips: readonly Skip[];
}

/** What became of one leg of the tests. */
export interface LegResult extends Outcomes {
  readonly leg: string;
  /** The release (uname -r) of the kernel that it booted. Stock kernels change from week to week. */
  readonly kernelRelease?: string;
  /** How long it took. */
  readonly seconds?: number;
}

/**
 * Reads what vitest-reporter.ts wrote.
 * @throws if there is no report, or not one of that shape
 */
export function readReport(leg: string, file: string): LegResult {
  const { passed, failures, skips } = JSON.parse(readFileSync(file, 'utf8')) as Partial<Outcomes>;
  if (typeof passed !== 'number' || !Array.isArray(failures) || !Array.isArray(skips)) {
    throw new TypeError(`${file} is no report of tests`);
  }
  return { leg, passed, failures, skips };
}

/** A leg that is one yes or no. */
export function single(leg: string, ok: boolean, detail?: string): LegResult {
  const failure = { name: leg, ...(detail === undefined ? {} : { detail }) };
  return { leg, passed: ok ? 1 : 0, failures: ok ? [] : [failure], skips: [] };
}

/** A leg that was not run. */
export function skipped(leg: string, reason: string): LegResult {
  return { leg, passed: 0, failures: [], skips: [{ reason }] };
}

export function merge(leg: string, results: readonly Outcomes[]): LegResult {
  return {
    leg,
    passed: results.reduce((total, { passed }) => total + passed, 0),
    failures: results.flatMap(({ failures }) => failures),
    skips: results.flatMap(({ skips }) => skips),
  };
}

/**
 * The closing table: a line per leg with its time and the release of its kernel, with what is known of its failures and why
 * it skipped what. Then the names of all that failed, and the sum as the last line: a reader who sees only the end of a log
 * still sees what failed.
 */
export function closingTable(results: readonly LegResult[]): string {
  const width = Math.max(...results.map(({ leg }) => leg.length));
  const margin = ' '.repeat(width + 4);
  const total = merge('', results);
  return [
    ...results.flatMap(({ leg, passed, failures, skips, seconds, kernelRelease }) => [
      [
        leg.padEnd(width),
        `${count(passed, 5)} passed`,
        `${count(failures.length, 4)} failed`,
        `${count(skips.length, 4)} skipped`,
        ...(seconds === undefined ? [] : [duration(seconds).padStart(9)]),
        ...(kernelRelease === undefined ? [] : [`Linux ${kernelRelease}`]),
      ].join('  '),
      ...[...failures.flatMap((failure) => detailOf(leg, failure)), ...reasonsOf(skips)].map((line) => margin + line),
    ]),
    ...(total.failures.length === 0 ? [] : ['', 'Failed:']),
    ...results.flatMap(({ leg, failures }) =>
      failures.map(({ name }) => `  ${name === leg ? leg : `${leg}: ${name}`}`),
    ),
    `${total.passed} passed, ${total.failures.length} failed, ${total.skips.length} skipped`,
  ].join('\n');
}

/** Such as "1 min 20 s". */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

function count(number: number, width: number): string {
  return String(number).padStart(width);
}

function detailOf(leg: string, { name, detail }: Failure): string[] {
  if (detail === undefined) return [];
  return (name === leg ? detail : `${name}: ${detail}`).split('\n');
}

/** A line per reason, in the order in which they first came: how many, why, and what. */
function reasonsOf(skips: readonly Skip[]): string[] {
  return [...new Set(skips.map(({ reason }) => reason))].map((reason) => {
    const alike = skips.filter((skip) => skip.reason === reason);
    const places = [...new Set(alike.flatMap(({ where }) => where ?? []))];
    return `${alike.length} skipped: ${reason}${places.length === 0 ? '' : ` (${places.join(', ')})`}`;
  });
}
