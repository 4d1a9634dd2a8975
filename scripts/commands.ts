/** The commands of node-hmm: the one table that its help, suggestions and completion come from. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { BUILD_ADDON } from './addon/spec.js';
import type { CommandSpec } from './command-line.js';
import { completionScript, SHELLS } from './completion.js';
import { DOCTOR } from './doctor/spec.js';
import { EXPLORE } from './explore/spec.js';
import type { fuzzCommand } from './fuzz/command.js';
import { FUZZ } from './fuzz/spec.js';
import { columns, commandHelp } from './help.js';
import { packageVersion, runCommand, settled } from './program.js';
import { packageRoot } from './provision/package-root.js';
import { nearest } from './suggestion.js';
import { UsageError } from './usage-error.js';
import { VM } from './vm/spec.js';

type Main = (args: readonly string[]) => Promise<number>;

interface Command {
  readonly spec: CommandSpec;
  /** Imported when it is asked for: start-up time is part of every run. */
  readonly load: () => Promise<Main>;
  /** Why it cannot be had here; undefined: it can. */
  readonly unavailable?: () => string | undefined;
}

const COMPLETION: CommandSpec = {
  name: 'completion',
  summary: 'a script that makes a shell complete commands and options',
  usage: [`node-hmm completion ${SHELLS.join('|')}`],
  about: 'Prints a script for the shell: source <(node-hmm completion bash), or zsh, in its start-up file.',
  options: {},
  operands: 'words',
  words: SHELLS,
};

/**
 * The programs are made by a development dependency, and run by what is among the tests: neither is
 * in the package.
 */
function cloneOnly(): string | undefined {
  if (existsSync(join(packageRoot(), 'dist', 'test', 'fuzz', 'compare.js'))) return undefined;
  return 'fuzz works in a clone of the project, with its development dependencies; the installed package is without both';
}

/** Every import that is written as one is of a file of the package. */
async function loadFuzz(): Promise<Main> {
  const command = new URL('./fuzz/command.js', import.meta.url);
  return ((await import(command.href)) as { fuzzCommand: typeof fuzzCommand }).fuzzCommand;
}

const COMMANDS: readonly Command[] = [
  { spec: VM, load: async () => (await import('./vm/command.js')).vmCommand },
  { spec: EXPLORE, load: async () => (await import('./explore/command.js')).exploreCommand },
  { spec: FUZZ, load: loadFuzz, unavailable: cloneOnly },
  { spec: DOCTOR, load: async () => (await import('./doctor/command.js')).doctorCommand },
  { spec: BUILD_ADDON, load: async () => (await import('./addon/command.js')).buildAddonCommand },
  { spec: COMPLETION, load: async () => completionCommand },
];

function available(): CommandSpec[] {
  return COMMANDS.filter(({ unavailable }) => unavailable?.() === undefined).map(({ spec }) => spec);
}

async function completionCommand(args: readonly string[]): Promise<number> {
  const shell = SHELLS.find((each) => each === args[0]);
  if (shell === undefined || args.length !== 1) {
    throw new UsageError(
      `completion takes one word, ${SHELLS.join(' or ')}${args[0] === undefined ? '' : `, not "${args.join(' ')}"`}`,
    );
  }
  process.stdout.write(completionScript(shell, available()));
  return 0;
}

function programHelp(): string {
  return `Usage: node-hmm COMMAND [OPTIONS]

${columns(available().map(({ name, summary }) => [name, summary]))}

  -h, --help     this help; of a command: node-hmm COMMAND --help, or node-hmm help COMMAND
  -v, --version  the version
`;
}

function commandNamed(name: string): Command {
  const found = COMMANDS.find(({ spec }) => spec.name === name);
  if (found !== undefined) {
    const reason = found.unavailable?.();
    if (reason !== undefined) throw new UsageError(reason);
    return found;
  }
  const meant = nearest(name, [...available().map((spec) => spec.name), 'help']);
  const hint = meant === undefined ? '' : `; is it ${meant} that you mean?`;
  throw new UsageError(`unknown ${name.startsWith('-') ? 'option' : 'command'} ${name}${hint}`);
}

function help([name, ...more]: readonly string[]): number {
  if (more.length > 0) throw new UsageError(`help takes one command, and not "${more.join(' ')}" as well`);
  process.stdout.write(name === undefined ? programHelp() : commandHelp(commandNamed(name).spec));
  return 0;
}

/** @returns the exit status */
export async function runNodeHmm([name, ...args]: readonly string[]): Promise<number> {
  return await settled('node-hmm', 'node-hmm', async () => {
    switch (name) {
      case undefined:
        throw new UsageError('no command');
      case '-h':
      case '--help':
      case 'help':
        return help(args);
      case '-v':
      case '--version':
        process.stdout.write(`${packageVersion()}\n`);
        return 0;
      default: {
        const { spec, load } = commandNamed(name);
        return await runCommand(spec, args, async (words) => await (await load())(words));
      }
    }
  });
}
