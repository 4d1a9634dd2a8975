/**
 * The explorer beside fast-check's scheduler. A step is one point at which another task could go on. fast-check is a development dependency, and loaded only here.
 */
import { explore, type ExploreOptions, type Scenario, type World } from '../lib/explore/index.js';
import { compare, timed, type Comparison, type Round } from './measure.js';

/** What is used of fast-check. */
interface FastCheck {
  scheduler(): unknown;
  asyncProperty(arbitrary: unknown, predicate: (scheduler: FastCheckScheduler) => Promise<void>): unknown;
  assert(property: unknown, parameters: { numRuns: number; seed: number }): Promise<void>;
}
interface FastCheckScheduler {
  schedule(task: Promise<void>): Promise<void>;
  waitIdle(): Promise<void>;
}

const PEER = 'fast-check';
const PAGE = 4096;
const STEPS = 4;
const ROUNDS = 15;
/** Goals, as ratios of times: 25 times as fast where each step is a user's async function, 150 where it is the library's own driver. */
const GOAL_ASYNC = '1/25 = 0.040';
const GOAL_MIRROR = '1/150 = 0.0067';

export async function explorer(emit: (row: Comparison) => void): Promise<void> {
  const fc = (await import(PEER)) as FastCheck;
  const theirs = () => perStep(() => fastCheck(fc, 200));
  const beside = async (name: string, goal: string, ours: Round) =>
    emit(await compare({ name, unit: 'ns', against: 'a step of fast-check', goal }, ours, theirs, ROUNDS));
  const row = (name: string, goal: string, ours: () => Promise<number> | number) =>
    beside(name, goal, () => perStep(ours));
  const exploring = (scenario: Scenario, options: ExploreOptions) => async () => {
    const result = await explore(scenario, options);
    if (result.result === 'failed') throw new Error(result.failure.violation.message);
    return result.steps;
  };

  await row('the floor: a promise and a microtask', '', () => bare(1000));
  await row('the floor: two generators in turn', '', () => generators(20_000));
  await row('two async tasks, random', GOAL_ASYNC, exploring(plain, { strategy: 'random', executions: 1000 }));
  await row('two async tasks, exhaustive', GOAL_ASYNC, exploring(plain, { reduction: false }));
  await row('populate against munmap, 1 page, exhaustive', GOAL_MIRROR, exploring(race(1, 1), { reduction: false }));
  await beside('of that, a step without the setup', GOAL_MIRROR, async () => (await apart()).step);
  await beside('of that, the setup of an execution', '', async () => (await apart()).setup);
  // As many that the one which is made twice, to see whether it can be, does not count for much.
  const long: ExploreOptions = { strategy: 'random', executions: 16, maxSteps: 100_000 };
  await row('populate against munmap of the last of 512 pages', GOAL_MIRROR, exploring(race(512, 1), long));
  await row('the same without the oracle', GOAL_MIRROR, exploring(race(512, 1), { ...long, oracle: false }));
}

/** Two tasks of four steps. */
const plain: Scenario = async (world) => {
  const task = async () => {
    for (let step = 0; step < STEPS; step++) await world.point();
  };
  await world.parallel({ a: task, b: task });
};

/** The same under fast-check: schedule() is its point. Returns the steps. */
async function fastCheck(fc: FastCheck, runs: number): Promise<number> {
  let steps = 0;
  const property = fc.asyncProperty(fc.scheduler(), async (scheduler) => {
    const task = async () => {
      for (let step = 0; step < STEPS; step++) {
        await scheduler.schedule(Promise.resolve());
        steps++;
      }
    };
    const tasks = [task(), task()];
    await scheduler.waitIdle();
    await Promise.all(tasks);
  });
  await fc.assert(property, { numRuns: runs, seed: 1 });
  return steps;
}

/** And under nothing: a promise for each step, and a microtask in which somebody could decide. No scheduler of async functions can do with less. */
async function bare(executions: number): Promise<number> {
  const parked: (() => void)[] = [];
  const ready = Promise.resolve();
  let steps = 0;
  const decide = () => {
    steps++;
    parked.shift()?.();
  };
  const point = () => {
    const resumed = new Promise<void>((resolve) => parked.push(resolve));
    void ready.then(decide);
    return resumed;
  };
  const task = async () => {
    for (let step = 0; step <= STEPS; step++) await point();
  };
  for (let execution = 0; execution < executions; execution++) await Promise.all([task(), task()]);
  return steps;
}

/** Less than that nothing can be that resumes tasks which are generators. Returns the steps. */
function generators(executions: number): number {
  function* task() {
    for (let step = 0; step < STEPS; step++) yield 'point';
  }
  let steps = 0;
  for (let execution = 0; execution < executions; execution++) {
    const tasks = [task(), task()];
    for (let done = 0; done < tasks.length; steps++) if (tasks[steps % 2]!.next().done === true) done++;
  }
  return steps;
}

/** What a race begins with: a machine, a process, a mirror. */
async function setUp(world: World, pages: number) {
  const hmm = await world.open();
  const space = await hmm.createAddressSpace();
  const start = await space.mmap(pages * PAGE);
  const mirror = await space.mirror(hmm.devices[0]!, { start, length: pages * PAGE });
  return { space, mirror, start, end: start + pages * PAGE };
}

/** The race of one page taken apart: nanoseconds of an execution that ends where the tasks would begin, and of a step of those that do not. */
async function apart(): Promise<{ step: number; setup: number }> {
  let steps = 0;
  let executions = 0;
  const whole = await timed(1, async () => {
    ({ steps, executions } = await explore(race(1, 1), { reduction: false }));
  });
  const setup = await timed(executions, async () => {
    const nothing: Scenario = async (world) => void (await setUp(world, 1));
    await explore(nothing, { strategy: 'random', executions });
  });
  return { step: (whole - setup * executions) / steps, setup };
}

/** The library's own driver populates so many pages, while the process unmaps the last ones. */
function race(pages: number, unmapped: number): Scenario {
  return async (world) => {
    const { space, mirror, start, end } = await setUp(world, pages);
    await world.parallel({
      cpu: () => space.munmap(end - unmapped * PAGE, unmapped * PAGE),
      device: () => mirror.populate(start, end).catch(() => undefined),
    });
  };
}

/** Nanoseconds per step of the steps that `run` makes; it tells how many those were. */
async function perStep(run: () => Promise<number> | number): Promise<number> {
  let steps = 0;
  const total = await timed(1, async () => {
    steps = await run();
  });
  return total / steps;
}
