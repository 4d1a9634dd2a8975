/** The other side of threads.ts: a thread that explores the parts that it is given. */
import { parentPort, workerData } from 'node:worker_threads';
import { loadScenario, tallyPart, type WorkerAnswer, type WorkerTask } from './threads.js';
import type { Prefix } from './schedulers/exhaustive.js';

const { source, settings } = workerData as WorkerTask;
const scenario = loadScenario(source);
// Whoever awaits it next hears of its failure; until then it is not unhandled.
scenario.catch(() => undefined);

parentPort?.on('message', ({ at, part }: { at: number; part: Prefix }) => {
  void scenario
    .then((loaded) => tallyPart(loaded, settings, part))
    .then(
      (tally): WorkerAnswer => ({ at, tally }),
      (error: unknown): WorkerAnswer => ({ at, error }),
    )
    .then((answer) => parentPort?.postMessage(answer));
});
