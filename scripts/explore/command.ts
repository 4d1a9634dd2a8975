import {
  explore,
  exploreInWorkers,
  formatResult,
  mergeResults,
  parseResult,
  replay,
  stringifyResult,
  type ExploreResult,
  type Scenario,
} from '../../lib/explore/index.js';
import { checkOptions } from '../../lib/explore/options.js';
import { parseSchedules } from '../../lib/explore/schedule.js';
import { checkOutput, readAs, writeOutput } from '../files.js';
import { DataError, UsageError } from '../usage-error.js';
import { describeError, loadScenario, urlOf } from './load.js';
import { parseExploreCommandLine, type ExploreCommandLine } from './options.js';

const EXIT_FAILED = 1;
const EXIT_INCOMPLETE = 2;
/** @returns the exit status */
export async function exploreCommand(args: readonly string[]): Promise<number> {
  const line = parseExploreCommandLine(args);
  checkOutput('--output', line.output);
  try {
    return await run(line);
  } catch (error) {
    if (error instanceof UsageError || error instanceof DataError) throw error;
    // Nothing has been found, and nothing proved: no status that says either.
    throw new DataError(`${line.files.join(' ')} cannot be explored: ${describeError(error)}`);
  }
}

async function run(line: ExploreCommandLine): Promise<number> {
  if (line.replay !== undefined) return await replayed(line, line.replay);
  const result = line.merge ? merged(line.files) : await explored(line);
  if (line.output !== undefined) writeOutput(line.output, `${stringifyResult(result)}\n`);
  process.stdout.write(`${formatResult(result)}\n`);
  if (result.result === 'failed' && !line.merge) {
    const name = line.scenario === 'default' ? '' : ` --scenario ${line.scenario}`;
    process.stdout.write(`  node-hmm explore ${line.files[0]}${name} --replay '${result.failure.schedule}'\n`);
  }
  return statusOf(result);
}

function statusOf(result: ExploreResult): number {
  if (result.result === 'failed') return EXIT_FAILED;
  return result.result === 'passed' || result.shard?.exhausted === true ? 0 : EXIT_INCOMPLETE;
}

async function explored(line: ExploreCommandLine): Promise<ExploreResult> {
  const { scenario, workers, options } = line;
  asUsage(() => checkOptions(options));
  const loaded = await load(line);
  if (workers === 0) return await explore(loaded, options);
  if (options.strategy !== undefined && options.strategy !== 'exhaustive') {
    throw new UsageError('--workers is for the exhaustive strategy');
  }
  return await exploreInWorkers({ module: urlOf(line.files[0]!), name: scenario }, { ...options, workers });
}

async function replayed(line: ExploreCommandLine, schedule: string): Promise<number> {
  asUsage(() => parseSchedules(schedule));
  const { maxSteps, livelockCalls, oracle } = asUsage(() => checkOptions(line.options));
  const { result, violation, outcome, timeline } = await replay(await load(line), schedule, {
    maxSteps,
    livelockCalls,
    oracle,
  });
  const end = violation === null ? `the scenario returned ${outcome}` : `${violation.kind}\n  ${violation.message}`;
  process.stdout.write(`${result}: ${end}\n\n${timeline}\n`);
  return result === 'failed' ? EXIT_FAILED : 0;
}

async function load({ files, scenario, workers }: ExploreCommandLine): Promise<Scenario> {
  return (await loadScenario(files[0]!, scenario, workers > 0)) as Scenario;
}

function merged(files: readonly string[]): ExploreResult {
  const results = files.map((file) => readAs(file, parseResult));
  try {
    return mergeResults(results);
  } catch (error) {
    throw new DataError(error instanceof Error ? error.message : String(error));
  }
}

/** What the explorer says of its options before it runs anything is a mistake of the command line. */
function asUsage<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (error instanceof Error) throw new UsageError(error.message);
    throw error;
  }
}
