/** npm run selftests: the kernel's own hmm-tests on this project's module, and on the kernel's. */
import { existsSync, realpathSync } from 'node:fs';

import { parseCommandLine, type CommandSpec, type OptionSpecs } from './command-line.js';
import { runProgram } from './program.js';
import { runSelftests, type Choice } from './selftests/run.js';
import { UsageError } from './usage-error.js';
import { kernelNamed } from './vm/kernels.js';
import { underTest } from './vm/under-test.js';

const KERNEL = 'own-6.12';
const CHOICES = ['ours', 'reference', 'both'] as const satisfies readonly Choice[];

const OPTIONS = {
  kernel: { type: 'string', value: 'NAME', help: `default ${KERNEL}: the stock kernels have no device-private memory` },
  binary: {
    type: 'string',
    value: 'FILE',
    completes: 'file',
    help: "a built hmm-tests instead of one built from that kernel's source",
  },
  module: { type: 'string', value: CHOICES.join('|'), choices: CHOICES, help: 'default both' },
  verbose: { type: 'boolean', help: 'what the tests print, as they run' },
} as const satisfies OptionSpecs;

const SELFTESTS: CommandSpec<typeof OPTIONS> = {
  name: 'selftests',
  summary: "the kernel's own hmm-tests on this module and on the kernel's",
  usage: ['npm run selftests -- [OPTIONS]'],
  about:
    "The kernel's own hmm-tests, unmodified, on this project's module and on the kernel's test_hmm, side by side. Fails if ours fails " +
    'anything that the kernel has what it takes for, or skips what the reference does not.',
  options: OPTIONS,
  operands: 'none',
};

function fileNamed(path: string): string {
  if (!existsSync(path)) throw new UsageError(`--binary: there is no ${path}`);
  return realpathSync(path);
}

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseCommandLine(SELFTESTS, args);
  const kernel = kernelNamed(values.kernel ?? KERNEL).name;
  const { lines, complaints } = await runSelftests({
    kernel,
    module: values.module ?? 'both',
    ...(values.binary === undefined ? {} : { binary: fileNamed(values.binary) }),
    progress: (line) => console.error(`selftests: ${line}`),
    ...(values.verbose ? { output: (_: string, chunk: Buffer) => void process.stderr.write(chunk) } : {}),
  });
  console.log([...lines, ...underTest(), ...(complaints.length === 0 ? [] : ['', ...complaints])].join('\n'));
  return complaints.length === 0 ? 0 : 1;
}

await runProgram(SELFTESTS, main);
