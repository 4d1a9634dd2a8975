import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

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
import { UsageError } from '../usage-error.js';
import { parseExploreCommandLine, type ExploreCommandLine } from './options.js';

const EXIT_FAILED = 1;
const EXIT_INCOMPLETE = 2;
/** The scenario cannot be loaded, or cannot be explored: it depends on more than the schedule (EX_DATAERR). */
const EXIT_CANNOT = 65;

const HELP = `Usage: node-hmm explore [OPTIONS] FILE
       node-hmm explore --merge [--output FILE] RESULT…

Runs the scenario that FILE exports, a JavaScript module, in every order of its steps, and says whether one of them fails, and how.

  --scenario NAME      the export (default "default")
  --strategy NAME      exhaustive (default), bounded, random or pct
  --max-preemptions N  bounded: (default 2)
  --executions N       random and pct: how many (default 1000)
  --seed N, --depth N  random and pct; pct
  --no-reduction       exhaustive: orders that come to the same, too
  --max-executions N   give up after so many
  --max-steps N        steps of one execution (default 10000)
  --livelock-calls N   calls without progress that are a livelock (default 200)
  --no-oracle          look for nothing but errors of the scenario's own, deadlocks and livelocks
  --all                count all failures, instead of stopping at the first
  --no-minimise        show the failure as it was found
  --workers N          exhaustive, on so many threads
  --shard I/N          only the I-th of N parts, so that N machines do one exploration together
  --output FILE        the result as text, for --merge
  --merge              put the results of all parts together
  --replay SCHEDULE    make one execution again, as a failure has printed it

Exit status: 0 passed, or all of this part explored without a failure; 1 failed; 2 incomplete: a limit was hit; 64 wrong usage;
65 the scenario cannot be explored.
`;

/** @returns the exit status */
export async function exploreCommand(args: readonly string[]): Promise<number> {
  const line = parseExploreCommandLine(args);
  if (line.help) {
    process.stdout.write(HELP);
    return 0;
  }
  try {
    return await run(line);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    // Nothing has been found, and nothing proved: no status that says either.
    process.stderr.write(
      `node-hmm explore: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    return EXIT_CANNOT;
  }
}

async function run(line: ExploreCommandLine): Promise<number> {
  if (line.replay !== undefined) return await replayed(line, line.replay);
  const result = line.merge ? mergeResults(line.files.map(readResult)) : await explored(line);
  if (line.output !== undefined) writeFileSync(line.output, `${stringifyResult(result)}\n`);
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
  return await exploreInWorkers({ module: urlOf(line), name: scenario }, { ...options, workers });
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

function urlOf({ files }: ExploreCommandLine): string {
  return pathToFileURL(path.resolve(files[0]!)).href;
}

async function load(line: ExploreCommandLine): Promise<Scenario> {
  const exported = ((await import(urlOf(line))) as Record<string, unknown>)[line.scenario];
  if (typeof exported !== 'function') throw new UsageError(`${line.files[0]} exports no function "${line.scenario}"`);
  return exported as Scenario;
}

function readResult(file: string): ExploreResult {
  return parseResult(readFileSync(file, 'utf8'));
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
