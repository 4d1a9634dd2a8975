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
