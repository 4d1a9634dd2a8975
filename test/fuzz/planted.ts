/**
 * node dist/test/fuzz/planted.js: plants each fault in a copy of the simulation, and runs programs until one shows it. Beside it runs
 * the simulation as it is, which campaigns have held to kernels. Prints a JSON array: after how many programs each was found.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { difference } from './compare.js';
import { FAULTS, plant, type Fault } from './faults.js';
import { programOf } from './generate.js';
import type { Log, Program } from './program.js';
import type { Machine } from './protocol.js';
import { Simulation } from './simulate.js';

export interface Found {
  readonly name: string;
  /** Programs until one showed it; null: none of all did. */
  readonly after: number | null;
  readonly step: string;
}

const PROGRAMS = 1000;
const LENGTH = 40;
const SEED = 1;

const NEWEST = '6.12.0';

/** A kernel that can do everything. */
const MACHINE: Machine = {
  release: NEWEST,
  devices: [
    { kind: 'private', capacity: 16_384 },
    { kind: 'private', capacity: 16_384 },
    { kind: 'coherent', capacity: 65_536 },
    { kind: 'coherent', capacity: 65_536 },
  ],
  exclusive: true,
};

interface Known {
  readonly program: Program;
  readonly log: Log;
}

/** By release, the simulation as it is, and what it has shown. */
const references = new Map<string, { readonly sound: Simulation; readonly known: Known[] }>();

/** The index-th program, and what the simulation as it is shows of it. */
async function expected(release: string, index: number): Promise<Known> {
  let reference = references.get(release);
  if (reference === undefined) {
    reference = { sound: new Simulation({ ...MACHINE, release }), known: [] };
    references.set(release, reference);
  }
  const { sound, known } = reference;
  while (known.length <= index) {
    const capabilities = { devices: MACHINE.devices.map(({ kind }) => kind), exclusive: MACHINE.exclusive };
    const program = programOf(SEED, known.length, LENGTH, capabilities);
    known.push({ program, log: (await sound.run(program)).log });
  }
  return known[index]!;
}

async function hunt(fault: Fault, root: string, folder: string): Promise<Found> {
  plant(fault, root, folder);
  const copy = (await import(pathToFileURL(path.join(folder, 'dist', 'test', 'fuzz', 'simulate.js')).href)) as {
    readonly Simulation: typeof Simulation;
  };
  const { release = NEWEST } = fault;
  const faulty = new copy.Simulation({ ...MACHINE, release });
  for (let index = 0; index < PROGRAMS; index++) {
    const { program, log } = await expected(release, index);
    const divergence = difference(log, await faulty.run(program));
    if (divergence === null) continue;
    return { name: fault.name, after: index + 1, step: program.steps[divergence.step]?.op ?? 'the end' };
  }
  return { name: fault.name, after: null, step: '' };
}

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
const folder = mkdtempSync(path.join(tmpdir(), 'node-hmm-faults-'));
try {
  const found: Found[] = [];
  for (const [number, fault] of FAULTS.entries()) {
    found.push(await hunt(fault, root, path.join(folder, String(number))));
  }
  process.stdout.write(`${JSON.stringify(found, null, 2)}\n`);
} finally {
  rmSync(folder, { recursive: true });
}
