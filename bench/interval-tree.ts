/** The simulation's interval tree beside the kernel's own, in C, and beside what npm has; and what an invalidation costs among many notifiers. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import * as flatten from '@flatten-js/interval-tree';
import NodeIntervalTree from 'node-interval-tree';

import { MADV_DONTNEED, openHmm } from '../lib/index.js';
import { IntervalTree } from '../lib/simulation/interval-tree.js';
import { provideKernelSource, unpackSource } from '../scripts/provision/kernel-source.js';
import { compare, timed, type Comparison } from './measure.js';
import { Yardstick } from './yardstick.js';

/** Its declarations name each other without endings, so that TypeScript, which resolves as Node does, finds none of them. */
const { Interval, IntervalTree: FlattenTree } = flatten as unknown as {
  readonly Interval: new (low: number, high: number) => object;
  readonly IntervalTree: new () => {
    insert(key: object, value: number): void;
    search(key: object): readonly unknown[];
  };
};

const PAGE = 4096;
const BASE = 2 ** 40;
const QUERIES = 100_000;
/** Of the newest kernel that is tested. */
const SOURCE = 'linux-source-6.12';

/** xorshift of 32 bits, as in interval-tree.c. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

interface Place {
  readonly start: number;
  readonly end: number;
}

/** Places of intervals of 1 to 31 pages, so that two overlap any page. */
function places(count: number): Place[] {
  const next = random(1);
  return Array.from({ length: count }, () => {
    const start = (next() % (8 * count)) * PAGE;
    return { start, end: start + (1 + (next() % 31)) * PAGE };
  });
}

function queries(count: number): number[] {
  const next = random(2);
  return Array.from({ length: QUERIES }, () => (next() % (8 * count)) * PAGE);
}

/** A tree of any make. */
interface Subject {
  readonly name: string;
  /** @returns what finds how many intervals overlap a page */
  fill(all: readonly Place[]): (at: number) => number;
}

const ours: Subject = {
  name: 'ours',
  fill(all) {
    const tree = new IntervalTree<number>();
    for (let index = 0; index < all.length; index++) tree.insert(all[index]!.start, all[index]!.end, index);
    return (at) => tree.query(at, at + PAGE).length;
  },
};

const peers: readonly Subject[] = [
  {
    name: 'node-interval-tree',
    fill(all) {
      const tree = new NodeIntervalTree.default<number>();
      for (let index = 0; index < all.length; index++) tree.insert(all[index]!.start, all[index]!.end - 1, index);
      return (at) => tree.search(at, at + PAGE - 1).length;
    },
  },
  {
    name: '@flatten-js/interval-tree',
    fill(all) {
      const tree = new FlattenTree();
      for (let index = 0; index < all.length; index++) {
        tree.insert(new Interval(all[index]!.start, all[index]!.end - 1), index);
      }
      return (at) => tree.search(new Interval(at, at + PAGE - 1)).length;
    },
  },
];

function fillTime(subject: Subject, all: readonly Place[]): Promise<number> {
  return timed(all.length, () => void subject.fill(all));
}

function queryTime(
  find: (at: number) => number,
  all: readonly number[],
): { time: Promise<number>; hits: () => number } {
  let hits = 0;
  const time = timed(all.length, () => {
    hits = 0;
    for (let index = 0; index < all.length; index++) hits += find(all[index]!);
  });
  return { time, hits: () => hits };
}

/** Compiles interval-tree.c with the kernel's tree. @returns the program */
async function compile(folder: string): Promise<string> {
  const source = await provideKernelSource(SOURCE, (line) => console.error(line));
  const members = ['tools/include', 'tools/lib/rbtree.c', 'include/linux/interval_tree_generic.h'];
  const tree = await unpackSource(source, folder, { members });
  // The kernel's other headers would come before those of tools and of the system.
  const only = path.join(folder, 'template', 'linux');
  mkdirSync(only, { recursive: true });
  cpSync(path.join(tree, 'include', 'linux', 'interval_tree_generic.h'), path.join(only, 'interval_tree_generic.h'));
  const program = path.join(folder, 'interval-tree');
  const root = path.dirname(createRequire(import.meta.url).resolve('node-hmm/package.json'));
  const sources = [path.join(root, 'bench', 'interval-tree.c'), path.join(tree, 'tools', 'lib', 'rbtree.c')];
  const include = ['-I', path.join(tree, 'tools', 'include'), '-idirafter', path.join(folder, 'template')];
  execFileSync(
    'cc',
    ['-std=gnu11', '-D_GNU_SOURCE', '-O2', '-Wall', '-static', ...include, '-o', program, ...sources],
    {
      stdio: 'inherit',
    },
  );
  return program;
}

/** @param folder for what is compiled */
export async function intervalTrees(folder: string, emit: (row: Comparison) => void): Promise<void> {
  const c = new Yardstick(await compile(folder));
  for (const count of [100_000, 1_000_000]) {
    const all = places(count);
    const asked = queries(count);
    const label = `interval tree: ${count / 1000}k intervals`;
    const unit = 'ns';
    emit(
      await compare(
        { name: `${label}, insertion`, unit, against: "the kernel's, in C", goal: '<= 3' },
        () => fillTime(ours, all),
        async () => (await c.ask(`intervals ${count}`)) / count,
        count > 100_000 ? 3 : 9,
      ),
    );
    const find = ours.fill(all);
    const mine = queryTime(find, asked);
    await mine.time;
    await c.ask(`intervals ${count}`);
    await c.ask(`queries ${QUERIES}`);
    const theirs = await c.ask('hits');
    if (mine.hits() !== theirs) throw new Error(`the trees disagree: ${mine.hits()} hits, and ${theirs} in C`);
    emit(
      await compare(
        { name: `${label}, query`, unit, against: "the kernel's, in C", goal: '<= 3' },
        () => queryTime(find, asked).time,
        async () => (await c.ask(`queries ${QUERIES}`)) / QUERIES,
        count > 100_000 ? 5 : 9,
      ),
    );
    if (count > 100_000) continue;
    for (const peer of peers) {
      emit(
        await compare(
          { name: `${label}, insertion`, unit, against: peer.name, goal: '<= 0.125' },
          () => fillTime(ours, all),
          () => fillTime(peer, all),
          5,
        ),
      );
      const search = peer.fill(all);
      emit(
        await compare(
          { name: `${label}, query`, unit, against: peer.name, goal: '<= 0.125' },
          () => queryTime(find, asked).time,
          () => queryTime(search, asked).time,
          5,
        ),
      );
    }
  }
  await c.close();
}

/** madvise(MADV_DONTNEED) of a page that one notifier covers, among many, beside the same with no other. */
export async function invalidations(emit: (row: Comparison) => void): Promise<void> {
  const CALLS = 2000;
  await using hmm = await openHmm({ backend: 'simulation' });
  const among = async (count: number) => {
    const space = await hmm.createAddressSpace();
    await space.mmap(count * PAGE, { address: BASE });
    let told = 0;
    const ops = { invalidate: () => void told++ };
    for (let page = 0; page < count; page++) await space.insertIntervalNotifier(BASE + page * PAGE, PAGE, ops);
    const next = random(3);
    return () => {
      const operations = Array.from({ length: CALLS }, () => ({
        op: 'madvise' as const,
        address: BASE + (next() % count) * PAGE,
        length: PAGE,
        advice: MADV_DONTNEED,
      }));
      return timed(CALLS, async () => {
        told = 0;
        await space.run(operations);
        if (told !== CALLS) throw new Error(`${told} callbacks for ${CALLS} invalidations`);
      });
    };
  };
  const alone = await among(1);
  for (const count of [1000, 1_000_000]) {
    const labels = {
      name: `simulation: an invalidation among ${count.toLocaleString('en')} notifiers`,
      unit: 'ns',
      against: 'among one',
    };
    emit(await compare(labels, await among(count), alone, 9));
  }
}
