/**
 * A result as text, for another machine: the parts of an exploration are made on many, and put together on one (merge.ts). What a scenario threw stays behind; its
 * message goes along.
 */
import { checkKeys } from '../validate.js';
import { formatSchedule, parseSchedule } from './schedule.js';
import type { ExploreResult } from './result.js';
import type { LockGraph } from './lock-order.js';
import type { Shard } from './shard.js';

const FORMAT = 'node-hmm explore 1';

type Entries = readonly (readonly [string, number])[];
type LockEntries = readonly (readonly [string, readonly (readonly [string, string, string])[]])[];

/** What of a result is not data as it is. */
interface ResultData {
  readonly outcomes: Entries;
  readonly violations?: Entries;
  readonly shard: (Shard & { readonly exhausted: boolean; readonly locks: LockEntries }) | null;
}

export function stringifyResult(result: ExploreResult): string {
  const { shard, outcomes } = result;
  const violations = result.result === 'failed' ? { violations: [...result.violations] } : {};
  return JSON.stringify(
    {
      format: FORMAT,
      ...result,
      outcomes: [...outcomes],
      ...violations,
      shard: shard === null ? null : { ...shard, locks: lockEntries(shard.locks) },
    },
    withoutCause,
  );
}

/** @throws SyntaxError for a text that stringifyResult() does not make */
export function parseResult(text: string): ExploreResult {
  const data = checkKeys(JSON.parse(text), 'a result', KEYS);
  if (data['format'] !== FORMAT) {
    throw new SyntaxError(`a result says '${FORMAT}' of itself, not ${JSON.stringify(data['format'])}`);
  }
  const { outcomes, violations, shard, ...rest } = data as unknown as ResultData;
  return {
    ...rest,
    outcomes: new Map(outcomes),
    ...(violations === undefined ? {} : { violations: new Map(violations) }),
    shard: shard === null ? null : { ...shard, locks: locksOf(shard.locks) },
  } as unknown as ExploreResult;
}

const KEYS = [
  'format',
  'result',
  'executions',
  'redundant',
  'steps',
  'outcomes',
  'strategy',
  'shard',
  'failure',
  'violations',
  'reason',
];

/** What was thrown is no data. */
function withoutCause(key: string, value: unknown): unknown {
  return key === 'cause' ? undefined : value;
}

function lockEntries(locks: LockGraph): LockEntries {
  return [...locks].map(([held, wanted]) => [
    held,
    [...wanted].map(([lock, { who, schedule }]) => [lock, who, formatSchedule(schedule)] as const),
  ]);
}

function locksOf(entries: LockEntries): LockGraph {
  return new Map(
    entries.map(([held, wanted]) => [
      held,
      new Map(wanted.map(([lock, who, schedule]) => [lock, { who, schedule: parseSchedule(schedule) }])),
    ]),
  );
}
