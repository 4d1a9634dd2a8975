/**
 * The loop of hmm.rst against what a process does to its memory: every interleaving, counted. A count changes when a preemption point comes or goes, and with it what is
 * proved; `all` is every order of all steps, `one` is one of each kind (dependency.ts).
 */
import { assertPassed, explore, type ExploreResult, type Scenario } from 'node-hmm/explore';
import { describe, expect, it } from 'vitest';
import { RACES, migrationScenario, mirrorScenario, raceScenario } from './races.js';

interface Counts {
  readonly all: number;
  readonly one: number;
}

type Name = keyof typeof RACES;

const DRIVER: { readonly [name in Name]: Counts } = {
  munmap: { all: 450, one: 159 },
  mprotect: { all: 350, one: 116 },
  fork: { all: 350, one: 116 },
  'copy on write': { all: 5176, one: 1768 },
  'madvise DONTNEED': { all: 1606, one: 437 },
  mremap: { all: 4720, one: 452 },
};

const MIRROR: { readonly [name in Name]: Counts } = {
  munmap: { all: 176, one: 74 },
  mprotect: { all: 146, one: 56 },
  fork: { all: 146, one: 56 },
  'copy on write': { all: 1718, one: 828 },
  'madvise DONTNEED': { all: 544, one: 200 },
  mremap: { all: 1222, one: 271 },
};

const outcomesOf = (result: ExploreResult) => [...result.outcomes.keys()].sort();

async function exhaust(scenario: Scenario, { all, one }: Counts): Promise<void> {
  const full = await explore(scenario, { reduction: false });
  const reduced = await explore(scenario);
  assertPassed(full);
  assertPassed(reduced);
  expect({ all: full.executions, one: reduced.executions }).toEqual({ all, one });
  expect(outcomesOf(reduced)).toEqual(outcomesOf(full));
  // Each kind once: nothing that was made turned out to be made already.
  expect(reduced.redundant).toBe(0);
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

describe('Mirror against a migration', () => {
  it('to the system', async () => {
    const result = await explore(migrationScenario('to the system'));
    assertPassed(result);
    expect(result.executions).toBe(3888);
  });

  it('to the device, with two preemptions at most: all of it is more than a test may take', async () => {
    const result = await explore(migrationScenario('to the device'), { strategy: 'bounded', maxPreemptions: 2 });
    expect(result).toMatchObject({
      result: 'incomplete',
      reason: 'interleavings with more than 2 preemptions were left out',
    });
  });
});

it('populate against munmap is exhausted in less than a second', async () => {
  const scenario = mirrorScenario(RACES.munmap);
  await explore(scenario);
  const start = performance.now();
  assertPassed(await explore(scenario));
  // A tenth of that on a machine that does nothing else.
  expect(performance.now() - start).toBeLessThan(1000);
});
