import type { CommandSpec, OptionSpecs } from '../command-line.js';

export const STRATEGIES = ['exhaustive', 'bounded', 'random', 'pct'] as const;

const OPTIONS = {
  scenario: { type: 'string', value: 'NAME', help: 'the export (default "default")' },
  strategy: {
    type: 'string',
    value: 'NAME',
    choices: STRATEGIES,
    help: `${STRATEGIES.join(', ')} (default exhaustive)`,
  },
  'max-preemptions': { type: 'string', value: 'N', help: 'bounded: (default 2)' },
  executions: { type: 'string', value: 'N', help: 'random and pct: how many (default 1000)' },
  seed: { type: 'string', value: 'N', help: 'random and pct' },
  depth: { type: 'string', value: 'N', help: 'pct' },
  'no-reduction': { type: 'boolean', help: 'exhaustive: orders that come to the same, too' },
  'max-executions': { type: 'string', value: 'N', help: 'give up after so many' },
  'max-steps': { type: 'string', value: 'N', help: 'steps of one execution (default 10000)' },
  'livelock-calls': { type: 'string', value: 'N', help: 'calls without progress that are a livelock (default 200)' },
  'no-oracle': {
    type: 'boolean',
    help: "look for nothing but errors of the scenario's own, deadlocks and livelocks",
  },
  all: { type: 'boolean', help: 'count all failures, instead of stopping at the first' },
  'no-minimise': { type: 'boolean', help: 'show the failure as it was found' },
  workers: { type: 'string', value: 'N', help: 'exhaustive, on so many threads' },
  shard: {
    type: 'string',
    value: 'I/N',
    help: 'only the I-th of N parts, so that N machines do one exploration together',
  },
  output: { type: 'string', value: 'FILE', completes: 'file', help: 'the result as text, for --merge' },
  merge: { type: 'boolean', help: 'put the results of all parts together' },
  replay: { type: 'string', value: 'SCHEDULE', help: 'make one execution again, as a failure has printed it' },
} as const satisfies OptionSpecs;

export const EXPLORE: CommandSpec<typeof OPTIONS> = {
  name: 'explore',
  summary: 'run a scenario in every order of its steps, and show the one that fails',
  usage: ['node-hmm explore [OPTIONS] FILE', 'node-hmm explore --merge [--output FILE] RESULT…'],
  about:
    'Runs the scenario that FILE exports, a JavaScript or TypeScript module, in every order of its steps, and says whether one of ' +
    'them fails, and how.',
  options: OPTIONS,
  operands: 'files',
  after: `TypeScript: Node runs it by itself from 22.18 on; before, tsx or typescript is used if FILE's project has it installed.

Exit status: 0 passed, or all of this part explored without a failure; 1 failed; 2 incomplete: a limit was hit; 64 wrong usage; 65 the scenario cannot be loaded or explored, or a result cannot be read.`,
};
