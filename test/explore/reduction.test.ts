/**
 * What the reduction rests on: the table of what steps touch (dependency.ts). Of every step it must be true that what it is not said to change it leaves alone, and
 * whatever state some order of the steps leads through, the orders that are left lead through, too.
 */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Execution } from '../../dist/lib/explore/execution.js';
import { explore, type ExploreOptions, type Scenario } from 'node-hmm/explore';
import { footprint } from '../../dist/lib/explore/dependency.js';
import { HOST, MEMORY, dependent, reads } from '../../dist/lib/simulation/engine/touch.js';
import { RACES, migrationScenario, mirrorScenario, raceScenario } from './races.js';
import type { Oracle } from '../../dist/lib/explore/oracle.js';
import type { StepView } from '../../dist/lib/scheduler.js';

/** All that the oracle judges by, as text. */
function stateOf(oracle: Oracle): string {
  const pages = [...oracle.states()].map(({ key, text }) => `${key} ${text}`);
  const ranges = [...oracle.all()].flatMap(({ mm, notifier }) =>
    (mm.subscriptions?.underway ?? []).map(
      ({ event, start, end, told }) => `${event} ${start} ${end} ${told?.includes(notifier) === true}`,
    ),
  );
  return [...pages, ...ranges.sort()].join('\n');
}

type Stepped = (this: Execution, step: StepView) => void;

afterEach(() => vi.restoreAllMocks());

/** The states that the executions lead through; fails if a step changes one that is not said to. */
async function statesOf(scenario: Scenario, options: ExploreOptions): Promise<Set<string>> {
  const seen = new Set<string>();
  let before = '';
  const stepped = Object.getOwnPropertyDescriptor(Execution.prototype, 'stepped')!.value as Stepped;
  vi.spyOn(Execution.prototype, 'stepped').mockImplementation(function (this: Execution, step: StepView) {
    const state = stateOf(this.oracle);
    seen.add(state);
    const told = dependent(footprint(step), reads(MEMORY | HOST));
    if (this.steps > 0 && !told && state !== before) throw new Error(`${step.task.name} at ${step.from} changes it`);
    before = state;
    stepped.call(this, step);
  });
  const result = await explore(scenario, options);
  vi.restoreAllMocks();
  if (result.result === 'failed') throw new Error(result.failure.violation.message);
  return seen;
}

describe.each([
  ...Object.entries(RACES).map(([name, race]) => [`a driver against ${name}`, raceScenario(race)] as const),
  ...Object.entries(RACES).map(([name, race]) => [`Mirror against ${name}`, mirrorScenario(race)] as const),
  ['Mirror against a migration to the system', migrationScenario('to the system')] as const,
  ['Mirror against a migration to the device', migrationScenario('to the device')] as const,
])('%s', (_name, scenario) => {
  it('passes through no state that the reduction leaves out', async () => {
    const left = await statesOf(scenario, {});
    const random = await statesOf(scenario, { strategy: 'random', executions: 400 });
    expect([...random].filter((state) => !left.has(state))).toEqual([]);
  });
});
