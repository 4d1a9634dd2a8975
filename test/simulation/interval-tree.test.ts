import { expect, test } from 'vitest';
import { IntervalTree } from '../../lib/simulation/interval-tree.js';

/** The same numbers in every run (a linear congruential generator). */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state % below;
  };
}

test('agrees with a list, through insertions and removals', () => {
  const next = numbers(1);
  const tree = new IntervalTree<number>();
  const list: { start: number; end: number; id: number; handle: number }[] = [];
  for (let id = 0; id < 4000; id++) {
    if (list.length > 0 && next(3) === 0) {
      const [gone] = list.splice(next(list.length), 1);
      tree.remove(gone!.handle);
    } else {
      const start = next(500);
      const end = start + 1 + next(40);
      list.push({ start, end, id, handle: tree.insert(start, end, id) });
    }
    const from = next(520);
    const to = from + 1 + next(20);
    const expected = list
      .filter(({ start, end }) => start < to && end > from)
      .sort((a, b) => a.start - b.start || a.id - b.id)
      .map((each) => each.id);
    expect(tree.query(from, to)).toEqual(expected);
    expect(tree.size).toBe(list.length);
  }
});

test('agrees with a list as it grows to several levels and is emptied again, by random, ascending and equal starts', () => {
  for (const startOf of [(next: (below: number) => number) => next(5000), (_: unknown, id: number) => id, () => 7]) {
    const next = numbers(2);
    const tree = new IntervalTree<number>();
    const list: { start: number; end: number; id: number; handle: number }[] = [];
    let id = 0;
    const check = (): void => {
      const from = next(5020);
      const to = from + 1 + next(30);
      const hits = list.filter(({ start, end }) => start < to && end > from);
      hits.sort((a, b) => a.start - b.start || a.id - b.id);
      expect(tree.query(from, to)).toEqual(hits.map((each) => each.id));
      expect(tree.query(0, 1e9)).toHaveLength(list.length);
    };
    // Twice, so that what was given up is used again.
    for (let round = 0; round < 2; round++) {
      for (; list.length < 4000; id++) {
        const start = startOf(next, id);
        const end = start + 1 + next(40);
        list.push({ start, end, id, handle: tree.insert(start, end, id) });
        if (id % 200 === 0) check();
      }
      while (list.length > 0) {
        const at = round === 0 ? next(list.length) : list.length - 1;
        tree.remove(list.splice(at, 1)[0]!.handle);
        if (list.length % 200 === 0 || list.length < 5) check();
      }
      expect(tree.size).toBe(0);
    }
  }
});
