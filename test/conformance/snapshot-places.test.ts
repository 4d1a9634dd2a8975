/** Where each page is, in snapshots of many pages: every kind of place beside every other, in runs that end anywhere. */
import { describe, expect, it } from 'vitest';
import { deviceBench, pages, toDevice, type DeviceBench } from './devices.js';
import { PAGE, look, map, touch } from './support.js';

type Place = 'nowhere' | 'zero' | 'system' | 'device';

/** What a snapshot says of a page, as pages() words it; a page that was migrated has an entry of the device's. */
const WORD: Readonly<Record<Place, string>> = { nowhere: '0/-', zero: 'Vz/-', system: 'VWs/-', device: 'VWd/VW' };

const ORDER: readonly Place[] = ['system', 'device', 'zero', 'nowhere'];
/** Shorter and longer than what the module looks at together, and neither a part nor a multiple of it. */
const LENGTHS = [8, 5, 16, 1, 3];

interface Run {
  readonly place: Place;
  readonly first: number;
  readonly length: number;
}

function layout(): Run[] {
  const runs: Run[] = [];
  let first = 0;
  for (const length of LENGTHS) {
    for (const place of ORDER) {
      runs.push({ place, first, length });
      first += length;
    }
  }
  return runs;
}

async function put(bench: DeviceBench, { place, first, length }: Run): Promise<void> {
  if (place === 'zero') await look(bench.space, first * PAGE, length * PAGE);
  if (place === 'system' || place === 'device') await touch(bench.space, first * PAGE, length * PAGE);
  if (place === 'device') expect(await toDevice(bench, first * PAGE, length * PAGE)).toBe(length);
}

describe.each(['private', 'coherent'] as const)('with memory of a %s device', (kind) => {
  it('each page is said to be where it is', async (context) => {
    const bench = await deviceBench(context, kind);
    const runs = layout();
    const expected = runs.flatMap(({ place, length }) => Array.from({ length }, () => WORD[place]));
    await map(bench.space, 0, expected.length * PAGE);
    for (const run of runs) await put(bench, run);

    expect(await pages(bench.mirror, 0, expected.length * PAGE)).toEqual(expected);
    // From another page on, other pages are looked at together.
    for (const first of [1, 4, 7]) {
      expect(await pages(bench.mirror, first * PAGE, (expected.length - first) * PAGE)).toEqual(expected.slice(first));
    }
  });
});
