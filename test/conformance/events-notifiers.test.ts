/** Which notifiers an invalidation meets, and in which order. Ranges are relative to BASE. */
import { expect, it } from 'vitest';
import { BASE, PAGE, bench, map, record } from './support.js';

it('a callback sees the whole range of the event, not its part inside the interval; outside of it nothing', async () => {
  const { space } = await bench();
  await map(space, 0, 16 * PAGE);
  const inside = await record(space, BASE + 4 * PAGE, PAGE);
  const before = await record(space, BASE, 2 * PAGE);
  const bytes = await record(space, BASE + 7 * PAGE - 1, 1);
  await space.munmap(BASE + 2 * PAGE, 5 * PAGE);
  expect(inside.take()).toEqual(['unmap 0x2000..0x7000']);
  expect(bytes.take()).toEqual(['unmap 0x2000..0x7000']);
  expect(before.take()).toEqual([]);
});

it('several notifiers are called by ascending start, equal starts in the order of insertion', async () => {
  const { space } = await bench();
  await map(space, 0, 16 * PAGE);
  const order: string[] = [];
  const insert = (name: string, start: number, pages: number) =>
    space.insertIntervalNotifier(BASE + start * PAGE, pages * PAGE, { invalidate: () => void order.push(name) });
  await insert('d', 3, 2);
  await insert('a', 0, 16);
  await insert('b', 2, 1);
  await insert('c', 2, 9);
  await insert('beyond', 12, 1);
  await space.munmap(BASE, 8 * PAGE);
  expect(order).toEqual(['a', 'b', 'c', 'd']);
});
