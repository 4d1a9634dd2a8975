// A program that ends, in the way that its argument says, while requests wait for a lock that only it can release.
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { fileURLToPath } from 'node:url';
import { openHmm } from 'node-hmm';

const PAGE = 4096;
const [mode, kind] = isMainThread ? process.argv.slice(2) : workerData;

const REQUESTS = {
  populate: ({ mirror, start }) => mirror.populate(start, start + PAGE),
  read: ({ mirror, start }) => mirror.read(start, 8),
  write: ({ mirror, start }) => mirror.write(start, Uint8Array.of(1)),
  atomicAdd: ({ mirror, start }) => mirror.atomicAdd(start, 1n),
  makeExclusive: ({ mirror, start }) => mirror.makeExclusive(start, start + PAGE),
};

/** More than libuv has threads, all of them waiting for the update lock that this program holds. */
async function pending() {
  const hmm = await openHmm({ backend: 'kernel' });
  const space = await hmm.createAddressSpace();
  const start = await space.mmap(16 * PAGE);
  const mirror = await space.mirror(hmm.devices[0], { start, length: 16 * PAGE });
  const lock = await mirror.updateLock.acquire();
  const requests = Array.from({ length: 6 }, () => REQUESTS[kind]({ mirror, start }));
  const settled = Promise.allSettled(requests);
  return { hmm, lock, settled };
}

if (mode === 'terminate' && isMainThread) {
  const worker = new Worker(fileURLToPath(import.meta.url), { argv: process.argv.slice(2), workerData: [mode, kind] });
  await once(worker, 'message');
  await worker.terminate();
  console.log('terminated');
} else {
  const { hmm, lock, settled } = await pending();
  // The requests are with the kernel: this turn of the event loop has issued them.
  await readFile('/proc/version');
  if (mode === 'exit') process.exit(3);
  if (mode === 'throw') throw new Error('a bug of the program');
  if (mode === 'reject') void Promise.reject(new Error('nobody awaits this'));
  if (mode === 'terminate') parentPort.postMessage('pending');
  if (mode === 'go on') {
    lock[Symbol.dispose]();
    console.log(JSON.stringify((await settled).map(({ status, reason }) => reason?.code ?? status)));
    await hmm.close();
  }
}
