/** Wrong drivers, each found by each strategy in the number of schedules that the table says; and the right one, which passes where they fail. */
import { assertPassed, explore, type ExploreOptions, type ViolationKind } from 'node-hmm/explore';
import { describe, expect, it } from 'vitest';
import { MUTANTS } from './mutants/index.js';

const STRATEGIES = {
  exhaustive: {},
  bounded: { strategy: 'bounded', maxPreemptions: 2 },
  random: { strategy: 'random', executions: 2000 },
  pct: { strategy: 'pct', executions: 2000 },
} satisfies Record<string, ExploreOptions>;

type Strategy = keyof typeof STRATEGIES;
/** Executions up to the first that fails; and as what, where that is not what the exhaustive exploration meets first. */
type Found = number | readonly [number, ViolationKind];
type Row = { readonly [strategy in Strategy]: Found } & {
  /** Executions of the right driver, all of which pass: one of each kind. */
  readonly right: number;
};

/** The table of docs/explorer.md. */
const TABLE: Record<string, Row> = {
  'no read_retry': { exhaustive: 29, bounded: 18, random: [29, 'unfinished-invalidate'], pct: 9, right: 125 },
  'read_retry before the lock': {
    exhaustive: 29,
    bounded: 18,
    random: [29, 'unfinished-invalidate'],
    pct: 9,
    right: 125,
  },
  'no lock in invalidate': { exhaustive: 19, bounded: 13, random: [46, 'unfinished-invalidate'], pct: 20, right: 125 },
  'EBUSY faults again': { exhaustive: 26, bounded: 14, random: 2, pct: 28, right: 256 },
  'sequence taken once': { exhaustive: 9, bounded: 12, random: 2, pct: 28, right: 256 },
  'update after unlock': { exhaustive: 25, bounded: 17, random: [46, 'unfinished-invalidate'], pct: 19, right: 125 },
  'sequence taken after the fault': { exhaustive: 34, bounded: 19, random: 29, pct: 30, right: 125 },
  'old pfns after a retry': { exhaustive: 29, bounded: 18, random: 29, pct: 9, right: 125 },
  'a flag of its own': { exhaustive: 14, bounded: 13, random: [8, 'unfinished-invalidate'], pct: 67, right: 256 },
  'lock held over the fault': { exhaustive: 1, bounded: 1, random: 1, pct: 1, right: 125 },
  'read_begin under the lock': { exhaustive: 1, bounded: 1, random: 1, pct: 1, right: 125 },
  'lock kept on retry': { exhaustive: 9, bounded: 12, random: 7, pct: 30, right: 256 },
  'pfns of a failed fault': { exhaustive: 65, bounded: 71, random: 29, pct: 35, right: 361 },
  'clears the first page only': { exhaustive: 24, bounded: 16, random: 4, pct: 8, right: 125 },
  'clears from the second page': { exhaustive: 24, bounded: 16, random: 4, pct: 8, right: 125 },
  'clears when all is covered': { exhaustive: 24, bounded: 14, random: 4, pct: 8, right: 145 },
  'ignores every migration': { exhaustive: 1, bounded: 1, random: 1, pct: 1, right: 4563 },
  'ignores another’s migrations': { exhaustive: 1, bounded: 1, random: 1, pct: 1, right: 4563 },
  'true, and nothing done': { exhaustive: 18, bounded: 12, random: 4, pct: 8, right: 125 },
  'does it later': { exhaustive: 78, bounded: 43, random: 4, pct: 8, right: 125 },
  'write permission kept': { exhaustive: 10, bounded: 12, random: 4, pct: 8, right: 95 },
  'fork ignored': { exhaustive: 10, bounded: 12, random: 4, pct: 8, right: 95 },
  'CLEAR ignored': { exhaustive: 4, bounded: 6, random: 4, pct: 8, right: 256 },
  'writable whatever was said': { exhaustive: 1, bounded: 1, random: 1, pct: 1, right: 95 },
  'deaf until mapped': { exhaustive: 78, bounded: 22, random: [46, 'unfinished-invalidate'], pct: 48, right: 727 },
  'trylock taken for done': { exhaustive: 25, bounded: 17, random: [46, 'unfinished-invalidate'], pct: 19, right: 125 },
  'entries left on remove': { exhaustive: 22, bounded: 12, random: 4, pct: 1, right: 107 },
  'entries cleared after remove': { exhaustive: 23, bounded: 13, random: 21, pct: 9, right: 107 },
  'double populate': { exhaustive: 2, bounded: 2, random: 30, pct: 5, right: 3657 },
  'waits for the OOM reaper': { exhaustive: 1, bounded: 1, random: 1, pct: 1, right: 81 },
};

it('there are at least twenty, each of its own name', () => {
  expect(new Set(MUTANTS.map(({ name }) => name)).size).toBeGreaterThanOrEqual(20);
  expect(MUTANTS.map(({ name }) => name).sort()).toEqual(Object.keys(TABLE).sort());
});

describe.each(MUTANTS)('$name ($mistake)', ({ name, kind, scenario, right }) => {
  const row = TABLE[name]!;

  it.each(Object.entries(STRATEGIES))('is found by %s', async (strategy, options) => {
    const result = await explore(scenario, { ...options, minimise: false });
    if (result.result !== 'failed') throw new Error(`${result.result} after ${result.executions}`);
    const found = row[strategy as Strategy];
    const expected = typeof found === 'number' ? [found, kind] : found;
    expect([result.executions, result.failure.violation.kind]).toEqual(expected);
  });

  it('the right driver passes', async () => {
    const result = await explore(right);
    assertPassed(result);
    expect(result.executions).toBe(row.right);
  });
});
