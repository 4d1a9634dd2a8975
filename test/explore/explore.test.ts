/** The explorer itself: what it counts, what it prints, what it refuses. */
import {
  ExplorationError,
  ForbiddenError,
  NondeterminismError,
  ScheduleMismatchError,
  assertPassed,
  explore,
  exploreInWorkers,
  formatResult,
  formatSchedule,
  mergeResults,
  parseSchedule,
  parseShard,
  replay,
  type ExploreResult,
  type Scenario,
} from 'node-hmm/explore';
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { MUTANTS } from './mutants/index.js';
import type { AddressSpace, Mirror } from 'node-hmm';
import { RACES, raceScenario } from './races.js';
import { Driver } from './driver.js';

/** Two tasks of two steps each, which write down their order. */
const letters: Scenario = async (world) => {
  const log: string[] = [];
  const task = (name: string) => async () => {
    for (let step = 0; step < 2; step++) {
      await world.point();
      log.push(name);
    }
  };
  await world.parallel({ a: task('a'), b: task('b') });
  return log.join('');
};

const noReadRetry = MUTANTS[0]!.scenario;

describe('exhaustive', () => {
  it('makes every interleaving once', async () => {
    const result = await explore(letters, { reduction: false });
    // The start of a task is a step too: C(6, 3) orders of two times three.
    expect(result).toMatchObject({ result: 'passed', executions: 20, steps: 120 });
    expect([...result.outcomes.keys()].sort()).toEqual(['"aabb"', '"abab"', '"abba"', '"baab"', '"baba"', '"bbaa"']);
  });

  it('counts calls that are made at once, too', async () => {
    const result = await explore(async (world) => {
      const log: string[] = [];
      const say = (text: string) => () => void log.push(text);
      await world.parallel({
        a: () => Promise.all([world.point().then(say('x')), world.point().then(say('y'))]),
        b: () => world.point().then(say('b')),
      });
      return log.join('');
    });
    expect([...result.outcomes.keys()].sort()).toEqual(['"bxy"', '"byx"', '"xby"', '"xyb"', '"ybx"', '"yxb"']);
  });

  it('lets a task wait for another by a promise of the scenario’s own', async () => {
    const result = await explore(async (world) => {
      let open!: () => void;
      const gate = new Promise<void>((resolve) => (open = resolve));
      await world.parallel({
        waits: () => gate.then(() => world.point()),
        opens: async () => {
          await world.point();
          open();
        },
      });
    });
    assertPassed(result);
  });

  it('finds the same violations and outcomes with the reduction as without', { timeout: 120_000 }, async () => {
    for (const { name, scenario } of MUTANTS.filter(({ kind }) => kind === 'stale-entry').slice(0, 6)) {
      const [full, reduced] = [false, true].map((reduction) =>
        explore(scenario, { reduction, stopAtFirst: false, minimise: false, maxExecutions: 20_000 }),
      );
      const one = await full!;
      const other = await reduced!;
      if (one.result !== 'failed' || other.result !== 'failed') throw new Error(`${name} was not found`);
      expect([...other.violations.keys()].sort(), name).toEqual([...one.violations.keys()].sort());
      expect([...other.outcomes.keys()].sort(), name).toEqual([...one.outcomes.keys()].sort());
    }
  });
});

describe('results', () => {
  it('a bound or a limit is never "passed"', async () => {
    const bounded = await explore(letters, { strategy: 'bounded', maxPreemptions: 1 });
    expect(bounded).toMatchObject({
      result: 'incomplete',
      reason: 'interleavings with more than 1 preemptions were left out',
    });
    expect(await explore(letters, { maxExecutions: 3 })).toMatchObject({ result: 'incomplete', executions: 3 });
    expect(await explore(letters, { maxSteps: 3 })).toMatchObject({ result: 'incomplete' });
    expect(await explore(letters, { strategy: 'random', executions: 50 })).toMatchObject({
      result: 'incomplete',
      executions: 50,
    });
    expect(await explore(letters, { strategy: 'pct', executions: 50 })).toMatchObject({
      result: 'incomplete',
      executions: 50,
    });
    expect(() => assertPassed(bounded)).toThrow(ExplorationError);
  });

  it('a bound that left nothing out is all there is', async () => {
    expect(await explore(letters, { strategy: 'bounded', maxPreemptions: 9 })).toMatchObject({
      result: 'passed',
      executions: 20,
    });
  });

  it('a failure names what is wrong, shows the interleaving, and is replayed by its schedule', async () => {
    const result = await explore(noReadRetry);
    if (result.result !== 'failed') throw new Error('it passed');
    const { failure } = result;
    expect(failure).toMatchObject({ violation: { kind: 'stale-entry' }, preemptions: 1, minimal: true });
    expect(failure.violation.message).toContain('but the process has no page there, and no invalidation is under way');
    expect(failure.timeline.split('\n')[0]).toMatch(/^ +cpu +device$/);
    expect(failure.timeline).toMatch(/zap_pte_range\n.*process 0x[0-9a-f]+: none \(was frame/);
    expect(formatResult(result)).toContain(`await replay(scenario, '${failure.schedule}')`);
    const again = await replay(noReadRetry, failure.schedule);
    expect(again).toMatchObject({
      result: 'failed',
      violation: failure.violation,
      timeline: failure.timeline,
      preemptions: 1,
    });
    // And the same once more: a schedule has one trace.
    expect((await replay(noReadRetry, failure.schedule)).steps).toEqual(again.steps);
  });

  it('the right driver passes where the wrong one failed', async () => {
    const result = await explore(noReadRetry);
    if (result.result !== 'failed') throw new Error('it passed');
    expect(await replay(raceScenario(RACES.munmap, Driver), 'hmm1:')).toMatchObject({
      result: 'passed',
      violation: null,
    });
  });

  it('tells a deadlock by who sleeps where', async () => {
    const result = await explore(async (world) => {
      const lock = (await world.open()).createLock();
      await world.parallel({
        a: async () => {
          await lock.acquire();
          await lock.acquire();
        },
      });
    });
    expect(result).toMatchObject({
      result: 'failed',
      failure: { violation: { kind: 'deadlock', message: "no task can go on: 'a' sleeps in lock at mutex_lock" } },
    });
  });

  it('tells that two locks are taken in both orders, even where they never meet', async () => {
    const result = await explore(async (world) => {
      const hmm = await world.open();
      const [one, two] = [hmm.createLock(), hmm.createLock()];
      await world.parallel({
        a: async () => {
          await one.run(() => two.run(() => undefined));
          await two.run(() => one.run(() => undefined));
        },
      });
    });
    expect(result).toMatchObject({ result: 'failed', executions: 1, failure: { violation: { kind: 'lock-order' } } });
  });

  /** The order of the locks is that of arrival: no execution shows both. */
  const byArrival: Scenario = async (world) => {
    const hmm = await world.open();
    const [one, two] = [hmm.createLock(), hmm.createLock()];
    let first = '';
    const task = (name: string) => async () => {
      await world.point();
      if (first === '') first = name;
    };
    await world.parallel({
      a: task('a'),
      b: task('b'),
      takes: async () => {
        await world.point();
        const [outer, inner] = first === 'b' ? [two, one] : [one, two];
        await outer.run(() => inner.run(() => undefined));
      },
    });
  };

  it('replays an order of locks that takes two executions to be seen by both of them', async () => {
    const result = await explore(byArrival);
    if (result.result !== 'failed') throw new Error('it passed');
    const { failure } = result;
    expect(failure.violation.kind).toBe('lock-order');
    expect(failure.schedule).toMatch(/^hmm1:[^|]*\|[^|]+$/);
    expect(failure.timeline.split('\n').filter((line) => line === 'and in another execution:')).toHaveLength(1);
    expect(await replay(byArrival, failure.schedule)).toMatchObject({
      result: 'failed',
      violation: failure.violation,
      timeline: failure.timeline,
    });
    // Neither of the two shows it alone.
    for (const alone of failure.schedule.slice('hmm1:'.length).split('|')) {
      expect(await replay(byArrival, `hmm1:${alone}`)).toMatchObject({ result: 'passed' });
    }
  });

  it('is seen where each of two shards has met one of the orders, which say how to see both', async () => {
    const takes =
      (reversed: boolean): Scenario =>
      async (world) => {
        const hmm = await world.open();
        const locks = [hmm.createLock(), hmm.createLock()];
        const [outer, inner] = reversed ? locks.reverse() : locks;
        await world.parallel({ a: () => outer!.run(() => inner!.run(() => undefined)), b: () => world.point() });
      };
    const parts = [await explore(takes(false), { shard: '1/2' }), await explore(takes(true), { shard: '2/2' })];
    expect(parts.map(({ result }) => result)).toEqual(['incomplete', 'incomplete']);
    const merged = mergeResults(parts);
    expect(merged).toMatchObject({ result: 'incomplete' });
    expect(merged.result === 'incomplete' && merged.reason).toMatch(
      /^the parts take 'driver lock' and others in different orders: await replay\(scenario, 'hmm1:[^|]*\|[^|]*'\) shows how$/,
    );
  });
});

describe('schedules', () => {
  it('are text and back', () => {
    const schedule = {
      departures: [
        { gap: 0, index: 1 },
        { gap: 71, index: 2 },
      ],
      random: [0n, 2n ** 64n - 1n],
    };
    expect(formatSchedule(schedule)).toBe('hmm1:0.1,1z.2;0,3w5e11264sgsf');
    expect(parseSchedule(formatSchedule(schedule))).toEqual(schedule);
    expect(parseSchedule('hmm1:')).toEqual({ departures: [], random: [] });
  });

  it.each([
    ['', "a schedule begins with 'hmm1:', not ''"],
    ['hmm2:0.1', "version 'hmm2:' was written by another version"],
    ['hmm1:0', "'0' is no 'gap.index'"],
    ['hmm1:0.1.2', "'0.1.2' is no 'gap.index'"],
    ['hmm1:0.!', "'!' is no number"],
    ['hmm1:0.1;1;2', "one ';' at most"],
    ['hmm1:0.1|1.1', "one schedule has no '|'"],
  ])('%j is refused', (text, message) => {
    expect(() => parseSchedule(text)).toThrow(message);
  });

  it('of another scenario are refused', async () => {
    await expect(replay(letters, 'hmm1:z.1')).rejects.toThrow(ScheduleMismatchError);
    await expect(replay(letters, 'hmm1:0.5')).rejects.toThrow('takes task 5 where 2 can go on');
  });

  it('carry the random numbers that were drawn', async () => {
    const dice: Scenario = async (world) => {
      await world.parallel({ a: () => world.point() });
      if (world.random() % 2n === 1n) throw new Error('odd');
    };
    const result = await explore(dice, { strategy: 'random', executions: 50, seed: 1 });
    if (result.result !== 'failed') throw new Error('50 even numbers');
    expect(await replay(dice, result.failure.foundAs)).toMatchObject({ result: 'failed' });
  });
});

describe('memory', () => {
  it('of an execution that is over is the next one’s, and nobody reaches it from the old one', async () => {
    let before: { space: AddressSpace; mirror: Mirror } | null = null;
    let late = 0;
    const result = await explore(async (world) => {
      const hmm = await world.open();
      const space = await hmm.createAddressSpace();
      const start = await space.mmap(4096);
      await space.write(start, new Uint8Array([1]));
      const mirror = await space.mirror(hmm.devices[0]!, { start, length: 4096 });
      await mirror.populate(start, start + 4096, { write: true });
      // The same addresses, of a machine that has gone.
      const nines = new Uint8Array([9]);
      void before?.space.write(start, nines).then(() => late++);
      void before?.mirror.write(start, nines).then(() => late++);
      before = { space, mirror };
      await world.parallel({ a: () => world.point(), b: () => world.point() });
      return [...(await space.read(start, 1)), ...(await mirror.read(start, 1))];
    });
    assertPassed(result);
    expect(result.executions).toBeGreaterThan(1);
    expect([...result.outcomes.keys()]).toEqual(['[1,1]']);
    expect(late).toBe(0);
  });
});

describe('what cannot be repeated', () => {
  it.each<[string, () => unknown]>([
    ['Math.random', () => Math.random()],
    ['Date.now', () => Date.now()],
    ['new Date()', () => new Date()],
    ['performance.now', () => performance.now()],
    ['setTimeout', () => new Promise((resolve) => setTimeout(resolve, 1))],
    ['setImmediate', () => new Promise((resolve) => setImmediate(resolve))],
  ])('%s is refused in a scenario, and works again afterwards', async (name, use) => {
    await expect(explore((world) => world.parallel({ a: use }))).rejects.toThrow(`${name} in a scenario`);
    await use();
  });

  it('I/O is noticed by when it comes', async () => {
    const reads: Scenario = (world) =>
      world.parallel({ a: () => readFile(new URL(import.meta.url)).then(() => world.point()) });
    await expect(explore(reads)).rejects.toThrow(ForbiddenError);
  });

  it('a scenario that remembers the last time is noticed', async () => {
    let times = 0;
    const remembers: Scenario = async (world) => {
      const more = times++ % 2 === 1;
      await world.parallel({ a: () => (more ? world.point() : undefined), b: () => world.point() });
    };
    await expect(explore(remembers)).rejects.toThrow(NondeterminismError);
    await expect(explore(remembers, { strategy: 'random', executions: 3 })).rejects.toThrow(NondeterminismError);
  });

  it('what never comes is a deadlock', async () => {
    const result = await explore((world) => world.parallel({ a: () => new Promise(() => undefined) }));
    expect(result).toMatchObject({
      failure: { violation: { message: "no task can go on: 'a' waits for something that is not the library’s" } },
    });
  });
});

/** All but which execution showed an order of locks first. */
function countsOf(result: ExploreResult) {
  const { executions, redundant, steps, outcomes, shard } = result;
  return [result.result === 'incomplete' && result.reason, executions, redundant, steps, outcomes, shard?.exhausted];
}

describe('parts', () => {
  const module = new URL('./fixtures/races.mjs', import.meta.url).href;

  it.each([true, false])('threads and shards make each execution once (reduction: %s)', async (reduction) => {
    const { right } = (await import(module)) as { right: Scenario };
    const whole = await explore(right, { reduction });
    const { executions, outcomes } = whole;
    expect(await exploreInWorkers({ module, name: 'right' }, { reduction, workers: 2 })).toMatchObject({
      result: 'passed',
      executions,
      outcomes,
    });
    const results: ExploreResult[] = [];
    for (const shard of ['1/3', '2/3', '3/3']) results.push(await explore(right, { reduction, shard }));
    expect(results.every(({ result }) => result === 'incomplete')).toBe(true);
    expect(mergeResults(results)).toMatchObject({ result: 'passed', executions, outcomes });
    expect(() => mergeResults(results.slice(1))).toThrow('those of all shards');
    // A shard is the same executions, however many threads explore it.
    for (const [at, workers] of [3, 2, 1].entries()) {
      const part = await exploreInWorkers({ module, name: 'right' }, { reduction, shard: `${at + 1}/3`, workers });
      expect(countsOf(part)).toEqual(countsOf(results[at]!));
    }
  });

  it('a shard for which there is no part is explored: nothing is in it', async () => {
    const { right } = (await import(module)) as { right: Scenario };
    const shard = '900/900';
    const alone = await explore(right, { shard });
    expect(alone).toMatchObject({ executions: 0, shard: { exhausted: true } });
    expect(await exploreInWorkers({ module, name: 'right' }, { shard })).toEqual(alone);
  });

  it('a failure in one is the failure of all', async () => {
    const result = await exploreInWorkers({ module, name: 'wrong' });
    expect(result).toMatchObject({
      result: 'failed',
      failure: { violation: { kind: 'error', message: 'Error: the device came too late' } },
    });
  });

  it.each(['', '0/2', '3/2', '1', '1/2/3'])('%j is no shard', (text) => {
    expect(() => parseShard(text)).toThrow(RangeError);
  });
});
