import { UsageError } from './usage-error.js';

/** What the options of a command do to what is being read from its words. */
export interface Options<Draft> {
  readonly flags: Readonly<Record<string, (draft: Draft) => void>>;
  readonly values: Readonly<Record<string, (draft: Draft, value: string) => void>>;
}

/**
 * Applies the option that `args[index]` begins: "--flag", "--name value" or "--name=value".
 * @returns the index of its last word
 * @throws UsageError
 */
export function applyOption<Draft>(
  { flags, values }: Options<Draft>,
  draft: Draft,
  args: readonly string[],
  index: number,
): number {
  const word = args[index] ?? '';
  const equals = word.indexOf('=');
  const name = equals < 0 ? word : word.slice(0, equals);
  const flag = flags[name];
  if (flag !== undefined) {
    if (equals >= 0) throw new UsageError(`${name} takes no value`);
    flag(draft);
    return index;
  }
  const option = values[name];
  if (option === undefined) throw new UsageError(`unknown option ${name}`);
  const last = equals < 0 ? index + 1 : index;
  const value = equals < 0 ? args[last] : word.slice(equals + 1);
  if (value === undefined) throw new UsageError(`${name} needs a value`);
  option(draft, value);
  return last;
}
