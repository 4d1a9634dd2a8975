#!/usr/bin/env node
import { UsageError } from './usage-error.js';

const EXIT_USAGE = 64;

const HELP = `Usage: node-hmm COMMAND

  vm [OPTIONS] -- COMMAND…   run COMMAND on a real kernel with hmm_mirror loaded, in a virtual machine
  doctor [--json]            what works on this machine, what does not, why, and what to do

node-hmm COMMAND --help says more.
`;

async function main([command, ...args]: readonly string[]): Promise<number> {
  // Imported when asked for: start-up time is part of every run.
  switch (command) {
    case 'vm':
      return await (await import('./vm/command.js')).vmCommand(args);
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

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`node-hmm: ${error.message}\nnode-hmm --help says what there is.\n`);
  process.exitCode = EXIT_USAGE;
}
