/** A Web Worker: explores the shard that it is sent, and sends the result. */
import { explore, stringifyResult } from 'node-hmm/explore';
import { driver } from './report.js';

globalThis.onmessage = async ({ data: shard }) => {
  globalThis.postMessage(stringifyResult(await explore(driver(false), { shard })));
};
