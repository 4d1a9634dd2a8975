/** The explorer: runs a scenario in one interleaving after the other, with the oracle looking on. */
import { NondeterminismError } from './errors.js';
import { ReplayScheduler } from './schedulers/replay.js';
import { newSearch, type Finished } from './search.js';
import { cut, partsOf } from './parts.js';
import { tallyParts, type Found, type TallyData } from './tally.js';
import { checkOptions, describeStrategy, type ExploreOptions, type Settings } from './options.js';
import { formatSchedule, parseSchedule, type Schedule } from './schedule.js';
import { minimise } from './minimise.js';
import { outcomeText, type ExploreResult, type Failure, type ReplayResult } from './result.js';
import { reversedLock } from './lock-order.js';
import { timeline } from './timeline.js';
import type { Scenario } from './world.js';

/**
 * Runs `scenario` in all interleavings of its tasks, or in those of another strategy, and looks after every step whether the device could use memory that it must
 * not. The scenario is called anew for each; it uses nothing but the world that it is given and what it makes from that.
 * @returns what was found; it is never thrown, see assertPassed()
 * @throws ForbiddenError, NondeterminismError: the scenario cannot be explored
 */
export async function explore(scenario: Scenario, options: ExploreOptions = {}): Promise<ExploreResult> {
  const settings = checkOptions(options);
  if (typeof scenario !== 'function') throw new TypeError('scenario must be a function');
  const { shard } = settings;
  if (shard === null) return await conclude(scenario, settings, await tallyParts(scenario, settings, [undefined]));
  const parts = partsOf(await cut(newSearch(scenario, settings, false), settings, shard.count), shard);
  return await conclude(scenario, settings, await tallyParts(scenario, settings, parts));
}

/** @internal What a tally means: the failure described, the limit named. */
export async function conclude(scenario: Scenario, settings: Settings, tally: TallyData): Promise<ExploreResult> {
  const { executions, redundant, steps, found } = tally;
  const { shard } = settings;
  // Seen only by comparing parts: the schedule that shows it is found by one that sees all of them.
  if (found === null && reversedLock(tally.locks) !== null) {
    return await conclude(scenario, settings, await tallyParts(scenario, { ...settings, shard: null }, [undefined]));
  }
  const counts = {
    executions,
    redundant,
    steps,
    outcomes: new Map(tally.outcomes),
    strategy: describeStrategy(settings),
    shard: shard === null ? null : { ...shard, exhausted: tally.incomplete === null, locks: tally.locks },
  };
  if (found !== null) {
    const failure = await describeFailure(scenario, settings, found);
    return { ...counts, result: 'failed', failure, violations: new Map(tally.violations) };
  }
  if (tally.sample !== null) await checkRepeats(scenario, settings, tally.sample);
  if (tally.incomplete !== null) return { ...counts, result: 'incomplete', reason: tally.incomplete };
  if (shard === null) return { ...counts, result: 'passed' };
  return {
    ...counts,
    result: 'incomplete',
    reason: `this was part ${shard.index} of ${shard.count}; mergeResults() takes all of them`,
  };
}

/**
 * One execution, by the schedule that a failure has printed, with everything that happened in it.
 * @throws SyntaxError for a text that is no schedule; ScheduleMismatchError for one of another scenario
 */
export async function replay(
  scenario: Scenario,
  schedule: string,
  options: Pick<ExploreOptions, 'maxSteps' | 'livelockCalls' | 'oracle'> = {},
): Promise<ReplayResult> {
  const settings = checkOptions(options);
  if (typeof scenario !== 'function') throw new TypeError('scenario must be a function');
  const { execution, end } = await replayOnce(scenario, settings, parseSchedule(schedule), true);
  return {
    result: end.kind === 'failed' ? 'failed' : 'passed',
    violation: end.kind === 'failed' ? end.violation : null,
    outcome: end.kind === 'passed' ? outcomeText(end.outcome) : null,
    preemptions: execution.preemptions,
    steps: execution.trace!.steps,
    timeline: timeline(execution.trace!.steps, execution.threadNames),
  };
}

async function describeFailure(scenario: Scenario, settings: Settings, found: Found): Promise<Failure> {
  const { kind } = found.violation;
  const best = settings.minimise
    ? await minimise(newSearch(scenario, settings, false), kind, found)
    : { schedule: found.schedule, preemptions: found.preemptions, minimal: false };
  const { execution, end } = await replayOnce(scenario, settings, best.schedule, true);
  // The reverse order of two locks is seen by comparing executions: one alone may show nothing wrong.
  const again = end.kind === 'failed' ? end.violation : kind === 'lock-order' ? found.violation : null;
  if (again === null || again.kind !== kind) {
    throw new NondeterminismError(
      execution.steps,
      `a failure (${kind})`,
      again === null ? 'none' : `another (${again.kind})`,
    );
  }
  const { steps } = execution.trace!;
  return {
    violation: again,
    schedule: formatSchedule(best.schedule),
    preemptions: best.preemptions,
    minimal: best.minimal,
    foundAs: formatSchedule(found.schedule),
    steps,
    timeline: timeline(steps, execution.threadNames),
  };
}

async function replayOnce(
  scenario: Scenario,
  settings: Settings,
  schedule: Schedule,
  trace: boolean,
): Promise<Finished> {
  let last: Finished | null = null;
  const scheduler = await newSearch(scenario, settings, trace).run(
    () => new ReplayScheduler(schedule),
    (finished) => {
      last = finished;
      return true;
    },
  );
  const finished = last as Finished | null;
  if (finished === null) throw new Error('a replay is one execution');
  scheduler.checkUsedUp();
  return finished;
}

/** What a search never comes to twice it cannot compare: one execution is made once more. */
async function checkRepeats(
  scenario: Scenario,
  settings: Settings,
  sample: { readonly schedule: Schedule; readonly steps: number; readonly outcome: string },
): Promise<void> {
  const { execution, end } = await replayOnce(scenario, settings, sample.schedule, false);
  const outcome = end.kind === 'passed' ? outcomeText(end.outcome) : end.kind;
  if (execution.steps !== sample.steps || outcome !== sample.outcome) {
    throw new NondeterminismError(
      execution.steps,
      `${sample.steps} steps, and the outcome ${sample.outcome}`,
      `${execution.steps} steps, and ${outcome}`,
    );
  }
}
