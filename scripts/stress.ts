/** npm run stress: programs that strain the module, on a kernel full of checkers. */
import { parseCommandLine, wholeNumber, type CommandSpec, type OptionSpecs } from './command-line.js';
import { runProgram } from './program.js';
import { STRESS_PROGRAMS, runStress } from './stress/run.js';
import { kernelNamed } from './vm/kernels.js';
import { underTest } from './vm/under-test.js';

const KERNEL = 'own-6.12-debug';
const SECONDS = 300;

const OPTIONS = {
  kernel: { type: 'string', value: 'NAME', help: `default ${KERNEL}` },
  only: {
    type: 'string',
    value: 'NAME',
    choices: STRESS_PROGRAMS,
    help:
      'fuzz: random ioctls on several threads beside a workload, the module loaded again and again; allocations: every memory ' +
      'allocation on the way of each request made to fail in turn; loading: the same for loading the module and unloading it. ' +
      'Default all',
  },
  seconds: { type: 'string', value: 'N', help: `for which the fuzzer runs, default ${SECONDS}` },
  seed: { type: 'string', value: 'S', help: 'its random numbers, default new ones every day' },
} as const satisfies OptionSpecs;

const STRESS: CommandSpec<typeof OPTIONS> = {
  name: 'stress',
  summary: 'programs that strain the module, on a kernel full of checkers',
  usage: ['npm run stress -- [OPTIONS]'],
  about:
    "Programs that strain the module, on a kernel full of checkers. Fails on any complaint of the kernel's, a hang, or a leak.",
  options: OPTIONS,
  operands: 'none',
};

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseCommandLine(STRESS, args);
  const kernel = kernelNamed(values.kernel ?? KERNEL).name;
  const chosen = STRESS_PROGRAMS.filter((program) => values.only === undefined || program === values.only);
  const seconds = values.seconds === undefined ? SECONDS : wholeNumber('--seconds', values.seconds, 1);
  const seed = values.seed === undefined ? Math.floor(Date.now() / 86_400_000) : wholeNumber('--seed', values.seed, 1);
  const complaints: string[] = [];
  for (const program of chosen) {
    complaints.push(
      ...(await runStress({
        kernel,
        program,
        seconds,
        seed,
        progress: (line) => console.error(`stress: ${line}`),
        output: (chunk) => void process.stdout.write(chunk),
      })),
    );
  }
  console.log(
    [
      ...complaints,
      ...underTest(),
      `stress: ${complaints.length || 'no'} complaint${complaints.length > 1 ? 's' : ''}`,
    ].join('\n'),
  );
  return complaints.length === 0 ? 0 : 1;
}

await runProgram(STRESS, main);
