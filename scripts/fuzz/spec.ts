import type { CommandSpec, OptionSpecs } from '../command-line.js';
import { DEFAULT_KERNEL, KERNELS } from '../vm/kernels.js';

/** Steps of a program, unless others are asked for. */
export const LENGTH = 40;

const OPTIONS = {
  kernel: {
    type: 'string',
    value: 'NAME',
    completes: KERNELS.map(({ name }) => name),
    help: `default ${DEFAULT_KERNEL}`,
  },
  seed: { type: 'string', value: 'S', help: 'which programs; default: those of the day' },
  programs: { type: 'string', value: 'N', help: 'how many, default 1000' },
  length: { type: 'string', value: 'N', help: `steps of each, default ${LENGTH}` },
  shard: {
    type: 'string',
    value: 'I/N',
    help: 'only every N-th program, from the I-th on (1 to N); reports of all shards merge',
  },
  only: { type: 'string', value: 'I', help: 'only program I' },
  failures: { type: 'string', value: 'N', help: 'go on until there are N kinds of divergence, default 1' },
  report: { type: 'string', value: 'FILE', completes: 'file', help: 'writes what was found, as JSON' },
  record: {
    type: 'string',
    value: 'FILE',
    completes: 'file',
    help: 'writes what the kernel showed, a JSON object a line',
  },
  replay: {
    type: 'string',
    value: 'FILE',
    completes: 'file',
    help: 'a program, a report or a recording: recordings are compared without a machine',
  },
  workers: { type: 'string', value: 'N', help: 'threads for a recording, default one for each processor' },
  merge: { type: 'boolean', help: 'puts reports (the files that are named) together, and prints the table' },
} as const satisfies OptionSpecs;

export const FUZZ: CommandSpec<typeof OPTIONS> = {
  name: 'fuzz',
  summary: 'random programs on a real kernel and on the simulation, compared',
  usage: ['node-hmm fuzz [OPTIONS]', 'node-hmm fuzz --merge [--report FILE] FILE…'],
  about:
    'Runs the same random programs on a real kernel, in a virtual machine, and on the simulation of that kernel, and compares all ' +
    'that can be observed. Prints the least program for which they differ.',
  options: OPTIONS,
  operands: 'files',
  after:
    'Exit status: 0 no difference; 1 they differ; 64 wrong usage; 65 a file cannot be read; 69 the machine failed; 70 the kernel reported a fault.',
};
