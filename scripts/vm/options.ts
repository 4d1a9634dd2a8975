import { parseCommandLine, wholeNumber } from '../command-line.js';
import { UsageError } from '../usage-error.js';
import { kernelNamed } from './kernels.js';
import type { Accelerator } from './qemu-args.js';
import { VM } from './spec.js';

/** The command line of `node-hmm vm`, checked. */
export interface VmCommandLine {
  readonly help: boolean;
  readonly kernel?: string;
  readonly memory?: string;
  readonly cpus?: number;
  /** Huge pages reserved at boot, 2 MiB each. */
  readonly hugePages?: number;
  readonly moduleParameters?: string;
  readonly module: boolean;
  readonly accelerator?: Accelerator;
  /** Seconds. */
  readonly timeout?: number;
  readonly writable: readonly string[];
  readonly append: readonly string[];
  readonly verbose: boolean;
  readonly refresh: boolean;
  /** QEMU's command line is printed, and nothing booted. */
  readonly showCommand: boolean;
  readonly shell: boolean;
  /** Empty for a shell. */
  readonly command: readonly string[];
}

const MAX_CPUS = 64;
/** 64 GiB. */
const MAX_HUGE_PAGES = 2 ** 15;
/** The longest that a timer of Node's can wait, in seconds. */
const MAX_SECONDS = Math.floor((2 ** 31 - 1) / 1000);

function seconds(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value > 0 && value <= MAX_SECONDS)) {
    throw new UsageError(`--timeout takes seconds, a positive number up to ${MAX_SECONDS}, not "${text}"`);
  }
  return value;
}

function memorySize(text: string): string {
  if (!/^[1-9]\d*[MG]$/.test(text)) throw new UsageError(`--memory takes a size such as 512M or 4G, not "${text}"`);
  return text;
}

function cpuCount(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= MAX_CPUS) return value;
  throw new UsageError(`--cpus takes 1 to ${MAX_CPUS}, not "${text}"`);
}

/** `{ [name]: read(text) }`, or nothing for an option that was not given. */
function given<Name extends string, T>(
  name: Name,
  text: string | undefined,
  read: (text: string) => T,
): { readonly [key in Name]?: T } {
  return (text === undefined ? {} : { [name]: read(text) }) as { readonly [key in Name]?: T };
}

/**
 * Options come first; the command starts after "--" or at the first word that is no option.
 * @throws UsageError
 */
export function parseVmCommandLine(args: readonly string[]): VmCommandLine {
  const { values, operands } = parseCommandLine(VM, args);
  const { help, shell, 'show-command': showCommand } = values;
  if (shell && operands.length > 0) throw new UsageError('--shell takes no command: the shell is the command');
  if (!help && !shell && !showCommand && operands.length === 0) {
    throw new UsageError('no command: node-hmm vm [OPTIONS] -- COMMAND…, or --shell');
  }
  return {
    help,
    ...given('kernel', values.kernel, (name) => kernelNamed(name).name),
    ...given('memory', values.memory, memorySize),
    ...given('cpus', values.cpus, cpuCount),
    ...given('hugePages', values.hugepages, (text) =>
      wholeNumber('--hugepages', text, 1, MAX_HUGE_PAGES, 'a number of pages'),
    ),
    ...given('moduleParameters', values['module-args'], (text) => text),
    module: !values['no-module'],
    ...(values.accel === undefined ? {} : { accelerator: values.accel }),
    ...given('timeout', values.timeout, seconds),
    writable: values.writable,
    append: values.append,
    verbose: values.verbose,
    refresh: values.refresh,
    showCommand,
    shell,
    command: operands,
  };
}
