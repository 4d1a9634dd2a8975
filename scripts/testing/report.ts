import { readFileSync } from 'node:fs';

/** Where a leg's output goes: legs that run at the same time must not mix theirs. */
export type LegOutput = (text: string | Buffer) => void;

/** What became of one leg of the tests. */
export interface LegResult {
  readonly leg: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Why what was skipped was skipped, and what failed outside of any test. */
  readonly notes: readonly string[];
}

interface VitestReport {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message?: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

/**
 * Reads a report of vitest's JSON reporter. A file that failed before any of its tests ran is one failure.
 * @throws if there is no report, or not one of that shape
 */
export function readVitestReport(leg: string, file: string): LegResult {
  const report = JSON.parse(readFileSync(file, 'utf8')) as VitestReport;
  const tests = report.testResults.flatMap((each) => each.assertionResults);
  const count = (...statuses: string[]) => tests.filter((test) => statuses.includes(test.status)).length;
  const broken = report.testResults.filter(
    (each) => each.status === 'failed' && !each.assertionResults.some((test) => test.status === 'failed'),
  );
  const skipped = tests.filter((test) => !['passed', 'failed'].includes(test.status));
  return {
    leg,
    passed: count('passed'),
    failed: count('failed') + broken.length,
    skipped: skipped.length,
    notes: [
      ...broken.map((each) => `${each.name}: ${each.message ?? 'failed'}`),
      ...skipped.map((test) => `skipped: ${test.fullName}`),
    ],
  };
}

/** A leg that is one yes or no. */
export function single(leg: string, ok: boolean, note?: string): LegResult {
  return { leg, passed: ok ? 1 : 0, failed: ok ? 0 : 1, skipped: 0, notes: note === undefined ? [] : [note] };
}

export function merge(leg: string, results: readonly LegResult[]): LegResult {
  const sum = (field: 'passed' | 'failed' | 'skipped') => results.reduce((total, each) => total + each[field], 0);
  return {
    leg,
    passed: sum('passed'),
    failed: sum('failed'),
    skipped: sum('skipped'),
    notes: results.flatMap((each) => each.notes),
  };
}

/** The closing table, a line per leg and the sum as the last line. */
export function closingTable(results: readonly LegResult[]): string {
  const width = Math.max(...results.map(({ leg }) => leg.length));
  const lines = results.flatMap(({ leg, passed, failed, skipped, notes }) => [
    `${leg.padEnd(width)}  ${String(passed).padStart(5)} passed  ${String(failed).padStart(4)} failed  ${String(skipped).padStart(4)} skipped`,
    ...notes.map((note) => `${' '.repeat(width)}    ${note}`),
  ]);
  const total = merge('', results);
  return [...lines, `${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`].join('\n');
}
