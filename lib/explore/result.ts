/** What an exploration says. */
import type { LockGraph } from './lock-order.js';
import type { Shard } from './shard.js';
import type { TraceStep } from './trace.js';
import type { Violation } from './violation.js';

export interface Failure {
  readonly violation: Violation;
  /** Replays it; the one with the fewest preemptions that was found. */
  readonly schedule: string;
  /** Times that a task was kept from going on so that another could. */
  readonly preemptions: number;
  /** No schedule with fewer preemptions fails in this way: all of them were tried. */
  readonly minimal: boolean;
  /** The schedule as it was first found. */
  readonly foundAs: string;
  readonly steps: readonly TraceStep[];
  /** One column a task. */
  readonly timeline: string;
}

export interface Counts {
  /** Executions that ran to their end, or to a violation. */
  readonly executions: number;
  /** Executions cut short, because what they would have shown had been seen. */
  readonly redundant: number;
  readonly steps: number;
  /** What the scenario returned, as text, and in how many executions. */
  readonly outcomes: ReadonlyMap<string, number>;
  readonly strategy: string;
  /** Which part this was, and whether all of it was explored; null: it was all. */
  readonly shard: (Shard & { readonly exhausted: boolean; readonly locks: LockGraph }) | null;
}

export type ExploreResult =
  /** Every interleaving was tried, or one of each kind, and none fails. */
  | (Counts & { readonly result: 'passed' })
  | (Counts & {
      readonly result: 'failed';
      readonly failure: Failure;
      /** All of them by kind and message, where the exploration was to go on. */
      readonly violations: ReadonlyMap<string, number>;
    })
  /** None of those that were tried fails, and that were not all. */
  | (Counts & { readonly result: 'incomplete'; readonly reason: string });

export interface ReplayResult {
  readonly result: 'passed' | 'failed';
  readonly violation: Violation | null;
  readonly outcome: string | null;
  readonly preemptions: number;
  readonly steps: readonly TraceStep[];
  readonly timeline: string;
}

/** The failure in full: what is wrong, the interleaving, and the line that brings it back. */
export function formatResult(result: ExploreResult): string {
  const { executions, steps, strategy } = result;
  const tried = `${executions} ${executions === 1 ? 'execution' : 'executions'}, ${steps} steps, ${strategy}`;
  if (result.result === 'passed') return `passed: ${tried}`;
  if (result.result === 'incomplete') return `incomplete: ${result.reason}; no failure in ${tried}`;
  const { violation, schedule, preemptions, minimal, timeline } = result.failure;
  const fewest = minimal ? ', the fewest that fail so' : '';
  return [
    `failed: ${violation.kind}`,
    `  ${violation.message}`,
    `  after ${tried}`,
    '',
    timeline,
    '',
    `  ${preemptions} ${preemptions === 1 ? 'preemption' : 'preemptions'}${fewest}. To see it again:`,
    `  await replay(scenario, '${schedule}')`,
  ].join('\n');
}

/** An exploration that did not pass, as an error for a test. */
export class ExplorationError extends Error {
  override readonly name = 'ExplorationError';

  constructor(readonly result: ExploreResult) {
    super(formatResult(result), causeOf(result));
  }
}

function causeOf(result: ExploreResult): ErrorOptions | undefined {
  return result.result === 'failed' && result.failure.violation.cause !== undefined
    ? { cause: result.failure.violation.cause }
    : undefined;
}

/** @throws ExplorationError unless every interleaving was tried and passed */
export function assertPassed(result: ExploreResult): void {
  if (result.result !== 'passed') throw new ExplorationError(result);
}

/** What a scenario returned, as text: JSON, with bigints and bytes. */
export function outcomeText(outcome: unknown): string {
  if (outcome === undefined) return 'undefined';
  return JSON.stringify(outcome, (_key, value: unknown) => {
    if (typeof value === 'bigint') return `${value}n`;
    if (ArrayBuffer.isView(value) && !(value instanceof DataView))
      return Array.from(value as unknown as ArrayLike<unknown>, String).join(' ');
    if (value instanceof Map) return [...(value as Map<unknown, unknown>)];
    if (value instanceof Set) return [...(value as Set<unknown>)];
    return value;
  });
}
