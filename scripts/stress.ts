/** npm run stress: programs that strain the module, on a kernel full of checkers. */
import { parsed, runProgram } from './program.js';
import { STRESS_PROGRAMS, runStress } from './stress/run.js';
import { UsageError } from './usage-error.js';

const HELP = `Usage: npm run stress -- [OPTIONS]

Programs that strain the module, on a kernel full of checkers. Fails on any complaint of the kernel's, a hang, or a leak.

  --kernel NAME   default own-6.12-debug
  --only NAME     fuzz: random ioctls on several threads beside a workload, the module loaded again and again;
                  allocations: every memory allocation on the way of each request made to fail in turn;
                  loading: the same for loading the module and unloading it. Default all
  --seconds N     for which the fuzzer runs, default 300
  --seed S        its random numbers, default new ones every day
`;

function whole(text: string, name: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new UsageError(`${name} takes a whole number from 1, not ${text}`);
  return value;
}

async function main(args: readonly string[]): Promise<number> {
  const { values } = parsed({
    args: [...args],
    options: {
      kernel: { type: 'string', default: 'own-6.12-debug' },
      only: { type: 'string' },
      seconds: { type: 'string', default: '300' },
      seed: { type: 'string', default: String(Math.floor(Date.now() / 86_400_000)) },
    },
  });
  const chosen = STRESS_PROGRAMS.filter((program) => values.only === undefined || program === values.only);
  if (chosen.length === 0) {
    throw new UsageError(`--only takes ${STRESS_PROGRAMS.join(', ')}, not "${String(values.only)}"`);
  }
  const seconds = whole(values.seconds, '--seconds');
  const seed = whole(values.seed, '--seed');
  const complaints: string[] = [];
  for (const program of chosen) {
    complaints.push(
      ...(await runStress({
        kernel: values.kernel,
        program,
        seconds,
        seed,
        progress: (line) => console.error(`stress: ${line}`),
        output: (chunk) => void process.stdout.write(chunk),
      })),
    );
  }
  console.log(complaints.length === 0 ? 'stress: no complaint' : complaints.join('\n'));
  return complaints.length === 0 ? 0 : 1;
}

await runProgram('stress', HELP, main);
