/** Reads what the kernel's test harness prints: TAP version 13, as tools/testing/selftests/kselftest.h writes it. */

/** xfail: expected to fail, and did; xpass: did not, which the harness counts as passed. */
export type Outcome = 'pass' | 'fail' | 'skip' | 'xfail' | 'xpass';

export interface TapTest {
  readonly name: string;
  readonly outcome: Outcome;
  /** What follows the name: why it was skipped, or what the harness says of a failure. */
  readonly reason: string | undefined;
  /** The comment lines before its result, without the "#": what the test itself printed. */
  readonly diagnostics: readonly string[];
}

export interface TapRun {
  /** From the plan ("1..58"); undefined if there was none. */
  readonly planned: number | undefined;
  readonly tests: readonly TapTest[];
  /** Why the program gave up, if it said so. */
  readonly bailOut: string | undefined;
}

const PLAN = /^1\.\.(\d+)/;
/** "ok 1 name", "ok 2 name # SKIP reason", "not ok 3 name #  reason", "ok 4 # SKIP name" (the harness's older form). */
const RESULT = /^(not ok|ok)\s+\d+\s*([^#]*?)\s*(?:#\s*(SKIP|XFAIL|XPASS|TODO|error)?\s*(.*))?$/i;
const BAIL_OUT = /^Bail out!\s*(.*)$/;

function outcomeOf(ok: boolean, directive: string): Outcome {
  switch (directive) {
    case 'SKIP':
      return 'skip';
    case 'XFAIL':
    case 'TODO':
      return 'xfail';
    case 'XPASS':
      return 'xpass';
    default:
      return ok ? 'pass' : 'fail';
  }
}

/** Lines that are none of TAP's are left out: a kernel may print into the same stream. */
export function parseTap(output: string): TapRun {
  let planned: number | undefined;
  let bailOut: string | undefined;
  let diagnostics: string[] = [];
  const tests: TapTest[] = [];
  for (const line of output.split(/\r?\n/)) {
    const plan = PLAN.exec(line);
    const bail = BAIL_OUT.exec(line);
    const result = RESULT.exec(line);
    if (plan !== null) planned = Number(plan[1]);
    else if (bail !== null) bailOut = bail[1] ?? '';
    else if (line.startsWith('#')) diagnostics.push(line.slice(1).trim());
    else if (result !== null) {
      const [, verdict, before = '', directive = '', after = ''] = result;
      // Without a name before the directive what follows it is the name, and there is no reason.
      const name = before === '' ? after : before;
      const reason = before === '' || after === '' ? undefined : after;
      tests.push({ name, outcome: outcomeOf(verdict === 'ok', directive.toUpperCase()), reason, diagnostics });
      diagnostics = [];
    }
  }
  return { planned, tests, bailOut };
}

/** What makes a run no complete one, whatever its tests say. */
export function incompleteness({ planned, tests, bailOut }: TapRun): string[] {
  const duplicates = tests.filter(({ name }, i) => tests.findIndex((other) => other.name === name) !== i);
  return [
    ...(bailOut === undefined ? [] : [`gave up: ${bailOut}`]),
    ...(planned === undefined ? ['printed no plan'] : []),
    ...(planned !== undefined && planned !== tests.length ? [`planned ${planned} tests and ran ${tests.length}`] : []),
    ...(tests.length === 0 ? ['ran no test'] : []),
    ...duplicates.map(({ name }) => `reported ${name} twice`),
  ];
}
