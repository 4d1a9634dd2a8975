import { applyOption } from '../command-line.js';
import { UsageError } from '../usage-error.js';
import type { ExploreOptions } from '../../lib/explore/index.js';

/** The command line of `node-hmm explore`, checked as far as it can be without the scenario. */
export interface ExploreCommandLine {
  readonly help: boolean;
  /** The file that exports the scenario; or, to be merged, results. */
  readonly files: readonly string[];
  readonly merge: boolean;
  readonly scenario: string;
  /** 0: this thread alone. */
  readonly workers: number;
  /** A schedule to be replayed. */
  readonly replay?: string;
  /** Where the result goes as text. */
  readonly output?: string;
  readonly options: ExploreOptions;
}

type Options = { -readonly [K in keyof ExploreOptions]: ExploreOptions[K] };
type Draft = {
  -readonly [K in keyof ExploreCommandLine]: K extends 'files'
    ? string[]
    : K extends 'options'
      ? Options
      : ExploreCommandLine[K];
};

type Strategy = NonNullable<ExploreOptions['strategy']>;
const STRATEGIES: readonly Strategy[] = ['exhaustive', 'bounded', 'random', 'pct'];

function integer(option: string, text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new UsageError(`${option} takes a number, not "${text}"`);
  return Number(text);
}

const FLAGS: Readonly<Record<string, (draft: Draft) => void>> = {
  '--help': (draft) => (draft.help = true),
  '--merge': (draft) => (draft.merge = true),
  '--no-reduction': ({ options }) => (options.reduction = false),
  '--no-oracle': ({ options }) => (options.oracle = false),
  '--no-minimise': ({ options }) => (options.minimise = false),
  '--all': ({ options }) => (options.stopAtFirst = false),
};

const VALUES: Readonly<Record<string, (draft: Draft, value: string) => void>> = {
  '--scenario': (draft, value) => (draft.scenario = value),
  '--strategy': ({ options }, value) => {
    const strategy = STRATEGIES.find((each) => each === value);
    if (strategy === undefined) throw new UsageError(`--strategy takes ${STRATEGIES.join(', ')}, not "${value}"`);
    options.strategy = strategy;
  },
  '--max-preemptions': ({ options }, value) => (options.maxPreemptions = integer('--max-preemptions', value)),
  '--executions': ({ options }, value) => (options.executions = integer('--executions', value)),
  '--depth': ({ options }, value) => (options.depth = integer('--depth', value)),
  '--seed': ({ options }, value) => (options.seed = integer('--seed', value)),
  '--max-executions': ({ options }, value) => (options.maxExecutions = integer('--max-executions', value)),
  '--max-steps': ({ options }, value) => (options.maxSteps = integer('--max-steps', value)),
  '--livelock-calls': ({ options }, value) => (options.livelockCalls = integer('--livelock-calls', value)),
  '--shard': ({ options }, value) => (options.shard = value),
  '--workers': (draft, value) => (draft.workers = integer('--workers', value)),
  '--replay': (draft, value) => (draft.replay = value),
  '--output': (draft, value) => (draft.output = value),
};

/** @throws UsageError */
export function parseExploreCommandLine(args: readonly string[]): ExploreCommandLine {
  const draft: Draft = { help: false, merge: false, files: [], scenario: 'default', workers: 0, options: {} };
  for (let index = 0; index < args.length; index++) {
    const word = args[index] ?? '';
    if (!word.startsWith('-')) {
      draft.files.push(word);
      continue;
    }
    index = applyOption({ flags: FLAGS, values: VALUES }, draft, args, index);
  }
  if (!draft.help) check(draft);
  return draft;
}

function check({ files, merge, replay, workers, output, options }: ExploreCommandLine): void {
  if (merge) {
    if (files.length === 0) throw new UsageError('--merge takes the results of all shards');
    return;
  }
  if (files.length !== 1) throw new UsageError('explore takes one file, which exports the scenario');
  if (replay !== undefined && (workers > 0 || output !== undefined || options.shard !== undefined)) {
    throw new UsageError(
      '--replay makes the executions of one schedule, and goes with none of --workers, --shard, --output',
    );
  }
}
