/** What takes the place of threads.ts in a browser (package.json, `imports`): it says what to do instead. */
import { HmmError } from '../errors.js';
import type * as threads from './threads.js';

function refuse(): never {
  const message =
    'exploreInWorkers() needs the worker_threads of Node, and this is a browser: ' +
    'call explore() with another shard in each Web Worker, and mergeResults()';
  throw new HmmError('EOPNOTSUPP', 'exploreInWorkers', message);
}

export const loadScenario: typeof threads.loadScenario = async () => refuse();

export const distribute: typeof threads.distribute = async () => refuse();
