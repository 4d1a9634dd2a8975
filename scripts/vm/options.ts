import { applyOption } from '../command-line.js';
import { UsageError } from '../usage-error.js';
import { kernelNamed } from './kernels.js';
import { acceleratorNamed, type Accelerator } from './qemu-args.js';

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
  readonly command: readonly string[];
}

type Draft = { -readonly [K in keyof VmCommandLine]: VmCommandLine[K] } & { writable: string[]; append: string[] };

const MAX_CPUS = 64;

function positive(option: string, text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new UsageError(`${option} takes a positive number, not "${text}"`);
  return value;
}

const FLAGS: Readonly<Record<string, (draft: Draft) => void>> = {
  '--help': (draft) => (draft.help = true),
  '--no-module': (draft) => (draft.module = false),
  '--verbose': (draft) => (draft.verbose = true),
  '--refresh': (draft) => (draft.refresh = true),
};

const VALUES: Readonly<Record<string, (draft: Draft, value: string) => void>> = {
  '--kernel': (draft, value) => (draft.kernel = kernelNamed(value).name),
  '--memory': (draft, value) => {
    if (!/^[1-9]\d*[MG]$/.test(value)) throw new UsageError(`--memory takes a size such as 512M or 4G, not "${value}"`);
    draft.memory = value;
  },
  '--cpus': (draft, value) => {
    const cpus = positive('--cpus', value);
    if (!Number.isInteger(cpus) || cpus > MAX_CPUS) throw new UsageError(`--cpus takes 1 to ${MAX_CPUS}`);
    draft.cpus = cpus;
  },
  '--hugepages': (draft, value) => {
    const pages = positive('--hugepages', value);
    if (!Number.isInteger(pages)) throw new UsageError(`--hugepages takes a number of pages, not "${value}"`);
    draft.hugePages = pages;
  },
  '--module-args': (draft, value) => (draft.moduleParameters = value),
  '--accel': (draft, value) => {
    draft.accelerator = acceleratorNamed(value);
  },
  '--timeout': (draft, value) => (draft.timeout = positive('--timeout', value)),
  '--writable': (draft, value) => draft.writable.push(value),
  '--append': (draft, value) => draft.append.push(value),
};

/**
 * Options come first; the command starts after "--" or at the first word that is no option.
 * @throws UsageError
 */
export function parseVmCommandLine(args: readonly string[]): VmCommandLine {
  const draft: Draft = {
    help: false,
    module: true,
    verbose: false,
    refresh: false,
    writable: [],
    append: [],
    command: [],
  };
  let index = 0;
  for (; index < args.length; index++) {
    const word = args[index] ?? '';
    if (word === '--') {
      index++;
      break;
    }
    if (!word.startsWith('-')) break;
    index = applyOption({ flags: FLAGS, values: VALUES }, draft, args, index);
  }
  draft.command = args.slice(index);
  if (!draft.help && draft.command.length === 0) throw new UsageError('no command: node-hmm vm [OPTIONS] -- COMMAND…');
  return draft;
}
