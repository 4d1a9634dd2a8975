import { DriverPageTable, HMM_PFN_VALID } from 'node-hmm';
import { expect, it } from 'vitest';

const PAGE = 4096;
const V = (frame: number) => HMM_PFN_VALID | BigInt(frame);

it('keeps valid entries, and drops what an update says is not there', () => {
  const table = new DriverPageTable();
  table.update(510 * PAGE, BigUint64Array.of(V(1), V(2), V(3), 5n));
  expect(Array.from(table.entries(510 * PAGE, 4 * PAGE))).toEqual([V(1), V(2), V(3), 0n]);
  table.update(511 * PAGE, BigUint64Array.of(0n));
  expect(table.get(511 * PAGE + 9)).toBe(0n);
  expect(table.get(512 * PAGE + 9)).toBe(V(3));
});

it('entries are one per page touched', () => {
  const table = new DriverPageTable();
  table.update(0, BigUint64Array.of(V(1), V(2), V(3)));
  expect(Array.from(table.entries(PAGE - 1, 2))).toEqual([V(1), V(2)]);
  expect(Array.from(table.entries(PAGE, PAGE))).toEqual([V(2)]);
  expect(Array.from(table.entries(PAGE, 0))).toEqual([]);
});

it.each([
  ['a part of a table', 5 * PAGE, 7 * PAGE, [4, 7, 600, 1200]],
  ['an unaligned range touches both its pages', 5 * PAGE - 1, 6 * PAGE + 1, [7, 600, 1200]],
  ['whole tables between parts', 7 * PAGE, 1200 * PAGE, [4, 5, 6, 1200]],
  ['all, as release does', 0, 2 ** 64, []],
  ['nothing', 6 * PAGE, 6 * PAGE, [4, 5, 6, 7, 600, 1200]],
])('invalidate: %s', (_, start, end, left) => {
  const table = new DriverPageTable();
  for (const page of [4, 5, 6, 7, 600, 1200]) table.update(page * PAGE, BigUint64Array.of(V(page)));
  table.invalidate(start, end);
  expect([4, 5, 6, 7, 600, 1200].filter((page) => table.get(page * PAGE) !== 0n)).toEqual(left);
});

it('an unaligned update is refused', () => {
  expect(() => new DriverPageTable().update(1, BigUint64Array.of(V(1)))).toThrow(RangeError);
});
