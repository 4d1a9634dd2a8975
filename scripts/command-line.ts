/**
 * The one reader of command lines: what a command takes is a table, from which its line is parsed
 * (by node:util parseArgs), its help is written (help.ts), and the shells' completion is made
 * (completion.ts).
 */
import { parseArgs } from 'node:util';

import { nearest } from './suggestion.js';
import { UsageError } from './usage-error.js';

export interface OptionSpec {
  readonly type: 'boolean' | 'string';
  /** What the help calls the value of a string: "SECONDS". */
  readonly value?: string;
  readonly help: string;
  readonly multiple?: boolean;
  /** Values among which there is a choice: checked, and completed by the shell. */
  readonly choices?: readonly string[];
  /** What the shell completes the value with, where there is no such choice. */
  readonly completes?: 'file' | 'folder' | readonly string[];
}

export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

/**
 * A command, or the program behind an npm script, as data: importing it loads nothing of what it
 * does.
 */
export interface CommandSpec<Options extends OptionSpecs = OptionSpecs> {
  readonly name: string;
  /** One line of the list of commands. */
  readonly summary: string;
  /** Lines of the form "node-hmm vm [OPTIONS] -- COMMAND…". */
  readonly usage: readonly string[];
  /** What it does, in a few lines. */
  readonly about: string;
  readonly options: Options;
  /** The rest of the help: exit statuses, examples. */
  readonly after?: string;
  /**
   * What stands beside the options. 'command': everything from the first word that is no option, or
   * from what follows "--", is another program's, and not looked at.
   */
  readonly operands: 'none' | 'files' | 'words' | 'command';
  /** Words that the shell completes operands with. */
  readonly words?: readonly string[];
}

/** Every command has these. */
export const COMMON_OPTIONS = {
  help: { type: 'boolean', help: 'show this help (also -h)' },
  version: { type: 'boolean', help: 'show the version (also -v)' },
} as const satisfies OptionSpecs;

const SHORT: Readonly<Record<string, keyof typeof COMMON_OPTIONS>> = { h: 'help', v: 'version' };

type ValueOf<Spec extends OptionSpec> = Spec extends { readonly type: 'boolean' }
  ? boolean
  : Spec extends { readonly multiple: true }
    ? readonly string[]
    : Spec extends { readonly choices: readonly (infer Choice)[] }
      ? Choice | undefined
      : string | undefined;

export type Values<Options extends OptionSpecs> = { readonly [Name in keyof Options]: ValueOf<Options[Name]> };

export interface CommandLine<Options extends OptionSpecs> {
  readonly values: Values<Options & typeof COMMON_OPTIONS>;
  readonly operands: readonly string[];
}

/**
 * Splits the words with parseArgs of node:util, which is told to accept everything: the errors are
 * found here, so that they read the same for all commands.
 */
function tokensOf(options: OptionSpecs, args: readonly string[]) {
  const config = Object.fromEntries(
    Object.entries(options).map(([name, { type }]) => {
      const short = Object.keys(SHORT).find((letter) => SHORT[letter] === name);
      return [name, short === undefined ? { type } : { type, short }];
    }),
  );
  return parseArgs({ args: [...args], options: config, strict: false, allowPositionals: true, tokens: true }).tokens;
}

type Token = ReturnType<typeof tokensOf>[number];
type OptionToken = Extract<Token, { kind: 'option' }>;

/** @throws UsageError for anything that the command's table does not have */
export function parseCommandLine<Options extends OptionSpecs>(
  spec: CommandSpec<Options>,
  args: readonly string[],
): CommandLine<Options> {
  const options: OptionSpecs = { ...spec.options, ...COMMON_OPTIONS };
  let tokens: readonly Token[] = tokensOf(options, args);
  let operands: string[] = [];
  if (spec.operands === 'command') {
    const end = tokens.find(({ kind }) => kind !== 'option');
    if (end !== undefined) {
      tokens = tokens.filter(({ index }) => index < end.index);
      operands = args.slice(end.index + (end.kind === 'option-terminator' ? 1 : 0));
    }
  } else {
    operands = tokens.flatMap((token) => (token.kind === 'positional' ? [token.value] : []));
  }
  const values = valuesOf(options, tokens);
  // Whoever asks for help has not finished the line.
  if (values['help'] !== true && values['version'] !== true) checkOperands(spec, operands);
  return { values: values as Values<Options & typeof COMMON_OPTIONS>, operands };
}

function valuesOf(options: OptionSpecs, tokens: readonly Token[]): Record<string, boolean | string | string[]> {
  const values: Record<string, boolean | string | string[]> = {};
  for (const [name, { type, multiple }] of Object.entries(options)) {
    if (type === 'boolean') values[name] = false;
    else if (multiple === true) values[name] = [];
  }
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    const option = optionOf(options, token);
    const value = valueOf(options, option, token);
    if (option.multiple === true) (values[token.name] as string[]).push(value as string);
    else values[token.name] = value;
  }
  return values;
}

function optionOf(options: OptionSpecs, { name, rawName }: OptionToken): OptionSpec {
  const option = Object.hasOwn(options, name) ? options[name] : undefined;
  if (option !== undefined) return option;
  const meant = nearest(name, Object.keys(options));
  throw new UsageError(`unknown option ${rawName}${meant === undefined ? '' : `; is it --${meant} that you mean?`}`);
}

function valueOf(options: OptionSpecs, option: OptionSpec, token: OptionToken): boolean | string {
  const { rawName, value } = token;
  if (option.type === 'boolean') {
    if (value !== undefined) throw new UsageError(`${rawName} takes no value`);
    return true;
  }
  if (value === undefined) throw new UsageError(`${rawName} needs a value`);
  // The next word was taken for the value. One that means something by itself was not meant to be
  // it.
  const another = value.startsWith('--') && Object.hasOwn(options, value.slice(2).replace(/=.*/s, ''));
  if (!token.inlineValue && (value === '--' || another)) {
    throw new UsageError(
      `${rawName} needs a value, and ${value} follows; if that is the value, write ${rawName}=${value}`,
    );
  }
  if (option.choices !== undefined && !option.choices.includes(value)) {
    throw new UsageError(`${rawName} takes ${option.choices.join(', ')}, not "${value}"`);
  }
  return value;
}

function checkOperands({ operands: kind }: CommandSpec, operands: readonly string[]): void {
  if (kind === 'none' && operands.length > 0) {
    throw new UsageError(`it takes options alone, and not ${operands.map((word) => `"${word}"`).join(' ')}`);
  }
}

/**
 * @param what names it in the error
 * @throws UsageError unless `text` is a whole number from `least` to `most`
 */
export function wholeNumber(
  option: string,
  text: string,
  least = 0,
  most: number = Number.MAX_SAFE_INTEGER,
  what = 'a whole number',
): number {
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  const range = most === Number.MAX_SAFE_INTEGER ? `from ${least}` : `from ${least} to ${most}`;
  throw new UsageError(`${option} takes ${what} ${range}, not "${text}"`);
}
