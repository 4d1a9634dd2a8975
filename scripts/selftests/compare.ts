import { incompleteness, type Outcome, type TapRun, type TapTest } from './tap.js';

/** What became of hmm-tests on one module. */
export interface ModuleRun {
  readonly tap: TapRun;
  /** Why the run says less than it should: the machine failed. */
  readonly problems: readonly string[];
  /** What the kernel holds against the module beside the tests: splats, leaks, that it could not be removed. */
  readonly faults: readonly string[];
}

/** Why there is nothing to compare with. */
export interface NoRun {
  readonly reason: string;
}

export interface Comparison {
  /** For a person: a line per test, then totals. */
  readonly lines: readonly string[];
  /** Everything that is wrong; empty: all is well. */
  readonly complaints: readonly string[];
  /** Of our tests; of the reference's where ours were not run. */
  readonly passed: number;
  readonly skipped: readonly TapTest[];
}

const GOOD: readonly Outcome[] = ['pass', 'xfail', 'xpass'];

function isRun(run: ModuleRun | NoRun): run is ModuleRun {
  return 'tap' in run;
}

function shown(test: TapTest | undefined): string {
  if (test === undefined) return 'not run';
  return test.outcome === 'skip' ? 'SKIP' : test.outcome;
}

function totals(name: string, run: ModuleRun | NoRun): string {
  if (!isRun(run)) return `${name}: not run: ${run.reason}`;
  const count = (...outcomes: readonly Outcome[]) =>
    run.tap.tests.filter((test) => outcomes.includes(test.outcome)).length;
  return `${name}: ${count(...GOOD)} passed, ${count('fail')} failed, ${count('skip')} skipped`;
}

/** What of ours counts against it, test by test: a failure, and a skip or an omission that the reference does not share. */
function complaint(ours: TapTest | undefined, reference: TapTest | undefined): string | undefined {
  if (ours === undefined) return reference === undefined ? undefined : 'not run, but the reference ran it';
  if (ours.outcome === 'fail')
    return ours.diagnostics.length > 0 ? ours.diagnostics.join('\n    ') : (ours.reason ?? 'failed');
  if (ours.outcome === 'skip' && reference !== undefined && reference.outcome !== 'skip') {
    return `skipped (${ours.reason ?? 'no reason given'}), but the reference ran it`;
  }
  return undefined;
}

/**
 * test_hmm is not free of faults (it leaks the names of its devices, for one), and they say nothing of ours: shown, not
 * counted.
 */
function referenceFaults({ faults }: ModuleRun, brief: boolean): string[] {
  if (faults.length === 0) return [];
  const shownFaults = brief ? faults.map((fault) => fault.split('\n', 2).join(' ')) : faults;
  return [
    `reference: ${faults.length} fault${faults.length === 1 ? '' : 's'} of its own, not counted:`,
    ...shownFaults,
  ];
}

/** Puts two runs of the same program side by side. Either may be missing; what is missing on purpose is no failure. */
export function compare(ours: ModuleRun | NoRun, reference: ModuleRun | NoRun): Comparison {
  const tests = (run: ModuleRun | NoRun) => (isRun(run) ? run.tap.tests : []);
  const names = [...new Set([...tests(ours), ...tests(reference)].map((test) => test.name))];
  const find = (run: ModuleRun | NoRun, name: string) => tests(run).find((test) => test.name === name);
  const width = Math.max(4, ...names.map((name) => name.length));

  const lines = [`${'test'.padEnd(width)}  ${'ours'.padEnd(8)} reference`];
  const complaints: string[] = [];
  for (const name of names) {
    const [own, other] = [find(ours, name), find(reference, name)];
    const columns = [isRun(ours) ? shown(own) : '-', isRun(reference) ? shown(other) : '-'];
    const reason = [own, other].find((test) => test?.outcome === 'skip')?.reason;
    const note = reason === undefined ? '' : `  ${reason}`;
    lines.push(`${name.padEnd(width)}  ${columns[0]!.padEnd(8)} ${columns[1]!.padEnd(8)}${note}`.trimEnd());
    // Alone, the reference is judged as ours would be.
    const wrong = isRun(ours) ? complaint(own, other) : complaint(other, undefined);
    if (wrong !== undefined) complaints.push(`${name}: ${wrong}`);
  }
  for (const [name, run] of [
    ['ours', ours],
    ['reference', reference],
  ] as const) {
    if (!isRun(run)) continue;
    complaints.push(...[...incompleteness(run.tap), ...run.problems].map((problem) => `${name}: ${problem}`));
  }
  if (isRun(ours)) complaints.push(...ours.faults.map((fault) => `ours: ${fault}`));
  lines.push('', totals('ours', ours), totals('reference', reference));
  if (isRun(reference)) lines.push(...referenceFaults(reference, isRun(ours)));
  const judged = tests(isRun(ours) ? ours : reference);
  return {
    lines,
    complaints,
    passed: judged.filter(({ outcome }) => GOOD.includes(outcome)).length,
    skipped: judged.filter(({ outcome }) => outcome === 'skip'),
  };
}
