/**
 * Huge pages that a device asks for: a migration splits them, and takes none that is mapped in pieces; exclusive access is had to
 * the first page alone, and takes all others from the CPU with it. Ranges are relative to BASE.
 */
import { MADV_HUGEPAGE } from 'node-hmm';
import { describe, expect, it, type TestContext } from 'vitest';
import { BASE, MiB, PAGE, byteOf, look, map, refusalCode, touch } from './support.js';
import {
  cleared,
  deviceBench,
  exclusive,
  migrated,
  need,
  pages,
  recordOwned,
  toDevice,
  type DeviceBench,
  type Kind,
  type Needed,
  type OwnedRecorder,
} from './devices.js';

const HUGE = 2 * MiB;

/** 2 MiB of memory that gets a huge page by its first fault. */
async function hugeBench(
  context: TestContext,
  kind: Kind | null,
  ...needed: Needed[]
): Promise<DeviceBench & { recorder: OwnedRecorder }> {
  const bench = await deviceBench(context, kind, ...needed);
  need(context, bench.hmm, 'transparentHugePages');
  await map(bench.space, 0, HUGE);
  await bench.space.madvise(BASE, HUGE, MADV_HUGEPAGE);
  return { ...bench, recorder: await recordOwned(bench.space) };
}

describe('migrateToDevice', () => {
  it('of one page splits all of it; zeroes become the zero page (6.12), or stay (6.1)', async (context) => {
    const b = await hugeBench(context, 'private');
    await touch(b.space, 0, 2 * PAGE);
    expect(await toDevice(b, 0)).toBe(1);
    expect(b.recorder.take()).toEqual([migrated(0, 0x1000, b.device), cleared(0, HUGE), cleared(0, HUGE)]);
    const zeroes = b.profile === '6.1' ? 'VWs/-' : 'Vz/-';
    expect(await pages(b.mirror, 0, 3 * PAGE)).toEqual(['VWd/VW', 'VWs/-', zeroes]);
    expect(await pages(b.mirror, HUGE - PAGE, PAGE)).toEqual([zeroes]);
    expect(await look(b.space, 0, 3 * PAGE)).toEqual([byteOf(0), byteOf(PAGE), 0]);
  });

  it('of all of it moves 512 pages', async (context) => {
    const b = await hugeBench(context, 'private');
    await touch(b.space, 0, 4 * PAGE);
    expect(await toDevice(b, 0, HUGE)).toBe(512);
    const events = [migrated(0, HUGE, b.device), cleared(0, HUGE), cleared(0, HUGE)];
    // What has become the zero page is not moved, but inserted.
    expect(b.recorder.take()).toEqual(b.profile === '6.1' ? events : [...events, migrated(0x4000, HUGE, b.device)]);
    expect(new Set(await pages(b.mirror, 0, HUGE))).toEqual(new Set(['VWd/VW']));
    expect(await look(b.space, 0, 5 * PAGE)).toEqual([...[0, 1, 2, 3].map((page) => byteOf(page * PAGE)), 0]);
  });

  it('of the huge zero page splits its PMD, and inserts', async (context) => {
    const b = await hugeBench(context, 'private');
    await look(b.space, 0);
    expect(await toDevice(b, PAGE)).toBe(1);
    expect(b.recorder.take()).toEqual([
      migrated(0x1000, 0x2000, b.device),
      cleared(0, HUGE),
      migrated(0x1000, 0x2000, b.device),
    ]);
    expect(await pages(b.mirror, 0, 3 * PAGE)).toEqual(['Vz/-', 'VWd/VW', 'Vz/-']);
  });

  it('passes over one that is mapped in pieces', async (context) => {
    const b = await hugeBench(context, 'private');
    await touch(b.space, 0, 2 * PAGE);
    await b.space.munmap(BASE + HUGE - PAGE, PAGE);
    b.recorder.take();
    expect(await toDevice(b, 0, 2 * PAGE)).toBe(0);
    expect(b.recorder.take()).toEqual([migrated(0, 0x2000, b.device)]);
    expect(await pages(b.mirror, 0, 2 * PAGE)).toEqual(['VWs/VW', 'VWs/VW']);
  });
});

describe('makeExclusive', () => {
  it('has the first page, and takes all from the CPU', async (context) => {
    const b = await hugeBench(context, null, 'exclusive');
    await touch(b.space, 0, 2 * PAGE);
    expect(await b.mirror.makeExclusive(BASE, BASE + 2 * PAGE)).toEqual({ pages: 1 });
    expect(b.recorder.take()).toEqual([cleared(0, HUGE), exclusive(0, HUGE, b.device)]);
    expect(await pages(b.mirror, 0, 3 * PAGE)).toEqual(['0/X', '0/-', '0/-']);
    expect(await look(b.space, PAGE)).toEqual([byteOf(PAGE)]);
    expect(b.recorder.take()).toEqual([exclusive(0x1000, 0x2000, null)]);
    expect(await pages(b.mirror, 0, 3 * PAGE)).toEqual(['0/X', 'VWs/-', '0/-']);
    expect(await look(b.space, 0)).toEqual([byteOf(0)]);
  });

  it('of another page alone has nothing, after it was faulted', async (context) => {
    const b = await hugeBench(context, null, 'exclusive');
    await touch(b.space, 0, 2 * PAGE);
    expect(await b.mirror.makeExclusive(BASE + PAGE, BASE + 2 * PAGE)).toEqual({ pages: 0 });
    expect(b.recorder.take()).toEqual([cleared(0, HUGE)]);
    expect(await pages(b.mirror, 0, 2 * PAGE)).toEqual(['VWs/-', 'VWs/-']);
    expect(await refusalCode(b.mirror.atomicAdd(BASE + PAGE, 1n))).toBe('EOPNOTSUPP');
  });
});

describe('atomicAdd to the first page of a huge page that the CPU took back in pieces', () => {
  /** The kernel goes through the huge page's pages up to the first that is exclusive, the second; the third stays mapped, and the folio busy. */
  async function pieces(context: TestContext): Promise<DeviceBench> {
    const b = await deviceBench(context, null, 'exclusive');
    need(context, b.hmm, 'transparentHugePages');
    await map(b.space, 0, HUGE);
    await b.space.madvise(BASE, HUGE, MADV_HUGEPAGE);
    expect(await b.mirror.makeExclusive(BASE, BASE + PAGE)).toEqual({ pages: 1 });
    await touch(b.space, 2 * PAGE);
    await touch(b.space, 0);
    return b;
  }

  it('gives up, with the address', async (context) => {
    const b = await pieces(context);
    await expect(b.mirror.atomicAdd(BASE + 8, 1n)).rejects.toMatchObject({ code: 'EBUSY', address: BASE });
    expect(await look(b.space, 0, 3 * PAGE)).toEqual([byteOf(0), 0, byteOf(2 * PAGE)]);
  });

  it('succeeds once the page that keeps it busy is unmapped meanwhile', async (context) => {
    const b = await pieces(context);
    const old = b.mirror.atomicAdd(BASE + 8, 1n);
    await b.space.munmap(BASE + 2 * PAGE, PAGE);
    expect(await old).toBe(0n);
    expect(await b.mirror.atomicAdd(BASE + 8, 1n)).toBe(1n);
  });
});
