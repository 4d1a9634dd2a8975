/** All legs of the tests, in the order in which they start. */
import { spawn } from 'node:child_process';
import path from 'node:path';

import { KERNELS } from '../vm/kernels.js';
import { runFuzzLeg } from './fuzz-leg.js';
import type { Leg } from './leg.js';
import { runPlantedLeg } from './planted-leg.js';
import { single, type LegOutput, type LegResult } from './report.js';
import { runVitest } from './run-vitest.js';
import { runSelftestsLeg } from './selftests-leg.js';
import { runStressLeg } from './stress-leg.js';
import { runVmLeg } from './vm-leg.js';

/** Profiles of the simulation that the conformance suite runs on. */
const SIMULATED = ['6.12', '6.1'];

/** Where the kernel's own tests are run: a kernel with everything that they ask for. */
const SELFTESTS_ON = 'own-6.12';
/** Where the runner itself is tested, and the module strained: a kernel that reports every kind of fault. */
const CHECKERS = 'own-6.12-debug';

/** Tests that run thousands of executions or programs, or start a process for each case: a leg of their own. */
const COMMANDS = ['program', 'cli', 'doctor', 'addon-check'].map((name) => `test/scripts/${name}.test.ts`);
const SEARCHES = ['test/explore', 'test/fuzz', ...COMMANDS];
const UNIT = [
  ...['test/unit', 'test/simulation', 'test/kernel', 'test/scripts'],
  ...COMMANDS.map((file) => `--exclude=${file}`),
];

const hostLegs: readonly Leg[] = [
  { name: 'start', main: true, run: ({ output }) => start(output) },
  {
    name: 'unit',
    main: true,
    run: ({ output }) => runVitest('unit', { folders: UNIT, parallel: true }, output),
  },
];

const searches: Leg = {
  name: 'searches',
  main: true,
  run: ({ output }) => runVitest('searches', { folders: SEARCHES }, output),
};

const simulationLegs: readonly Leg[] = SIMULATED.map((version) => {
  const name = `simulation-${version}`;
  return {
    name,
    main: true,
    run: ({ output }) => runVitest(name, { folders: ['test/conformance', 'test/concurrency'], target: name }, output),
  };
});

const kernelLegs: readonly Leg[] = KERNELS.map(({ name, source }) => ({
  name,
  kernel: name,
  main: source.kind === 'debian',
  run: (context) => runVmLeg(name, context),
}));

const fuzzLegs: readonly Leg[] = KERNELS.filter(({ slowness }) => slowness === 1).map(({ name: kernel }) => {
  const name = `fuzz, ${kernel}`;
  return { name, kernel, main: false, run: (context) => runFuzzLeg(name, kernel, context) };
});

/** The package as it is installed; bundles in the distribution's browser; and what the documents say can be run without a machine. */
const documentLegs: readonly Leg[] = [
  { name: 'browser', main: false, run: ({ output }) => runVitest('browser', { folders: ['test/browser'] }, output) },
  {
    name: 'documents',
    main: false,
    run: ({ output }) => runVitest('documents', { folders: ['test/docs'] }, output),
  },
  { name: 'package', main: false, run: ({ output }) => runVitest('package', { folders: ['test/package'] }, output) },
];

/** The longest first, where the order is free: two legs run at a time, and none should be left alone at the end. */
export const LEGS: readonly Leg[] = [
  ...hostLegs,
  ...kernelLegs.filter(({ main }) => main),
  searches,
  ...simulationLegs,
  ...kernelLegs.filter(({ main }) => !main),
  ...documentLegs,
  ...fuzzLegs,
  { name: 'stress', kernel: CHECKERS, main: false, run: (context) => runStressLeg('stress', CHECKERS, context) },
  {
    name: 'selftests',
    kernel: SELFTESTS_ON,
    main: false,
    run: (context) => runSelftestsLeg('selftests', SELFTESTS_ON, context),
  },
  {
    name: 'planted faults',
    kernel: CHECKERS,
    main: false,
    run: (context) => runPlantedLeg('planted faults', CHECKERS, context),
  },
];

/** The legs of `npm run test:sim`. */
export const SIMULATION_LEGS: readonly string[] = LEGS.flatMap(({ name, kernel }) =>
  kernel === undefined ? name : [],
);

/** The main job, on the simulation, as a newcomer runs it. */
async function start(output: LegOutput): Promise<LegResult> {
  const example = path.join('dist', 'examples', 'mirror-a-process.js');
  const child = spawn(process.execPath, [example, '--backend', 'simulation'], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.on('data', output);
  child.stderr.on('data', output);
  const status = await new Promise<string>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(signal ?? `status ${code}`));
  });
  return single('start', status === 'status 0', status === 'status 0' ? undefined : status);
}
