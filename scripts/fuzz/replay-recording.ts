/** A recording compared with the simulation: a matter of seconds, on every processor there is. */
import { Worker } from 'node:worker_threads';

import { difference, kindOf, sideBySide } from '../../test/fuzz/compare.js';
import { Simulation } from '../../test/fuzz/simulate.js';
import { stepText } from '../../test/fuzz/typescript.js';
import type { Machine } from '../../test/fuzz/protocol.js';
import { UsageError } from '../usage-error.js';
import { recorded, type Share } from './recording.js';

/** Programs that differ in the same way. */
export interface Kind {
  readonly kind: string;
  readonly count: number;
  /** Of the first of them, with where it differs. */
  readonly index: number;
  readonly text: string;
}

export interface Compared {
  readonly programs: number;
  readonly kinds: readonly Kind[];
}

/** What a worker says: how far it is, and at last what it found. */
export type FromWorker =
  { readonly programs: number } | { readonly compared: Compared } | { readonly line: number; readonly message: string };

/**
 * Runs a share's programs on the simulation.
 * @param progress called after each
 * @throws LineError
 */
export async function compareShare(share: Share, progress: (programs: number) => void): Promise<Compared> {
  const simulation = new Simulation(share.machine);
  const kinds = new Map<string, Kind>();
  let programs = 0;
  for await (const { index, program, log } of recorded(share)) {
    const divergence = difference(log, await simulation.run(program));
    progress(++programs);
    if (divergence === null) continue;
    const step = program.steps[divergence.step];
    const kind = kindOf(divergence, step?.op ?? 'end');
    const known = kinds.get(kind);
    const where = `program ${index}, step ${divergence.step}: ${step === undefined ? 'the end' : stepText(step)}`;
    const first = known ?? { index, text: `${where}\n${sideBySide(divergence.kernel, divergence.simulation)}` };
    kinds.set(kind, { kind, index: first.index, text: first.text, count: (known?.count ?? 0) + 1 });
  }
  return { programs, kinds: [...kinds.values()] };
}

/** The same for any number of shares: of each kind the program that was recorded first, and kinds in that order. */
export function mergeCompared(all: readonly Compared[]): Compared {
  const kinds = new Map<string, Kind>();
  for (const found of all.flatMap((each) => each.kinds)) {
    const known = kinds.get(found.kind) ?? { ...found, count: 0 };
    const first = found.index < known.index ? found : known;
    kinds.set(found.kind, { ...first, count: known.count + found.count });
  }
  return {
    programs: all.reduce((sum, { programs }) => sum + programs, 0),
    kinds: [...kinds.values()].sort((a, b) => a.index - b.index),
  };
}

/**
 * MiB of a thread for young objects. A program makes a few of them for every thing it does, and with V8's own limit, made for
 * programs that share a machine, the collector runs so often that it finds many still in use.
 */
const YOUNG = 192;

/**
 * Compares a whole recording, in threads.
 * @param progress called with how many programs there have been, now and then
 * @throws UsageError for a line that is none of a recording
 */
export async function compareRecording(
  file: string,
  machine: Machine,
  workers: number,
  progress: (programs: number) => void,
): Promise<Compared> {
  const programs = new Array<number>(workers).fill(0);
  const threads: Worker[] = [];
  const share = (index: number): Promise<Compared> =>
    new Promise((resolve, reject) => {
      const workerData: Share = { file, machine, index, count: workers };
      const resourceLimits = { maxYoungGenerationSizeMb: YOUNG };
      const thread = new Worker(new URL('./recording-worker.js', import.meta.url), { workerData, resourceLimits });
      threads.push(thread);
      thread.on('error', reject);
      thread.on('exit', (status) => reject(new Error(`a thread ended with status ${status}`)));
      thread.on('message', (message: FromWorker) => {
        if ('compared' in message) resolve(message.compared);
        else if ('line' in message) reject(new UsageError(`${file}, line ${message.line}: ${message.message}`));
        else {
          programs[index] = message.programs;
          progress(programs.reduce((sum, each) => sum + each));
        }
      });
    });
  try {
    return mergeCompared(await Promise.all(programs.map((_, index) => share(index))));
  } finally {
    await Promise.all(threads.map((thread) => thread.terminate()));
  }
}
