/**
 * Whether steps that the table of dependencies says have nothing to do with each other have not: of an execution two such neighbours change places, and everything
 * else must stay as it is: the points that each task passes, and the outcome.
 */
import { outcomeText } from '../../dist/lib/explore/result.js';
import type * as Dependency from '../../dist/lib/explore/dependency.js';
import type * as Options from '../../dist/lib/explore/options.js';
import type * as Searches from '../../dist/lib/explore/search.js';
import type { Scenario } from 'node-hmm/explore';
import type { Scheduler, StepView, TaskView } from '../../dist/lib/scheduler.js';

/** Of the library, which may be a copy. */
export interface Explorer {
  readonly dependency: typeof Dependency;
  readonly options: typeof Options;
  readonly search: {
    newSearch(scenario: Scenario, settings: Options.Settings, trace: boolean): Searches.Search;
  };
}

interface Step {
  readonly thread: number;
  /** The step, counted from 1, that made it possible; 0 for none. */
  readonly since: number;
  readonly from: string;
  readonly to: string;
  readonly footprint: number;
}

interface Made {
  readonly steps: readonly Step[];
  /** What must be the same. */
  readonly text: string;
}

/** One execution: as told, thread by thread, and beyond that by chance. */
class Walker implements Scheduler {
  readonly steps: Step[] = [];
  #begun = false;
  #since = 0;

  constructor(
    readonly explorer: Explorer,
    readonly told: readonly number[],
    readonly chance: (limit: number) => number,
  ) {}

  newExecution(): boolean {
    if (this.#begun) return false;
    this.#begun = true;
    return true;
  }

  nextTask(runnable: readonly TaskView[]): number {
    const thread = this.told[this.steps.length];
    // Where the one that is told cannot go on, another does: what comes of it is not the same, and that is told by the text.
    const task = runnable.find((each) => each.thread === thread) ?? runnable[this.chance(runnable.length)]!;
    this.#since = task.since;
    return task.id;
  }

  nextU64(): bigint {
    return 0n;
  }

  stepped(step: StepView): void {
    const { from, task, outcome } = step;
    const to = outcome === 'ended' ? 'the end' : `${step.to}, ${outcome}`;
    const footprint = this.explorer.dependency.footprint(step);
    this.steps.push({ thread: task.thread, since: this.#since, from: `${task.name} ${from}`, to, footprint });
  }
}

async function make(explorer: Explorer, scenario: Scenario, told: readonly number[], seed: number): Promise<Made> {
  const { search, options } = explorer;
  let text = '';
  let state = seed >>> 0;
  const chance = (limit: number): number => {
    // The generator of Numerical Recipes: the same everywhere.
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const walker = await search.newSearch(scenario, options.checkOptions({}), false).run(
    () => new Walker(explorer, told, chance),
    ({ end }, { steps }) => {
      const paths: string[] = [];
      for (const { thread, from, to } of steps) paths[thread] = `${paths[thread] ?? ''}${from} > ${to}; `;
      const outcome = end.kind === 'passed' ? outcomeText(end.outcome) : end.kind;
      text = [...paths, outcome].join('\n');
      return true;
    },
  );
  return { steps: walker.steps, text };
}

/** The first two steps that do not commute although they are said to, in words; null if there are none in this execution. */
export async function wrongPair(explorer: Explorer, scenario: Scenario, seed: number): Promise<string | null> {
  const { steps, text } = await make(explorer, scenario, [], seed);
  const threads = steps.map(({ thread }) => thread);
  for (let at = 0; at + 1 < steps.length; at++) {
    const one = steps[at]!;
    const other = steps[at + 1]!;
    const mayCommute = one.thread !== other.thread && other.since !== at + 1;
    if (!mayCommute || explorer.dependency.dependent(one.footprint, other.footprint)) continue;
    const told = [...threads.slice(0, at), other.thread, one.thread, ...threads.slice(at + 2)];
    const swapped = await make(explorer, scenario, told, seed);
    if (swapped.text !== text) return `${one.from} > ${one.to} and ${other.from} > ${other.to}`;
  }
  return null;
}
