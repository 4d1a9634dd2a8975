#!/usr/bin/env node
import { UsageError } from './usage-error.js';

const EXIT_USAGE = 64;

const HELP = `Usage: node-hmm COMMAND

  vm [OPTIONS] -- COMMAND…   run COMMAND on a real kernel with hmm_mirror loaded, in a virtual machine
  fuzz [OPTIONS]             random programs on a real kernel and on the simulation, compared (from a clone of the project)
  explore [OPTIONS] FILE     run a scenario in every order of its steps, and show the one that fails
  doctor [--json]            what works on this machine, what does not, why, and what to do

node-hmm COMMAND --help says more.
`;

async function main([command, ...args]: readonly string[]): Promise<number> {
  // Imported when asked for: start-up time is part of every run.
  switch (command) {
    case 'vm':
      return await (await import('./vm/command.js')).vmCommand(args);
    case 'fuzz':
      return await fuzz(args);
    case 'explore':
      return await (await import('./explore/command.js')).exploreCommand(args);
    case 'doctor':
      return await (await import('./doctor/command.js')).doctorCommand(args);
    case '--help':
    case 'help':
      process.stdout.write(HELP);
      return 0;
    case undefined:
      throw new UsageError('no command');
    default:
      throw new UsageError(`unknown command ${command}`);
  }
}

/** The programs are made by a development dependency, and run by what is among the tests: neither is in the package. */
async function fuzz(args: readonly string[]): Promise<number> {
  const { fuzzCommand } = await import('./fuzz/command.js').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new UsageError('fuzz works in a clone of the project, with its development dependencies');
  });
  return await fuzzCommand(args);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`node-hmm: ${error.message}\nnode-hmm --help says what there is.\n`);
  process.exitCode = EXIT_USAGE;
}
