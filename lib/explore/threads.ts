/** Threads of Node's that explore parts, and how they find the scenario. */
import { Worker } from 'node:worker_threads';
import { checkKeys } from '../validate.js';
import { tallyParts, type TallyData } from './tally.js';
import type { Settings } from './options.js';
import type { Prefix } from './schedulers/exhaustive.js';
import type { ScenarioModule } from './workers.js';
import type { Scenario } from './world.js';

/** What a thread is told to do. */
export interface WorkerTask {
  readonly source: ScenarioModule;
  readonly settings: Settings;
}

/** One part, and its answer. */
export interface WorkerAnswer {
  readonly at: number;
  readonly tally?: TallyData;
  readonly error?: unknown;
}

export async function loadScenario(source: ScenarioModule): Promise<Scenario> {
  checkKeys(source, 'source', ['module', 'name'] satisfies (keyof ScenarioModule)[]);
  const name = source.name ?? 'default';
  // A module of the caller's, which no bundler can know.
  const exports = (await import(/* webpackIgnore: true */ /* @vite-ignore */ source.module)) as Record<string, unknown>;
  const scenario = exports[name];
  if (typeof scenario !== 'function') throw new TypeError(`${source.module} exports no function '${name}'`);
  return scenario as Scenario;
}

export async function tallyPart(scenario: Scenario, settings: Settings, part: Prefix): Promise<TallyData> {
  const tally = await tallyParts(scenario, settings, [part]);
  if (tally.found === null) return tally;
  // What was thrown may be no data; the failure is described anew from its schedule.
  const { kind, message } = tally.found.violation;
  return { ...tally, found: { ...tally.found, violation: { kind, message } } };
}

/** Every part to whichever thread is free; the tallies in the order of the parts, up to the first that ends the exploration. */
export async function distribute(task: WorkerTask, parts: readonly Prefix[], count: number): Promise<TallyData[]> {
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
