/** npm run bench: every figure is a ratio of two things that took turns in one run. */
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import path from 'node:path';

import { parseCommandLine, type CommandSpec, type OptionSpecs } from '../scripts/command-line.js';
import { checkOutput, writeOutput } from '../scripts/files.js';
import { runProgram } from '../scripts/program.js';
import { provideKernel } from '../scripts/provision/kernel.js';
import { DEFAULT_KERNEL, kernelNamed } from '../scripts/vm/kernels.js';
import { ACCELERATORS } from '../scripts/vm/qemu-args.js';
import { runInVm, type VmOptions } from '../scripts/vm/run.js';
import { underTest } from '../scripts/vm/under-test.js';
import { boots } from './boot.js';
import { explorer } from './explore.js';
import { intervalTrees, invalidations } from './interval-tree.js';
import { table, type Comparison } from './measure.js';
import { memory, sparse, walks } from './simulation.js';
import { Yardstick, compileYardstick } from './yardstick.js';

const PARTS = ['host', 'notifiers', 'explore', 'vm', 'drivers', 'boot'] as const;
/** The kernel that has test_hmm.ko. */
const TEST_HMM_KERNEL = 'own-6.12';

const OPTIONS = {
  only: {
    type: 'string',
    value: 'PART',
    choices: PARTS,
    help: `host: the simulation on this machine
notifiers: its interval tree and its invalidations
explore: the explorer, beside fast-check
vm: the module in a virtual machine, beside a C program that makes the same calls
drivers: the module beside the kernel's test_hmm, on ${TEST_HMM_KERNEL}
boot: the virtual machine runner
Default: all`,
  },
  kernel: { type: 'string', value: 'NAME', help: `for vm and boot, default ${DEFAULT_KERNEL}` },
  accel: {
    type: 'string',
    value: 'NAME',
    choices: ACCELERATORS,
    help: 'for vm and drivers, as of npm run vm; icount: instructions instead of time, the same in every run',
  },
  json: { type: 'string', value: 'FILE', completes: 'file', help: 'writes the rows' },
} as const satisfies OptionSpecs;

const BENCH: CommandSpec<typeof OPTIONS> = {
  name: 'bench',
  summary: 'every figure a ratio of two things that take turns in one run',
  usage: ['npm run bench -- [OPTIONS]'],
  about: 'Every figure is a ratio of two things that take turns in one run.',
  options: OPTIONS,
  operands: 'none',
};

type Machine = Pick<VmOptions, 'accelerator'> & { readonly kernel: string };

/** What was measured, as it comes. */
class Results {
  readonly rows: Comparison[] = [];
  readonly notes: string[] = [];

  readonly add = (row: Comparison): void => {
    this.rows.push(row);
    console.error(`  ${row.name}: ${row.ratio.median.toFixed(3)}`);
  };
}

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseCommandLine(BENCH, args);
  const { only, json, accel } = values;
  checkOutput('--json', json);
  // Known before anything has taken its time.
  const kernel = kernelNamed(values.kernel ?? DEFAULT_KERNEL).name;
  const accelerator = accel === undefined ? {} : { accelerator: accel };
  const results = new Results();
  const folder = mkdtempSync(path.join(tmpdir(), 'node-hmm-bench-'));
  try {
    for (const part of only === undefined ? PARTS : [only])
      await measure(part, { kernel, ...accelerator }, folder, results);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const { rows, notes } = results;
  notes.push(
    ...underTest(),
    `this machine: Linux ${release()}, ${cpus().length} processors (${cpus()[0]?.model ?? 'unknown'}), Node ${process.version}`,
  );
  console.log(table(rows));
  for (const note of notes) console.log(note);
  if (json !== undefined) writeOutput(json, `${JSON.stringify({ rows, notes }, null, 2)}\n`);
  return 0;
}

/** @param folder for programs that are compiled */
async function measure(
  part: (typeof PARTS)[number],
  machine: Machine,
  folder: string,
  results: Results,
): Promise<void> {
  const { kernel } = machine;
  const emit = results.add;
  switch (part) {
    case 'host': {
      console.error('the simulation, on this machine');
      const c = new Yardstick(compileYardstick('ioctls', folder));
      await walks(c, emit);
      await c.close();
      results.notes.push(await sparse(), await memory());
      return;
    }
    case 'notifiers':
      console.error('interval trees and notifiers, on this machine');
      await intervalTrees(folder, emit);
      return await invalidations(emit);
    case 'explore':
      console.error('the explorer, beside fast-check');
      return await explorer(emit);
    case 'vm':
      console.error(`the module, in a virtual machine (${kernel})`);
      return await inMachine(machine, ['dist/bench/kernel.js', compileYardstick('ioctls', folder)], folder, results);
    case 'drivers': {
      console.error(`the module and test_hmm, in a virtual machine (${TEST_HMM_KERNEL})`);
      const { reference } = await provideKernel(kernelNamed(TEST_HMM_KERNEL), (line) => console.error(line));
      if (reference === undefined) throw new Error(`${TEST_HMM_KERNEL} has no test_hmm.ko`);
      const command = ['dist/bench/drivers.js', compileYardstick('drivers', folder), reference];
      return await inMachine({ ...machine, kernel: TEST_HMM_KERNEL }, command, folder, results, 'dmirror=N');
    }
    case 'boot':
      console.error('the virtual machine runner');
      return await boots(kernel, emit);
  }
}

/** Runs a program of this folder in the guest; its lines are rows. */
async function inMachine(
  machine: Machine,
  command: readonly string[],
  folder: string,
  { add }: Results,
  moduleParameters = '',
): Promise<void> {
  const result = await runInVm({
    ...machine,
    command: [process.execPath, ...command],
    moduleParameters,
    writable: [folder],
    stdout: lines((line) => add(JSON.parse(line) as Comparison)),
    stderr: (chunk) => void process.stderr.write(chunk),
    progress: (line) => console.error(line),
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

await runProgram(BENCH, main);
