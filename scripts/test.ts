/** npm test: every leg, and a closing table with a line for each. */
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import path from 'node:path';

import { parsed, runProgram } from './program.js';
import { runFuzzLeg } from './testing/fuzz-leg.js';
import { runPlantedLeg } from './testing/planted-leg.js';
import { closingTable, single, skipped, type LegOutput, type LegResult } from './testing/report.js';
import { runVitest } from './testing/run-vitest.js';
import { runSelftestsLeg } from './testing/selftests-leg.js';
import { runStressLeg } from './testing/stress-leg.js';
import { runVmLeg, type Extent } from './testing/vm-leg.js';
import { KERNELS, kernelNamed } from './vm/kernels.js';

const HELP = `Usage: npm test -- [OPTIONS]

Every leg of the tests, and a closing table with a line for each. What cannot run here is named with its reason and counted as skipped.

  --sim            only what needs no virtual machine
  --vm             only the kernels
  --kernel NAME    only that kernel, and all that there is for it; may be repeated
  --require-vm     a machine that cannot boot kernels is a failure
`;

const SIMULATED = ['6.12', '6.1'];

/** Each takes 4 GiB at most, of which it touches one. */
const MACHINES_AT_ONCE = 2;

/** Where the kernel's own tests are run: a kernel with everything that they ask for. */
const SELFTESTS_ON = 'own-6.12';
/** Where the runner itself is tested, and the module strained: a kernel that reports every kind of fault. */
const CHECKERS = 'own-6.12-debug';

interface Leg {
  readonly name: string;
  /** The kernel that it boots. */
  readonly kernel?: string;
  /** 'short': all legs are asked for, so each takes no longer than it should. */
  run(output: LegOutput, extent: Extent): Promise<LegResult>;
}

const legs: readonly Leg[] = [
  {
    name: 'unit',
    run: () =>
      runVitest('unit', {
        folders: ['test/unit', 'test/simulation', 'test/kernel', 'test/scripts', 'test/explore', 'test/fuzz'],
      }),
  },
  { name: 'start', run: async () => start() },
  ...SIMULATED.map((version) => {
    const name = `simulation-${version}`;
    return {
      name,
      run: () => runVitest(name, { folders: ['test/conformance', 'test/concurrency'], target: name }),
    };
  }),
  ...KERNELS.map(({ name }) => ({
    name,
    kernel: name,
    run: (output: LegOutput, extent: Extent) => runVmLeg(name, output, extent),
  })),
  ...KERNELS.filter(({ slowness }) => slowness === 1).map(({ name: kernel }) => {
    const name = `fuzz, ${kernel}`;
    return { name, kernel, run: (output: LegOutput) => runFuzzLeg(name, kernel, output) };
  }),
  { name: 'planted faults', kernel: CHECKERS, run: (output) => runPlantedLeg('planted faults', CHECKERS, output) },
  { name: 'stress', kernel: CHECKERS, run: (output, extent) => runStressLeg('stress', CHECKERS, output, extent) },
  { name: 'selftests', kernel: SELFTESTS_ON, run: (output) => runSelftestsLeg('selftests', SELFTESTS_ON, output) },
];

/** The main job, on the simulation, as a newcomer runs it. */
function start(): LegResult {
  const { status } = spawnSync(
    process.execPath,
    [path.join('dist', 'examples', 'mirror-a-process.js'), '--backend', 'simulation'],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  );
  return single('start', status === 0, status === 0 ? undefined : `status ${status}`);
}

/** Why no machine can be booted here; undefined if it can be tried. */
function noMachine(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return `kernels are booted on Linux x64, this is ${process.platform} ${process.arch}`;
  }
  return undefined;
}

interface Choice {
  readonly chosen: readonly Leg[];
  readonly requireVm: boolean;
  readonly extent: Extent;
}

function chosen(args: readonly string[]): Choice {
  const { values } = parsed({
    args: [...args],
    options: {
      sim: { type: 'boolean', default: false },
      vm: { type: 'boolean', default: false },
      kernel: { type: 'string', multiple: true, default: [] },
      'require-vm': { type: 'boolean', default: false },
    },
  });
  // Says which there are, for a name that there is not.
  const kernels = values.kernel.map((name) => kernelNamed(name).name);
  const all = !values.sim && !values.vm && kernels.length === 0;
  const wanted = ({ kernel }: Leg) => {
    if (all) return true;
    if (kernel === undefined) return values.sim;
    return kernels.length > 0 ? kernels.includes(kernel) : values.vm;
  };
  const extent = kernels.length > 0 ? 'all' : 'short';
  return { chosen: legs.filter(wanted), requireVm: values['require-vm'], extent };
}

/**
 * A guest keeps one processor busy, mostly: that is what the tests of the conformance suite are kept on. So as many legs at a time as there are
 * processors; each prints when it has ended, a single one as it goes.
 */
async function runMachines(machines: readonly Leg[], extent: Extent): Promise<LegResult[]> {
  const results = new Map<Leg, LegResult>();
  const waiting = [...machines];
  const one = async (): Promise<void> => {
    for (let leg = waiting.shift(); leg !== undefined; leg = waiting.shift()) {
      const { name } = leg;
      const title = `\n=== ${name}\n`;
      const kept: Buffer[] = [];
      if (machines.length === 1) process.stdout.write(title);
      const result = await leg.run((text) => {
        if (machines.length === 1) process.stdout.write(text);
        else kept.push(Buffer.from(text as string));
      }, extent);
      if (machines.length > 1) process.stdout.write(Buffer.concat([Buffer.from(title), ...kept]));
      results.set(leg, result);
    }
  };
  await Promise.all(Array.from({ length: Math.min(MACHINES_AT_ONCE, availableParallelism()) }, one));
  return machines.flatMap((leg) => results.get(leg) ?? []);
}

async function main(args: readonly string[]): Promise<number> {
  const { chosen: wanted, requireVm, extent } = chosen(args);
  const results: LegResult[] = [];
  const machines: Leg[] = [];
  for (const leg of wanted) {
    const missing = leg.kernel === undefined ? undefined : noMachine();
    if (missing !== undefined && requireVm) results.push(single(leg.name, false, missing));
    else if (missing !== undefined) results.push(skipped(leg.name, missing));
    else if (leg.kernel !== undefined) machines.push(leg);
    else {
      console.log(`\n=== ${leg.name}`);
      results.push(await leg.run((text) => void process.stdout.write(text), extent));
    }
  }
  results.push(...(await runMachines(machines, extent)));
  console.log(`\n${closingTable(results)}`);
  return results.some(({ failures }) => failures.length > 0) ? 1 : 0;
}

await runProgram('test', HELP, main);
