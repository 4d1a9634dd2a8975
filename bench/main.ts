/**
 * npm run bench [-- --kernel NAME] [--only host|notifiers|explore|vm|drivers|boot] [--json FILE]: every figure is a ratio of two things that took turns in one run.
 * "host" is the simulation on this machine, "notifiers" its interval tree and its invalidations, "explore" the explorer beside fast-check, "vm" the module in a virtual machine beside a C program, "drivers" the module beside
 * the kernel's test_hmm (on own-6.12), "boot" the runner itself.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { provideKernel } from '../scripts/provision/kernel.js';
import { DEFAULT_KERNEL, kernelNamed } from '../scripts/vm/kernels.js';
import { runInVm } from '../scripts/vm/run.js';
import { boots } from './boot.js';
import { explorer } from './explore.js';
import { intervalTrees, invalidations } from './interval-tree.js';
import { table, type Comparison } from './measure.js';
import { memory, sparse, walks } from './simulation.js';
import { Yardstick, compileYardstick } from './yardstick.js';

const { values } = parseArgs({
  options: {
    kernel: { type: 'string', default: DEFAULT_KERNEL },
    only: { type: 'string' },
    json: { type: 'string' },
  },
});
const PARTS = ['host', 'notifiers', 'explore', 'vm', 'drivers', 'boot'];
/** The kernel that has test_hmm.ko. */
const TEST_HMM_KERNEL = 'own-6.12';
if (values.only !== undefined && !PARTS.includes(values.only)) {
  throw new Error(`--only takes ${PARTS.join(', ')}, not "${values.only}"`);
}

const rows: Comparison[] = [];
const notes: string[] = [];
const folder = mkdtempSync(path.join(tmpdir(), 'node-hmm-bench-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const emit = (row: Comparison) => {
  rows.push(row);
  console.error(`  ${row.name}: ${row.ratio.median.toFixed(3)}`);
};
const wanted = (part: string) => values.only === undefined || values.only === part;

if (wanted('host')) {
  console.error('the simulation, on this machine');
  const c = new Yardstick(compileYardstick('ioctls', folder));
  await walks(c, emit);
  await c.close();
  notes.push(await sparse());
  notes.push(await memory());
}

if (wanted('notifiers')) {
  console.error('interval trees and notifiers, on this machine');
  await intervalTrees(folder, emit);
  await invalidations(emit);
}

if (wanted('explore')) {
  console.error('the explorer, beside fast-check');
  await explorer(emit);
}

if (wanted('vm')) {
  console.error(`the module, in a virtual machine (${values.kernel})`);
  await inMachine(values.kernel, ['dist/bench/kernel.js', compileYardstick('ioctls', folder)]);
}

if (wanted('drivers')) {
  console.error(`the module and test_hmm, in a virtual machine (${TEST_HMM_KERNEL})`);
  const { reference } = await provideKernel(kernelNamed(TEST_HMM_KERNEL), (line) => console.error(line));
  if (reference === undefined) throw new Error(`${TEST_HMM_KERNEL} has no test_hmm.ko`);
  const command = ['dist/bench/drivers.js', compileYardstick('drivers', folder), reference];
  await inMachine(TEST_HMM_KERNEL, command, 'dmirror=N');
}

if (wanted('boot')) {
  console.error('the virtual machine runner');
  await boots(values.kernel, emit);
}

notes.push(
  `this machine: Linux ${release()}, ${cpus().length} processors (${cpus()[0]?.model ?? 'unknown'}), Node ${process.version}`,
);
console.log(table(rows));
for (const note of notes) console.log(note);
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ rows, notes }, null, 2)}\n`);

/** Runs a program of this folder in the guest; its lines are rows. */
async function inMachine(kernel: string, command: readonly string[], moduleParameters = '') {
  const result = await runInVm({
    kernel,
    command: [process.execPath, ...command],
    moduleParameters,
    writable: [folder],
    stdout: lines((line) => emit(JSON.parse(line) as Comparison)),
    stderr: (chunk) => void process.stderr.write(chunk),
    progress: (line) => console.error(line),
    onBoot: (boot) => notes.push(`${kernel}: Linux ${boot.kernelRelease} under ${boot.accelerator} (${boot.reason})`),
  });
  if (result.status !== 0 || result.splats.length > 0) {
    throw new Error(`the run in the machine ended with status ${result.status}\n${result.splats.join('\n')}`);
  }
}

/** A sink that calls back for every whole line. */
function lines(each: (line: string) => void): (chunk: Buffer) => void {
  let rest = '';
  return (chunk) => {
    const parts = (rest + chunk.toString()).split('\n');
    rest = parts.pop() ?? '';
    parts.forEach(each);
  };
}
