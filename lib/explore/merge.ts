/** The results of all parts of an exploration, put together. */
import { mergeLocks, reversedLock } from './lock-order.js';
import { formatSchedules } from './schedule.js';
import { sum } from './tally.js';
import type { ExploreResult } from './result.js';

/**
 * One result of those of all shards, each there once. Passed only if every part was exhausted; failed if one of them failed, with the failure of the first.
 * @throws RangeError if one is missing, or there twice, or is no shard
 */
export function mergeResults(results: readonly ExploreResult[]): ExploreResult {
  const [first] = results;
  const count = first?.shard?.count ?? 0;
  const indexes = new Set(results.map(({ shard }) => (shard?.count === count ? shard.index : 0)));
  if (first === undefined || results.length !== count || indexes.size !== count || indexes.has(0)) {
    throw new RangeError(
      `results must be those of all shards, each once; they are ${results.map(({ shard }) => (shard === null ? 'the whole' : `${shard.index}/${shard.count}`)).join(', ') || 'none'}`,
    );
  }
  const ordered = [...results].sort((a, b) => a.shard!.index - b.shard!.index);
  const counts = {
    executions: total(ordered, ({ executions }) => executions),
    redundant: total(ordered, ({ redundant }) => redundant),
    steps: total(ordered, ({ steps }) => steps),
    outcomes: ordered.reduce((sofar, { outcomes }) => sum(sofar, outcomes), new Map<string, number>()),
    strategy: first.strategy,
    shard: null,
  };
  const failed = ordered.filter((result) => result.result === 'failed');
  if (failed[0] !== undefined) {
    const violations = failed.reduce((sofar, each) => sum(sofar, each.violations), new Map<string, number>());
    return { ...counts, result: 'failed', failure: failed[0].failure, violations };
  }
  const reversed = reversedLock(ordered.map(({ shard }) => shard!.locks).reduce(mergeLocks));
  if (reversed !== null) {
    return {
      ...counts,
      result: 'incomplete',
      reason: `the parts take '${reversed.lock}' and others in different orders: await replay(scenario, '${formatSchedules(reversed.schedules)}') shows how`,
    };
  }
  const open = ordered.find(({ shard }) => !shard!.exhausted);
  if (open === undefined) return { ...counts, result: 'passed' };
  return {
    ...counts,
    result: 'incomplete',
    reason: open.result === 'incomplete' ? open.reason : 'a part was not exhausted',
  };
}

function total(results: readonly ExploreResult[], of: (result: ExploreResult) => number): number {
  return results.reduce((sofar, result) => sofar + of(result), 0);
}
