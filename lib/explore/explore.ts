/** The explorer: runs a scenario in one interleaving after the other, with the oracle looking on. */
import { NondeterminismError } from './errors.js';
import { ReplayScheduler } from './schedulers/replay.js';
import { newSearch, type Finished } from './search.js';
import { cut, partsOf } from './parts.js';
import { tallyParts, type Found, type TallyData } from './tally.js';
import { checkOptions, describeStrategy, type ExploreOptions, type Settings } from './options.js';
import { formatSchedules, parseSchedules, type Schedule } from './schedule.js';
import { minimise } from './minimise.js';
import { outcomeText, type ExploreResult, type Failure, type ReplayResult } from './result.js';
import { reversedLock } from './lock-order.js';
import { describeViolation } from './violation.js';
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
  const { executions, redundant, steps } = tally;
  const { shard } = settings;
  // Seen only by comparing parts: the executions that showed the orders show it together.
  const reversed = tally.found === null ? reversedLock(tally.locks) : null;
  const found = reversed === null ? tally.found : foundBy(reversed.schedules);
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
    const violations = new Map(tally.violations);
    if (reversed !== null) violations.set(describeViolation(failure.violation), 1);
    return { ...counts, result: 'failed', failure, violations };
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
  const all = await replayAll(scenario, settings, parseSchedules(schedule), true);
  const { execution, end } = all.at(-1)!;
  return {
    result: end.kind === 'failed' ? 'failed' : 'passed',
    violation: end.kind === 'failed' ? end.violation : null,
    outcome: end.kind === 'passed' ? outcomeText(end.outcome) : null,
    preemptions: execution.preemptions,
    steps: execution.trace!.steps,
    timeline: timelines(all),
  };
}

/** A failure that no execution has met: what it takes is known all the same. */
function foundBy(schedules: readonly Schedule[]): Found {
  const violation = { kind: 'lock-order', message: 'two locks are taken in both orders' } as const;
  return { violation, schedule: schedules.at(-1)!, before: schedules.slice(0, -1), preemptions: Infinity };
}

function timelines(all: readonly Finished[]): string {
  return all
    .map(({ execution }) => timeline(execution.trace!.steps, execution.threadNames))
    .join('\n\nand in another execution:\n\n');
}

async function describeFailure(scenario: Scenario, settings: Settings, found: Found): Promise<Failure> {
  const { kind } = found.violation;
  const best = settings.minimise
    ? await minimise(newSearch(scenario, settings, false), kind, found)
    : { ...found, minimal: false };
  const schedules = [...best.before, best.schedule];
  const all = await replayAll(scenario, settings, schedules, true);
  const { execution, end } = all.at(-1)!;
  if (end.kind !== 'failed' || end.violation.kind !== kind) {
    const now = end.kind === 'failed' ? `another (${end.violation.kind})` : 'none';
    throw new NondeterminismError(execution.steps, `a failure (${kind})`, now);
  }
  return {
    violation: end.violation,
    schedule: formatSchedules(schedules),
    preemptions: execution.preemptions,
    minimal: best.minimal,
    foundAs: formatSchedules([...found.before, found.schedule]),
    steps: execution.trace!.steps,
    timeline: timelines(all),
  };
}

/** One execution after the other, with one memory for the order of locks. */
async function replayAll(
  scenario: Scenario,
  settings: Settings,
  schedules: readonly Schedule[],
  trace: boolean,
): Promise<Finished[]> {
  let all: Finished[] = [];
  const scheduler = await newSearch(scenario, settings, trace).run(
    () => new ReplayScheduler(schedules),
    (finished) => all.push(finished) < schedules.length,
    () => {
      all = [];
    },
  );
  scheduler.checkUsedUp();
  return all;
}

/** What a search never comes to twice it cannot compare: one execution is made once more. */
async function checkRepeats(
  scenario: Scenario,
  settings: Settings,
  sample: { readonly schedule: Schedule; readonly steps: number; readonly outcome: string },
): Promise<void> {
  const [{ execution, end }] = (await replayAll(scenario, settings, [sample.schedule], false)) as [Finished];
  const outcome = end.kind === 'passed' ? outcomeText(end.outcome) : end.kind;
  if (execution.steps !== sample.steps || outcome !== sample.outcome) {
    throw new NondeterminismError(
      execution.steps,
      `${sample.steps} steps, and the outcome ${sample.outcome}`,
      `${execution.steps} steps, and ${outcome}`,
    );
  }
}
