import { parseCommandLine, wholeNumber } from '../command-line.js';
import { UsageError } from '../usage-error.js';
import type { ExploreOptions } from '../../lib/explore/index.js';
import { EXPLORE } from './spec.js';

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

/** @throws UsageError */
export function parseExploreCommandLine(args: readonly string[]): ExploreCommandLine {
  const { values, operands } = parseCommandLine(EXPLORE, args);
  const number = <Name extends keyof ExploreOptions>(name: Name, option: NumberOption) => {
    const text = values[option];
    return (
      text === undefined ? {} : { [name]: wholeNumber(`--${option}`, text, 0, Number.MAX_SAFE_INTEGER, 'a number') }
    ) as Pick<ExploreOptions, Name>;
  };
  const line: ExploreCommandLine = {
    help: values.help,
    merge: values.merge,
    files: operands,
    scenario: values.scenario ?? 'default',
    workers: values.workers === undefined ? 0 : wholeNumber('--workers', values.workers),
    ...(values.replay === undefined ? {} : { replay: values.replay }),
    ...(values.output === undefined ? {} : { output: values.output }),
    options: {
      ...(values.strategy === undefined ? {} : { strategy: values.strategy }),
      ...number('maxPreemptions', 'max-preemptions'),
      ...number('executions', 'executions'),
      ...number('depth', 'depth'),
      ...number('seed', 'seed'),
      ...number('maxExecutions', 'max-executions'),
      ...number('maxSteps', 'max-steps'),
      ...number('livelockCalls', 'livelock-calls'),
      ...(values.shard === undefined ? {} : { shard: values.shard }),
      ...(values['no-reduction'] ? { reduction: false } : {}),
      ...(values['no-oracle'] ? { oracle: false } : {}),
      ...(values['no-minimise'] ? { minimise: false } : {}),
      ...(values.all ? { stopAtFirst: false } : {}),
    },
  };
  if (!line.help) check(line);
  return line;
}

type NumberOption =
  'max-preemptions' | 'executions' | 'depth' | 'seed' | 'max-executions' | 'max-steps' | 'livelock-calls';

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
