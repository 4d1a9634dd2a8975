import type { CommandSpec, OptionSpecs } from '../command-line.js';

const OPTIONS = {} as const satisfies OptionSpecs;

export const BUILD_ADDON: CommandSpec<typeof OPTIONS> = {
  name: 'build-addon',
  summary: 'builds the native addon from source, where the package brings none that fits',
  usage: ['node-hmm build-addon'],
  about:
    'Builds the native addon and the workload program from source, with node-gyp, into build/ of this copy of the package. ' +
    'What is built there is used in place of what the package brings. It takes g++, make and python3.',
  options: OPTIONS,
  operands: 'none',
  after: 'Exit status: 0 if they were built, 69 if not.',
};
