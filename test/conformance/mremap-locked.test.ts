/**
 * MREMAP_DONTUNMAP of a part of a locked mapping. 6.1.191 and 6.12 cut the part out first, so that the rest stays locked; earlier
 * releases of 6.1 unlock the whole mapping (mm/mremap.c, move_vma).
 */
import os from 'node:os';
import {
  MADV_DONTNEED,
  MAP_LOCKED,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  openHmm,
  type AddressSpace,
} from 'node-hmm';
import { expect, it } from 'vitest';
import { stableVersion } from '../fuzz/stable-version.js';
import { BASE, MiB, PAGE, PRIVATE, RW, bench, map, onKernel, record, refusalCode } from './support.js';

const MOVE = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
const PART = { at: 3 * PAGE, length: 21 * PAGE, to: 4 * MiB + 3 * PAGE };

async function moved(space: AddressSpace) {
  await map(space, 0, 2 * MiB, RW, PRIVATE | MAP_LOCKED);
  const recorder = await record(space);
  await space.mremap(BASE + PART.at, PART.length, PART.length, { flags: MOVE, newAddress: BASE + PART.to });
  return { events: recorder.take(), dropped: space.madvise(BASE + MiB, PAGE, MADV_DONTNEED) };
}

const UNMAP = 'unmap 0x3000..0x18000';

async function splits(space: AddressSpace): Promise<void> {
  const { events, dropped } = await moved(space);
  expect(events).toEqual(['clear 0x0..0x200000', UNMAP]);
  expect(await refusalCode(dropped)).toBe('EINVAL');
}

async function unlocks(space: AddressSpace): Promise<void> {
  const { events, dropped } = await moved(space);
  expect(events).toEqual([UNMAP]);
  await dropped;
}

function isBeforeTheSplit(version: string): boolean {
  const [, series, stable] = /^6\.(\d+)\.(\d+)$/.exec(version) ?? [];
  return series === '1' && Number(stable) < 191;
}

it('the rest stays locked, or all of it is unlocked', async () => {
  const { space } = await bench();
  const before = onKernel && isBeforeTheSplit(stableVersion(os.release(), os.version()));
  await (before ? unlocks(space) : splits(space));
});

it.runIf(!onKernel).each([
  ['6.1.190', unlocks],
  ['6.1.191', splits],
] as const)('the simulation of %s', async (kernel, as) => {
  await using hmm = await openHmm({ kernel });
  await as(await hmm.createAddressSpace());
});
