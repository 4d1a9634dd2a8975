/**
 * How a program of this project runs: its help and version, and how it ends when its line is wrong,
 * a machine fails or a pipe breaks.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs, type ParseArgsConfig } from 'node:util';

import { parseCommandLine, type CommandSpec } from './command-line.js';
import { EXIT, statusOfFailure } from './exit-status.js';
import { commandHelp } from './help.js';
import { packageRoot } from './provision/package-root.js';
import { DataError, UsageError } from './usage-error.js';
import { VmError } from './vm/errors.js';

export function packageVersion(): string {
  return (JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string }).version;
}

let brokenPipe = (): void => process.exit(EXIT.brokenPipe);

/** What to do when nobody reads the output any more, in place of ending at once. */
export function onBrokenPipe(action: () => void): void {
  brokenPipe = action;
}

/** A reader that goes away (a pipe into head) is no fault of the program's. */
function watchPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      brokenPipe();
    });
  }
}

/**
 * Runs one command. Its help and its version are answered here.
 * @param main takes the words of the line; returns the exit status
 * @returns the exit status
 */
export async function runCommand(
  spec: CommandSpec,
  args: readonly string[],
  main: (args: readonly string[]) => Promise<number>,
): Promise<number> {
  const command = /^(?:npm run )?[\w-]+(?: (?:--|[a-z]+))?/.exec(spec.usage[0] ?? '')?.[0] ?? spec.name;
  return await settled(command.startsWith('npm') ? spec.name : command, command, async () => {
    const { values } = parseCommandLine(spec, args);
    if (values.help || values.version) {
      process.stdout.write(values.help ? commandHelp(spec) : `${packageVersion()}\n`);
      return 0;
    }
    return await main(args);
  });
}

/**
 * The exit status of `run`, and one line on standard error for an error that is no fault of the
 * program's own.
 * @param command what to write before "--help"
 */
export async function settled(name: string, command: string, run: () => Promise<number>): Promise<number> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof VmError) {
      process.stderr.write(`${name}: ${error.report}\n`);
      return statusOfFailure(error);
    }
    if (error instanceof DataError) {
      process.stderr.write(`${name}: ${error.message}\n`);
      return EXIT.data;
    }
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${name}: ${error.message}\n${command} --help says more.\n`);
    return EXIT.usage;
  }
}

/** Runs this process's program, described by its table. */
export async function runProgram(spec: CommandSpec, main: (args: readonly string[]) => Promise<number>): Promise<void>;
/** The same for a program that reads its own line with `parsed`. */
export async function runProgram(
  name: string,
  help: string,
  main: (args: readonly string[]) => Promise<number>,
): Promise<void>;
export async function runProgram(
  program: CommandSpec | string,
  helpOrMain: string | ((args: readonly string[]) => Promise<number>),
  main?: (args: readonly string[]) => Promise<number>,
): Promise<void> {
  watchPipes();
  const args = process.argv.slice(2);
  if (typeof program !== 'string' && typeof helpOrMain === 'function') {
    process.exitCode = await runCommand(program, args, helpOrMain);
    return;
  }
  const help = helpOrMain as string;
  const name = program as string;
  if (args.includes('--help') || args.includes('-h')) process.stdout.write(help);
  else if (args.includes('--version') || args.includes('-v')) process.stdout.write(`${packageVersion()}\n`);
  else process.exitCode = await settled(name, `npm run ${name} --`, () => main!(args));
}

/** Runs the program of several commands. */
export async function runCommands(main: (args: readonly string[]) => Promise<number>): Promise<void> {
  watchPipes();
  process.exitCode = await main(process.argv.slice(2));
}

/**
 * parseArgs of node:util. @throws UsageError for an option that there is not, or one without its
 * value
 */
export function parsed<T extends ParseArgsConfig>(config: T): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs(config);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code?.startsWith('ERR_PARSE_ARGS') !== true) throw error;
    throw new UsageError((error as Error).message);
  }
}
