/** A thread of compareRecording() in replay-recording.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import { LineError, type Share } from './recording.js';
import { compareShare, type FromWorker } from './replay-recording.js';

/** Programs between two messages about how far it is. */
const TELL_EVERY = 100;

function tell(message: FromWorker): void {
  parentPort!.postMessage(message);
}

try {
  const compared = await compareShare(workerData as Share, (programs) => {
    if (programs % TELL_EVERY === 0) tell({ programs });
  });
  tell({ compared });
} catch (error) {
  if (!(error instanceof LineError)) throw error;
  tell({ line: error.line, message: error.message });
}
