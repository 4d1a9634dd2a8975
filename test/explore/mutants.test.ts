/** Wrong drivers, each found by each strategy in the number of schedules that the table says; and the right one, which passes where they fail. */
import { explore, type ExploreOptions } from 'node-hmm/explore';
import { describe, expect, it } from 'vitest';
import { MUTANTS } from './mutants/index.js';

const STRATEGIES = {
  exhaustive: {},
  bounded: { strategy: 'bounded', maxPreemptions: 2 },
  random: { strategy: 'random', executions: 2000 },
  pct: { strategy: 'pct', executions: 2000 },
} satisfies Record<string, ExploreOptions>;

type Found = { readonly [strategy in keyof typeof STRATEGIES]: number };

/** Schedules up to the first that fails. The table of docs/explorer.md. */
const TABLE: Record<string, Found> = {
  'no read_retry': { exhaustive: 34, bounded: 18, random: 29, pct: 9 },
  'read_retry before the lock': { exhaustive: 34, bounded: 18, random: 29, pct: 9 },
  'no lock in invalidate': { exhaustive: 20, bounded: 13, random: 46, pct: 20 },
  'EBUSY faults again': { exhaustive: 29, bounded: 14, random: 2, pct: 28 },
  'sequence taken once': { exhaustive: 9, bounded: 12, random: 2, pct: 28 },
  'update after unlock': { exhaustive: 30, bounded: 17, random: 46, pct: 19 },
  'sequence taken after the fault': { exhaustive: 42, bounded: 19, random: 29, pct: 30 },
  'old pfns after a retry': { exhaustive: 34, bounded: 18, random: 29, pct: 9 },
  'a flag of its own': { exhaustive: 14, bounded: 13, random: 8, pct: 67 },
  'lock held over the fault': { exhaustive: 1, bounded: 1, random: 1, pct: 1 },
  'read_begin under the lock': { exhaustive: 1, bounded: 1, random: 1, pct: 1 },
  'lock kept on retry': { exhaustive: 9, bounded: 12, random: 7, pct: 30 },
  'pfns of a failed fault': { exhaustive: 65, bounded: 71, random: 29, pct: 35 },
  'clears the first page only': { exhaustive: 29, bounded: 16, random: 4, pct: 8 },
  'clears from the second page': { exhaustive: 29, bounded: 16, random: 4, pct: 8 },
  'clears when all is covered': { exhaustive: 29, bounded: 14, random: 4, pct: 8 },
  'ignores every migration': { exhaustive: 1, bounded: 1, random: 1, pct: 1 },
  'ignores another’s migrations': { exhaustive: 1, bounded: 1, random: 1, pct: 1 },
  'true, and nothing done': { exhaustive: 19, bounded: 12, random: 4, pct: 8 },
  'does it later': { exhaustive: 80, bounded: 43, random: 4, pct: 8 },
  'write permission kept': { exhaustive: 10, bounded: 12, random: 4, pct: 8 },
  'fork ignored': { exhaustive: 10, bounded: 12, random: 4, pct: 8 },
  'CLEAR ignored': { exhaustive: 4, bounded: 6, random: 4, pct: 8 },
  'writable whatever was said': { exhaustive: 1, bounded: 1, random: 1, pct: 1 },
  'deaf until mapped': { exhaustive: 108, bounded: 22, random: 46, pct: 48 },
  'trylock taken for done': { exhaustive: 30, bounded: 17, random: 46, pct: 19 },
  'entries left on remove': { exhaustive: 22, bounded: 12, random: 4, pct: 1 },
  'entries cleared after remove': { exhaustive: 23, bounded: 13, random: 21, pct: 9 },
  'double populate': { exhaustive: 16139, bounded: 262, random: 1785, pct: 14 },
  'waits for the OOM reaper': { exhaustive: 1, bounded: 1, random: 1, pct: 1 },
};

/** What the whole space of which is too large for a test: the right driver has this many executions of it. */
const LARGE = 3000;

it('there are at least twenty, each of its own name', () => {
  expect(new Set(MUTANTS.map(({ name }) => name)).size).toBeGreaterThanOrEqual(20);
  expect(MUTANTS.map(({ name }) => name).sort()).toEqual(Object.keys(TABLE).sort());
});

describe.each(MUTANTS)('$name ($mistake)', ({ name, kinds, scenario, right }) => {
  it.each(Object.entries(STRATEGIES))('is found by %s', async (strategy, options) => {
    const result = await explore(scenario, { ...options, minimise: false });
    if (result.result !== 'failed') throw new Error(`${result.result} after ${result.executions}`);
    expect(kinds).toContain(result.failure.violation.kind);
    expect(result.executions).toBe(TABLE[name]![strategy as keyof Found]);
  });

  it('the right driver passes', async () => {
    const result = await explore(right, { maxExecutions: LARGE });
    const complete = result.executions < LARGE;
    expect(result).toMatchObject({ result: complete ? 'passed' : 'incomplete' });
  });
});
