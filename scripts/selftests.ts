/** npm run selftests: the kernel's own hmm-tests on this project's module, and on the kernel's. */
import { existsSync, realpathSync } from 'node:fs';

import { parsed, runProgram } from './program.js';
import { runSelftests, type Choice } from './selftests/run.js';
import { UsageError } from './usage-error.js';
import { kernelNamed } from './vm/kernels.js';

const HELP = `Usage: npm run selftests -- [OPTIONS]

The kernel's own hmm-tests, unmodified, on this project's module and on the kernel's test_hmm, side by side. Fails if ours fails
anything that the kernel has what it takes for, or skips what the reference does not.

  --kernel NAME                    default own-6.12: the stock kernels have no device-private memory
  --binary FILE                    a built hmm-tests instead of one built from that kernel's source
  --module ours|reference|both     default both
  --verbose                        what the tests print, as they run
`;

const CHOICES: readonly Choice[] = ['ours', 'reference', 'both'];

function fileNamed(path: string): string {
  if (!existsSync(path)) throw new UsageError(`--binary: there is no ${path}`);
  return realpathSync(path);
}

async function main(args: readonly string[]): Promise<number> {
  const { values } = parsed({
    args: [...args],
    options: {
      kernel: { type: 'string', default: 'own-6.12' },
      binary: { type: 'string' },
      module: { type: 'string', default: 'both' },
      verbose: { type: 'boolean', default: false },
    },
  });
  const kernel = kernelNamed(values.kernel).name;
  const module = CHOICES.find((choice) => choice === values.module);
  if (module === undefined) throw new UsageError(`--module takes ${CHOICES.join(', ')}, not "${values.module}"`);
  const { lines, complaints } = await runSelftests({
    kernel,
    module,
    ...(values.binary === undefined ? {} : { binary: fileNamed(values.binary) }),
    progress: (line) => console.error(`selftests: ${line}`),
    ...(values.verbose ? { output: (_: string, chunk: Buffer) => void process.stderr.write(chunk) } : {}),
  });
  console.log([...lines, ...(complaints.length === 0 ? [] : ['', ...complaints])].join('\n'));
  return complaints.length === 0 ? 0 : 1;
}

await runProgram('selftests', HELP, main);
