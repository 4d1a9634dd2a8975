/// <reference lib="esnext.disposable" preserve="true" />
/** node-hmm/explore: every interleaving of kernel, driver and CPU, on the simulation. */
export { explore, replay } from './explore.js';
export {
  assertPassed,
  formatResult,
  ExplorationError,
  type Counts,
  type ExploreResult,
  type Failure,
  type ReplayResult,
} from './result.js';
export { ForbiddenError, NondeterminismError, ScheduleMismatchError } from './errors.js';
export { exploreInWorkers, type ScenarioModule } from './workers.js';
export { mergeResults } from './merge.js';
export { parseResult, stringifyResult } from './result-text.js';
export { parseShard, type Shard } from './shard.js';
export { parseSchedule, formatSchedule, type Departure, type Schedule } from './schedule.js';
export type { LockEdge, LockGraph } from './lock-order.js';
export type { ExploreOptions } from './options.js';
export type { Scenario, TaskBody, Watchable, WatchOptions, World } from './world.js';
export type { TraceStep } from './trace.js';
export type { Violation, ViolationKind } from './violation.js';
export { ExhaustiveScheduler, type ExhaustiveOptions } from './schedulers/exhaustive.js';
export { RandomScheduler } from './schedulers/random.js';
export { PctScheduler } from './schedulers/pct.js';
export { ReplayScheduler } from './schedulers/replay.js';
