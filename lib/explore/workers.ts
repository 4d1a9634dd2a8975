/** An exploration on several threads of this machine. */
import { checkInteger, orElse } from '../validate.js';
import { checkOptions, type ExploreOptions } from './options.js';
import { conclude } from './explore.js';
import { cut, partsOf } from './parts.js';
import { mergeTallies, tallyParts } from './tally.js';
import { newSearch } from './search.js';
import type { ExploreResult } from './result.js';

/** Where a scenario is: a function cannot be sent to a thread. */
export interface ScenarioModule {
  /** URL of the module, as import.meta.url or import.meta.resolve() gives it. */
  readonly module: string;
  /** Name under which it exports the scenario. Default 'default'. */
  readonly name?: string;
}

/**
 * explore() on `workers` threads, with the same answer: every execution is made once, by one of them; of a shard, every execution that is in it. For the exhaustive
 * strategy; each thread loads the module for itself. Default: two threads.
 * @throws {HmmError} EOPNOTSUPP in a browser: explore() there takes a shard in each Web Worker
 */
export async function exploreInWorkers(
  source: ScenarioModule,
  options: ExploreOptions & { readonly workers?: number } = {},
): Promise<ExploreResult> {
  const { workers: asked, ...rest } = options;
  const count = checkInteger(orElse(asked, 2), 'options.workers', 1, 64);
  const settings = checkOptions(rest);
  if (settings.strategy !== 'exhaustive')
    throw new TypeError('workers explore exhaustively; a random walk needs no help');
  // By the name of package.json's `imports`: a browser has no threads of Node's.
  const { distribute, loadScenario } = await import('#explore-threads');
  const scenario = await loadScenario(source);
  const { shard } = settings;
  // What the parts of a shard are must not depend on how many threads this machine has.
  const all = await cut(newSearch(scenario, settings, false), settings, shard === null ? count : shard.count);
  const parts = shard === null ? all : partsOf(all, shard);
  const tallies = await distribute({ source, settings }, parts, count);
  // A shard may be left with no part at all.
  return await conclude(scenario, settings, tallies.reduce(mergeTallies, await tallyParts(scenario, settings, [])));
}
