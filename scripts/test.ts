/**
 * npm test: every leg, and a closing table with a line for each. What cannot run here is named with its reason and counted as skipped,
 * or, with --require-vm, as failed.
 *
 *   --sim            only what needs no virtual machine
 *   --vm             only the kernels
 *   --kernel NAME    only that kernel; may be repeated
 *   --require-vm     a machine that cannot boot kernels is a failure
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { runPlantedLeg } from './testing/planted-leg.js';
import { closingTable, single, type LegResult } from './testing/report.js';
import { runVitest } from './testing/run-vitest.js';
import { runSelftestsLeg } from './testing/selftests-leg.js';
import { runStressLeg } from './testing/stress-leg.js';
import { runVmLeg } from './testing/vm-leg.js';
import { KERNELS, kernelNamed } from './vm/kernels.js';

const SIMULATED = ['6.12', '6.1'];

/** Where the kernel's own tests are run: a kernel with everything that they ask for. */
const SELFTESTS_ON = 'own-6.12';
/** Where the runner itself is tested, and the module strained: a kernel that reports every kind of fault. */
const CHECKERS = 'own-6.12-debug';

interface Leg {
  readonly name: string;
  /** The kernel that it boots. */
  readonly kernel?: string;
  run(): Promise<LegResult>;
}

const legs: readonly Leg[] = [
  {
    name: 'unit',
    run: () => runVitest('unit', { folders: ['test/unit', 'test/simulation', 'test/kernel', 'test/scripts'] }),
  },
  { name: 'start', run: async () => start() },
  ...SIMULATED.map((version) => {
    const name = `simulation-${version}`;
    return {
      name,
      run: () => runVitest(name, { folders: ['test/conformance', 'test/concurrency'], target: name }),
    };
  }),
  ...KERNELS.map(({ name }) => ({ name, kernel: name, run: () => runVmLeg(name) })),
  { name: 'planted faults', kernel: CHECKERS, run: () => runPlantedLeg('planted faults', CHECKERS) },
  { name: 'stress', kernel: CHECKERS, run: () => runStressLeg('stress', CHECKERS) },
  { name: 'selftests', kernel: SELFTESTS_ON, run: () => runSelftestsLeg('selftests', SELFTESTS_ON) },
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

function chosen(args: readonly string[]): { chosen: readonly Leg[]; requireVm: boolean } {
  const { values } = parseArgs({
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
  return { chosen: legs.filter(wanted), requireVm: values['require-vm'] };
}

async function main(args: readonly string[]): Promise<number> {
  const { chosen: wanted, requireVm } = chosen(args);
  const results: LegResult[] = [];
  for (const leg of wanted) {
    console.log(`\n=== ${leg.name}`);
    const missing = leg.kernel === undefined ? undefined : noMachine();
    if (missing === undefined) results.push(await leg.run());
    else if (requireVm) results.push(single(leg.name, false, missing));
    else results.push({ leg: leg.name, passed: 0, failed: 0, skipped: 1, notes: [`skipped: ${missing}`] });
  }
  console.log(`\n${closingTable(results)}`);
  return results.some((result) => result.failed > 0) ? 1 : 0;
}

process.exitCode = await main(process.argv.slice(2));
