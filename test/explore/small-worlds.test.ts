/**
 * What the reduction rests on, in all small worlds: whatever can come out, and whichever points each task can pass, comes out with it, too; and each two steps that the
 * table of dependencies (dependency.ts) says have nothing to do with each other may change places. Copies of the library whose table forgets something are found.
 */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { explore } from 'node-hmm/explore';
import { Execution } from '../../dist/lib/explore/execution.js';
import { smallWorlds, type SmallWorld } from './small-worlds.js';
import { wrongPair, type Explorer } from './commute.js';
import type { StepView } from '../../dist/lib/scheduler.js';

const LIBRARY = fileURLToPath(new URL('../../dist/lib', import.meta.url));
/** A world with more executions than this is not one of the small ones. */
const MOST = { one: 100, all: 400 };
/** How many are: all pairs but those of two long operations. */
const COMPARED = 181;
/** Executions of each world in which neighbours change places. */
const SEEDS = 6;

type Stepped = (this: Execution, step: StepView) => void;
/** explore(), with the points that each task passed as a part of the outcome. */
function withHistories(): typeof explore {
  const stepped = Object.getOwnPropertyDescriptor(Execution.prototype, 'stepped')!.value as Stepped;
  let histories: string[] = [];
  vi.spyOn(Execution.prototype, 'stepped').mockImplementation(function (this: Execution, step: StepView) {
    const { thread } = step.task;
    histories[thread] = `${histories[thread] ?? ''} ${step.from}>${step.outcome === 'ended' ? '' : step.to}`;
    stepped.call(this, step);
  });
  return (scenario, options) =>
    explore(
      async (world) => {
        histories = [];
        return [await scenario(world), histories];
      },
      { ...options, stopAtFirst: false, minimise: false },
    );
}

let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'node-hmm-'));
});

afterEach(() => vi.restoreAllMocks());
afterAll(() => rm(folder, { recursive: true }));

it('the reduction leaves out no outcome, and no path of a task', { timeout: 300_000 }, async () => {
  const outcomesOf = withHistories();
  const missing: string[] = [];
  let compared = 0;
  for (const { text, scenario } of smallWorlds()) {
    const one = await outcomesOf(scenario, { maxExecutions: MOST.one });
    if (one.result === 'incomplete') continue;
    const all = await outcomesOf(scenario, { reduction: false, maxExecutions: MOST.all });
    if (all.result === 'incomplete') continue;
    compared++;
    for (const outcome of all.outcomes.keys()) if (!one.outcomes.has(outcome)) missing.push(`${text}: ${outcome}`);
  }
  expect([compared, missing]).toEqual([COMPARED, []]);
});

/** What is put where in dependency.js; each time as a line of its own. */
const BREAKS: readonly (readonly [name: string, line: RegExp, instead: string])[] = [
  ['a change of page tables touches nothing', /^const CHANGE = .*$/m, 'const CHANGE = 0;'],
  ['a callback touches nothing', /^const CALLBACK = .*$/m, 'const CALLBACK = 0;'],
  ['the return of a system call touches nothing', /^const RETURNS = .*$/m, 'const RETURNS = 0;'],
  ['a walk that ends touches nothing', /^const WALKED = .*$/m, 'const WALKED = 0;'],
  ['a walk without mmap_lock', /(\['mmap_read_lock>walk_page_range', reads\()MMAP_LOCK \| /, '$1'],
  ['a walk without pages', /(\['mmap_read_lock>walk_page_range', reads\(MMAP_LOCK \| NOTIFIERS) \| PAGES/, '$1'],
  [
    'readRetry in a mirror without what it compares',
    /(\['mutex_lock>mmu_interval_read_begin', reads\(LOCKS) \| NOTIFIERS/,
    '$1',
  ],
  ['readBegin in a mirror without the sequence', /(\['mmu_interval_read_begin>mmap_read_lock', )reads\([^)]*\)/, '$10'],
  ['an invalidation that begins touches nothing', /(range_start>mn_itree_invalidate', )writes\([^)]*\)/, '$10'],
  ['a lock that is taken, and nobody minds', /(\['lock mutex_lock', )writes\(LOCKS\)/, '$10'],
  ['a lock that is waited for, and nobody minds', /(\['mutex_lock~mutex_lock', )writes\(LOCKS\)/, '$10'],
  ['mmap_lock that is waited for, and nobody minds', /(\['mmap_read_lock~mmap_read_lock', )writes\(MMAP_LOCK\)/, '$10'],
  [
    'a writer without mmap_lock',
    /(\['mmap_write_lock>mmu_notifier_invalidate_range_start', writes\()MMAP_LOCK \| /,
    '$1',
  ],
  [
    'a fault in a walk changes nothing',
    /(\['handle_mm_fault>walk_page_range', reads\(MMAP_LOCK \| NOTIFIERS\)) \| CHANGE/,
    '$1',
  ],
];

describe('two steps that the table says have nothing to do with each other', () => {
  it('may change places: nothing else changes', async () => {
    expect(await wrongPairs(await explorerIn(LIBRARY), smallWorlds(), SEEDS)).toEqual([]);
  });

  it.each(BREAKS)('may not, and it is found, where the table is wrong: %s', async (name, line, instead) => {
    const copy = path.join(folder, name.replace(/\W+/g, '-'), 'dist/lib');
    await cp(LIBRARY, copy, { recursive: true, filter: (file) => !file.endsWith('.map') && !file.endsWith('.d.ts') });
    await writeFile(path.join(copy, 'package.json'), '{"type":"module"}');
    const file = path.join(copy, 'explore/dependency.js');
    const text = await readFile(file, 'utf8');
    expect(text).toMatch(line);
    await writeFile(file, text.replace(line, instead));
    const { HmmRange } = await load<{ HmmRange: NonNullable<Parameters<typeof smallWorlds>[0]> }>(copy, 'index.js');
    expect(await wrongPairs(await explorerIn(copy), smallWorlds(HmmRange), SEEDS, 1)).not.toEqual([]);
  });
});

async function load<T>(library: string, module: string): Promise<T> {
  return (await import(pathToFileURL(path.join(library, module)).href)) as T;
}

async function explorerIn(library: string): Promise<Explorer> {
  return {
    dependency: await load(library, 'explore/dependency.js'),
    options: await load(library, 'explore/options.js'),
    search: await load(library, 'explore/search.js'),
  };
}

/** In so many executions of each world. @param most stops there */
async function wrongPairs(
  explorer: Explorer,
  worlds: readonly SmallWorld[],
  seeds: number,
  most = Infinity,
): Promise<string[]> {
  const wrong: string[] = [];
  for (let seed = 0; seed < seeds; seed++) {
    for (const { text, scenario } of worlds) {
      const pair = await wrongPair(explorer, scenario, seed);
      if (pair !== null) wrong.push(`${text}: ${pair}`);
      if (wrong.length >= most) return wrong;
    }
  }
  return wrong;
}
