/** What the programs behind npm scripts have in common: --help, and how they end when their options are wrong or a machine fails. */
import { parseArgs, type ParseArgsConfig } from 'node:util';

import { UsageError } from './usage-error.js';
import { VmError } from './vm/errors.js';

const EXIT_USAGE = 64;
const EXIT_MACHINE_FAILED = 69;

/** parseArgs of node:util. @throws UsageError for an option that there is not, or one without its value */
export function parsed<T extends ParseArgsConfig>(config: T): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs(config);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code?.startsWith('ERR_PARSE_ARGS') !== true) throw error;
    throw new UsageError((error as Error).message);
  }
}

/**
 * Runs this process's program.
 * @param main returns the exit status
 */
export async function runProgram(
  name: string,
  help: string,
  main: (args: readonly string[]) => Promise<number>,
): Promise<void> {
  const args = process.argv.slice(2);
  if (args.includes('--help')) {
    process.stdout.write(help);
    return;
  }
  try {
    process.exitCode = await main(args);
  } catch (error) {
    if (error instanceof VmError) {
      process.stderr.write(`${name}: ${error.report}\n`);
      process.exitCode = EXIT_MACHINE_FAILED;
    } else if (error instanceof UsageError) {
      process.stderr.write(`${name}: ${error.message}\n--help says what there is.\n`);
      process.exitCode = EXIT_USAGE;
    } else {
      throw error;
    }
  }
}
