/** What the executions of an exploration have shown, as data that can be sent from one thread to another. */
import { newSearch, type Finished } from './search.js';
import { describeViolation, type Violation } from './violation.js';
import { outcomeText } from './result.js';
import { schedulerOf, whyIncomplete, type Settings } from './options.js';
import { mergeLocks, type LockGraph } from './lock-order.js';
import type { Prefix } from './schedulers/exhaustive.js';
import type { Scenario } from './world.js';
import type { Schedule } from './schedule.js';

/** A failure as it was met. */
export interface Found {
  readonly violation: Violation;
  readonly schedule: Schedule;
  /** Of other executions, which show it only together with this one. */
  readonly before: readonly Schedule[];
  readonly preemptions: number;
}

export interface TallyData {
  readonly executions: number;
  readonly redundant: number;
  readonly steps: number;
  readonly outcomes: ReadonlyMap<string, number>;
  readonly violations: ReadonlyMap<string, number>;
  readonly found: Found | null;
  /** An execution without failure, to see whether it can be repeated. */
  readonly sample: { readonly schedule: Schedule; readonly steps: number; readonly outcome: string } | null;
  /** Lock by lock, those that were taken with it held. */
  readonly locks: LockGraph;
  /** Why it is not all: the limit that was hit. */
  readonly incomplete: string | null;
}

/** Explores the parts one after the other; undefined is the whole space. */
export async function tallyParts(
  scenario: Scenario,
  settings: Settings,
  parts: readonly (Prefix | undefined)[],
): Promise<TallyData> {
  const tally = new Tally(settings);
  const locks: LockGraph = new Map();
  for (const part of parts) {
    const before = tally.copy();
    const scheduler = await newSearch(scenario, settings, false, locks).run(
      () => schedulerOf(settings, part),
      (finished) => tally.add(finished),
      () => tally.restore(before),
    );
    tally.incomplete ??= whyIncomplete(settings, scheduler);
    if (tally.stopped) break;
  }
  return { ...tally.data(), locks };
}

/** Two of different parts. The failure is that of the first. */
export function mergeTallies(one: TallyData, other: TallyData): TallyData {
  return {
    executions: one.executions + other.executions,
    redundant: one.redundant + other.redundant,
    steps: one.steps + other.steps,
    outcomes: sum(one.outcomes, other.outcomes),
    violations: sum(one.violations, other.violations),
    found: one.found ?? other.found,
    sample: one.sample ?? other.sample,
    locks: mergeLocks(one.locks, other.locks),
    incomplete: one.incomplete ?? other.incomplete,
  };
}

export function sum(one: ReadonlyMap<string, number>, other: ReadonlyMap<string, number>): Map<string, number> {
  const total = new Map(one);
  for (const [key, count] of other) total.set(key, (total.get(key) ?? 0) + count);
  return total;
}

/** What the executions have shown so far. */
class Tally {
  readonly #settings: Settings;
  executions = 0;
  redundant = 0;
  steps = 0;
  outcomes = new Map<string, number>();
  violations = new Map<string, number>();
  found: Found | null = null;
  sample: TallyData['sample'] = null;
  incomplete: string | null = null;
  stopped = false;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** Whether to go on. */
  add({ execution, end }: Finished): boolean {
    this.steps += execution.steps;
    if (end.kind === 'redundant') {
      this.redundant++;
      return true;
    }
    this.executions++;
    if (end.kind === 'too-long') {
      this.incomplete ??= `an execution had more than ${this.#settings.maxSteps} steps`;
    } else if (end.kind === 'failed') {
      const key = describeViolation(end.violation);
      this.violations.set(key, (this.violations.get(key) ?? 0) + 1);
      const { schedule, before, preemptions } = execution;
      this.found ??= { violation: end.violation, schedule, before, preemptions };
      if (this.#settings.stopAtFirst) this.stopped = true;
    } else {
      const outcome = outcomeText(end.outcome);
      this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
      this.sample ??= { schedule: execution.schedule, steps: execution.steps, outcome };
    }
    if (!this.stopped && this.executions >= this.#settings.maxExecutions) {
      this.incomplete ??= `the limit of ${this.#settings.maxExecutions} executions`;
      this.stopped = true;
    }
    return !this.stopped;
  }

  data(): Omit<TallyData, 'locks'> {
    const { executions, redundant, steps, outcomes, violations, found, sample, incomplete } = this;
    return { executions, redundant, steps, outcomes, violations, found, sample, incomplete };
  }

  copy(): Tally {
    const copy = new Tally(this.#settings);
    copy.restore(this);
    return copy;
  }

  restore(other: Tally): void {
    this.executions = other.executions;
    this.redundant = other.redundant;
    this.steps = other.steps;
    this.outcomes = new Map(other.outcomes);
    this.violations = new Map(other.violations);
    this.found = other.found;
    this.sample = other.sample;
    this.incomplete = other.incomplete;
    this.stopped = other.stopped;
  }
}
