import type { CommandSpec, OptionSpecs } from '../command-line.js';

const OPTIONS = {
  json: { type: 'boolean', help: 'the same for programs: version, summary, status and findings' },
} as const satisfies OptionSpecs;

export const DOCTOR: CommandSpec<typeof OPTIONS> = {
  name: 'doctor',
  summary: 'what works on this machine, what does not, why, and what to do',
  usage: ['node-hmm doctor [--json]'],
  about: 'Says what works on this machine, what does not, why, and what to do. Changes nothing and fetches nothing.',
  options: OPTIONS,
  operands: 'none',
  after: `States:
  ok        it is there, and works
  later     it is not there, and nothing has to be done: it is fetched or built when it is first used
  optional  it is not there, and nothing here needs it
  missing   something does not work without it

Exit status: 0 if nothing is missing, 1 if something is.`,
};
