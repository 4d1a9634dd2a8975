/**
 * The side of the differential test that runs on the kernel: takes programs from files of a folder, 0.json, 1.json, …, and prints
 * what each showed, a JSON object a line. The host writes the files, in order and whole.
 */
import { existsSync, readFileSync } from 'node:fs';
import { version } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { openHmm } from 'node-hmm';
import { execute } from './execute.js';
import type { FromGuest, ToGuest } from './protocol.js';
import { Origin } from './origin.js';
import { checkQuiet } from './quiet.js';
import { stableVersion } from './stable-version.js';

/** Milliseconds between two looks for the next file. */
const POLL = 10;

function tell(message: FromGuest): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

async function main(folder: string): Promise<void> {
  await using hmm = await openHmm({ backend: 'kernel', callbackTimeout: 60_000 });
  const origin = await Origin.create(hmm);
  await checkQuiet(origin);
  const { exclusive } = hmm.features;
  const devices = hmm.devices.map(({ kind, capacity }) => ({ kind, capacity }));
  const release = hmm.kernelRelease;
  tell({ kind: 'ready', release, version: stableVersion(release, version()), devices, exclusive });
  for (let number = 0; ; number++) {
    const file = path.join(folder, `${number}.json`);
    while (!existsSync(file)) await pause(POLL);
    const message = JSON.parse(readFileSync(file, 'utf8')) as ToGuest;
    if (message.kind === 'end') return;
    for (const { index, program } of message.programs) {
      tell({ kind: 'begin', index });
      const start = performance.now();
      const { log } = await execute(origin, program);
      tell({ kind: 'result', index, log, milliseconds: performance.now() - start });
    }
  }
}

await main(process.argv[2]!);
