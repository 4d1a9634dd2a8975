/** The options of explore(), and what they mean. */
import { ExhaustiveScheduler, type Prefix } from './schedulers/exhaustive.js';
import { PctScheduler } from './schedulers/pct.js';
import { RandomScheduler } from './schedulers/random.js';
import { parseShard, type Shard } from './shard.js';
import { checkBoolean, checkInteger, checkKeys, checkOneOf, orElse } from '../validate.js';
import type { Scheduler } from '../scheduler.js';

export interface ExploreOptions {
  /**
   * 'exhaustive' (default): every interleaving, or one of each kind. 'bounded': all with at most `maxPreemptions`. 'random': a uniform choice at each step.
   * 'pct': random priorities with `depth - 1` changes.
   */
  readonly strategy?: 'exhaustive' | 'bounded' | 'random' | 'pct';
  /** Exhaustive: leave out interleavings that differ only in the order of steps that have nothing to do with each other. Default true. */
  readonly reduction?: boolean;
  /** Bounded. Default 2. */
  readonly maxPreemptions?: number;
  /** Random and PCT: how many. Default 1000. */
  readonly executions?: number;
  /** PCT: how many steps, in order, the bug takes. Default 3. */
  readonly depth?: number;
  /** Random and PCT. Default 0. */
  readonly seed?: number;
  /** After this many executions the result is incomplete. Default: no limit. */
  readonly maxExecutions?: number;
  /** Steps of one execution; a longer one makes the result incomplete. Default 10000. */
  readonly maxSteps?: number;
  /** So many calls in a row are a livelock, if meanwhile no task ends and no invalidation begins or ends. Default 200. */
  readonly livelockCalls?: number;
  /** Whether the oracle looks after every step. Default true. */
  readonly oracle?: boolean;
  /** Stop at the first failure. Default true; else all violations are counted. */
  readonly stopAtFirst?: boolean;
  /** Look for the schedule with the fewest preemptions that fails in the same way. Default true. */
  readonly minimise?: boolean;
  /** Exhaustive: 'i/n', only the i-th of n parts of the space; mergeResults() puts them together. */
  readonly shard?: string;
}

export interface Settings extends Required<Omit<ExploreOptions, 'maxExecutions' | 'shard'>> {
  readonly maxExecutions: number;
  readonly shard: Shard | null;
}

const STRATEGIES = ['exhaustive', 'bounded', 'random', 'pct'] as const;

export function checkOptions(options: ExploreOptions): Settings {
  checkKeys(options, 'options', [
    'strategy',
    'reduction',
    'maxPreemptions',
    'executions',
    'depth',
    'seed',
    'maxExecutions',
    'maxSteps',
    'livelockCalls',
    'oracle',
    'stopAtFirst',
    'minimise',
    'shard',
  ] satisfies (keyof ExploreOptions)[]);
  const integer = (key: keyof ExploreOptions, otherwise: number, least: number): number =>
    checkInteger(orElse(options[key], otherwise), `options.${key}`, least);
  const flag = (key: keyof ExploreOptions): boolean => checkBoolean(orElse(options[key], true), `options.${key}`);
  const strategy = checkOneOf(orElse(options.strategy, 'exhaustive'), [...STRATEGIES], 'options.strategy');
  const shard = options.shard === undefined ? null : parseShard(options.shard);
  if (shard !== null && strategy !== 'exhaustive') throw new TypeError('options.shard is for the exhaustive strategy');
  return {
    strategy,
    shard,
    reduction: flag('reduction'),
    maxPreemptions: integer('maxPreemptions', 2, 0),
    executions: integer('executions', 1000, 1),
    depth: integer('depth', 3, 1),
    seed: integer('seed', 0, 0),
    maxExecutions: options.maxExecutions === undefined ? Infinity : integer('maxExecutions', 1, 1),
    maxSteps: integer('maxSteps', 10_000, 1),
    livelockCalls: integer('livelockCalls', 200, 1),
    oracle: flag('oracle'),
    stopAtFirst: flag('stopAtFirst'),
    minimise: flag('minimise'),
  };
}

/** @param prefix of exhaustive: the part of the space that is explored */
export function schedulerOf(settings: Settings, prefix?: Prefix): Scheduler {
  const { strategy, executions, depth, maxPreemptions, reduction } = settings;
  const seed = BigInt(settings.seed);
  switch (strategy) {
    case 'exhaustive':
      return new ExhaustiveScheduler(prefix === undefined ? { reduction } : { reduction, prefix });
    case 'bounded':
      return new ExhaustiveScheduler({ reduction: false, maxPreemptions });
    case 'random':
      return new RandomScheduler(seed, executions);
    case 'pct':
      return new PctScheduler(seed, executions, depth);
  }
}

/** The strategy in words, for a report. */
export function describeStrategy(settings: Settings): string {
  switch (settings.strategy) {
    case 'exhaustive':
      return settings.reduction ? 'exhaustive' : 'exhaustive without reduction';
    case 'bounded':
      return `bounded to ${settings.maxPreemptions} preemptions`;
    case 'random':
      return `random from seed ${settings.seed}`;
    case 'pct':
      return `PCT of depth ${settings.depth} from seed ${settings.seed}`;
  }
}

/** Why an exploration that met no failure is no proof, or null if it is one. */
export function whyIncomplete(settings: Settings, scheduler: Scheduler): string | null {
  if (settings.strategy === 'random' || settings.strategy === 'pct')
    return `${describeStrategy(settings)} tries some interleavings, not all`;
  if (scheduler instanceof ExhaustiveScheduler && scheduler.bounded > 0) {
    return `interleavings with more than ${settings.maxPreemptions} preemptions were left out`;
  }
  return null;
}
