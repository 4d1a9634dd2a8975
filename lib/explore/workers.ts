/** An exploration on several threads of this machine. Only here is anything of Node's used, and only when it is called. */
import { checkInteger, checkKeys, orElse } from '../validate.js';
import { checkOptions, type ExploreOptions, type Settings } from './options.js';
import { conclude } from './explore.js';
import { cut, partsOf } from './parts.js';
import { mergeTallies, tallyParts, type TallyData } from './tally.js';
import { newSearch } from './search.js';
import type { ExploreResult } from './result.js';
import type { Prefix } from './schedulers/exhaustive.js';
import type { Scenario } from './world.js';

/** Where a scenario is: a function cannot be sent to a thread. */
export interface ScenarioModule {
  /** URL of the module, as import.meta.url or import.meta.resolve() gives it. */
  readonly module: string;
  /** Name under which it exports the scenario. Default 'default'. */
  readonly name?: string;
}

/** @internal What a thread is told to do. */
export interface WorkerTask {
  readonly source: ScenarioModule;
  readonly settings: Settings;
}

/** @internal One part, and its answer. */
export interface WorkerAnswer {
  readonly at: number;
  readonly tally?: TallyData;
  readonly error?: unknown;
}

/**
 * explore() on `workers` threads, with the same answer: every execution is made once, by one of them; of a shard, every execution that is in it. For the exhaustive
 * strategy; each thread loads the module for itself. Default: two threads.
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
  const scenario = await loadScenario(source);
  const { shard } = settings;
  // What the parts of a shard are must not depend on how many threads this machine has.
  const all = await cut(newSearch(scenario, settings, false), settings, shard === null ? count : shard.count);
  const parts = shard === null ? all : partsOf(all, shard);
  const tallies = await distribute({ source, settings }, parts, count);
  // A shard may be left with no part at all.
  return await conclude(scenario, settings, tallies.reduce(mergeTallies, await tallyParts(scenario, settings, [])));
}

/** @internal */
export async function loadScenario(source: ScenarioModule): Promise<Scenario> {
  checkKeys(source, 'source', ['module', 'name'] satisfies (keyof ScenarioModule)[]);
  const name = source.name ?? 'default';
  const exports = (await import(source.module)) as Record<string, unknown>;
  const scenario = exports[name];
  if (typeof scenario !== 'function') throw new TypeError(`${source.module} exports no function '${name}'`);
  return scenario as Scenario;
}

/** @internal */
export async function tallyPart(scenario: Scenario, settings: Settings, part: Prefix): Promise<TallyData> {
  const tally = await tallyParts(scenario, settings, [part]);
  if (tally.found === null) return tally;
  // What was thrown may be no data; the failure is described anew from its schedule.
  const { kind, message } = tally.found.violation;
  return { ...tally, found: { ...tally.found, violation: { kind, message } } };
}

/** Every part to whichever thread is free; the tallies in the order of the parts, up to the first that ends the exploration. */
async function distribute(task: WorkerTask, parts: readonly Prefix[], count: number): Promise<TallyData[]> {
  const { Worker } = await import('node:worker_threads');
  const tallies: (TallyData | undefined)[] = parts.map(() => undefined);
  const threads = Array.from(
    { length: Math.min(count, parts.length) },
    () => new Worker(new URL('./worker.js', import.meta.url), { workerData: task }),
  );
  let next = 0;
  let stop = false;
  try {
    await Promise.all(
      threads.map(
        (thread) =>
          new Promise<void>((resolve, reject) => {
            const give = (): void => {
              if (stop || next >= parts.length) resolve();
              else thread.postMessage({ at: next, part: parts[next++]! });
            };
            thread.on('error', reject);
            thread.on('exit', (code) => reject(new Error(`a worker ended with status ${code}`)));
            thread.on('message', ({ at, tally, error }: WorkerAnswer) => {
              if (tally === undefined) {
                reject(error instanceof Error ? error : new Error('a worker failed', { cause: error }));
                return;
              }
              tallies[at] = tally;
              if (tally.found !== null && task.settings.stopAtFirst) stop = true;
              give();
            });
            give();
          }),
      ),
    );
  } finally {
    await Promise.all(threads.map((thread) => thread.terminate()));
  }
  return tallies.filter((tally) => tally !== undefined);
}
