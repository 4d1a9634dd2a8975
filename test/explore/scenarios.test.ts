/**
 * The loop of hmm.rst against what a process does to its memory: every interleaving, counted. A count changes when a preemption point comes or goes, and with it what is
 * proved; `all` is every order of all steps, `one` is one of each kind (dependency.ts).
 */
import { assertPassed, explore, type ExploreResult, type Scenario } from 'node-hmm/explore';
import { describe, expect, it } from 'vitest';
import { FROM_ANOTHER_DEVICE, RACES, migrationScenario, mirrorScenario, raceScenario } from './races.js';

interface Counts {
  /** Not there: too many for a test. */
  readonly all?: number;
  readonly one: number;
}

type Name = keyof typeof RACES;

const DRIVER: { readonly [name in Name]: Counts } = {
  munmap: { all: 450, one: 125 },
  mprotect: { all: 350, one: 95 },
  fork: { all: 350, one: 95 },
  'copy on write': { all: 5176, one: 379 },
  'fork and copy on write': { one: 8765 },
  'madvise DONTNEED': { all: 1606, one: 256 },
  mremap: { all: 4720, one: 361 },
};

const MIRROR: { readonly [name in Name]: Counts } = {
  munmap: { all: 176, one: 57 },
  mprotect: { all: 146, one: 41 },
  fork: { all: 146, one: 41 },
  'copy on write': { all: 1718, one: 117 },
  'fork and copy on write': { one: 1947 },
  'madvise DONTNEED': { all: 544, one: 83 },
  mremap: { all: 1222, one: 141 },
};

const outcomesOf = (result: ExploreResult) => [...result.outcomes.keys()].sort();

async function exhaust(scenario: Scenario, { all, one }: Counts): Promise<void> {
  const reduced = await explore(scenario);
  assertPassed(reduced);
  expect(reduced.executions).toBe(one);
  // Each kind once: nothing that was made turned out to be made already.
  expect(reduced.redundant).toBe(0);
  if (all === undefined) return;
  const full = await explore(scenario, { reduction: false });
  assertPassed(full);
  expect(full.executions).toBe(all);
  expect(outcomesOf(reduced)).toEqual(outcomesOf(full));
}

describe('a driver in TypeScript against', () => {
  for (const [name, counts] of Object.entries(DRIVER)) {
    it(name, () => exhaust(raceScenario(RACES[name as Name]), counts));
  }
});

describe('Mirror against', () => {
  for (const [name, counts] of Object.entries(MIRROR)) {
    it(name, () => exhaust(mirrorScenario(RACES[name as Name]), counts));
  }
});

describe('against a migration', () => {
  it.each([
    ['to the system', 607],
    ['to the device', 3789],
  ] as const)('Mirror, %s', (direction, one) => exhaust(migrationScenario(direction), { one }));

  it('a driver in TypeScript, from the memory of another device', () =>
    exhaust(raceScenario(FROM_ANOTHER_DEVICE), { one: 4563 }));
});

it('populate against munmap is exhausted in less than a second', async () => {
  const scenario = mirrorScenario(RACES.munmap);
  await explore(scenario);
  const start = performance.now();
  assertPassed(await explore(scenario));
  // A tenth of that on a machine that does nothing else.
  expect(performance.now() - start).toBeLessThan(1000);
});
