/** A page that has two Web Workers explore a shard each, and merges what they say. */
import { formatResult, mergeResults, parseResult } from 'node-hmm/explore';

function explored(shard) {
  return new Promise((resolve, reject) => {
    const worker = new globalThis.Worker('./worker.js', { type: 'module' });
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.onmessage = ({ data }) => resolve(parseResult(data));
    worker.postMessage(shard);
  });
}

globalThis.finished = Promise.all(['1/2', '2/2'].map(explored)).then((parts) => formatResult(mergeResults(parts)));
