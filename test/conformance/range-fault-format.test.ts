/** hmm_range_fault with flags, values and shift of a driver's own. */
import { HmmRange, hmmPfnToFrame } from 'node-hmm';
import { describe, expect, it } from 'vitest';
import { BASE, PAGE, bench, map, record, refused, touch } from './support.js';

describe("a driver's own format", () => {
  const format = {
    flags: { valid: 1n << 0n, write: 1n << 1n },
    values: { error: 0xfffn, none: 0n, special: 0xffcn },
    pfnShift: 12,
  };

  it('requests and results are in its flags and values, frames shifted as it says', async () => {
    const { hmm, space } = await bench();
    await map(space, 0, 2 * PAGE);
    await touch(space, 0);
    const { notifier } = await record(space);
    const plain = new HmmRange({ notifier, start: BASE, end: BASE + 3 * PAGE });
    const own = new HmmRange({
      notifier,
      start: BASE,
      end: BASE + 3 * PAGE,
      format: { ...format, values: { error: 0xff0n, none: 0n } },
    });
    plain.notifierSequence = own.notifierSequence = await notifier.readBegin();
    await hmm.rangeFault(plain);
    await hmm.rangeFault(own);
    expect(Array.from(own.pfns)).toEqual([(hmmPfnToFrame(plain.pfns[0]!) << 12n) | 3n, 0n, 0xff0n]);
  });

  it('faults what its flags request, by page or for all', async () => {
    const { hmm, space } = await bench();
    await map(space, 0, 1024 * PAGE);
    await touch(space, 0);
    await touch(space, 1023 * PAGE);
    const { notifier } = await record(space);
    const values = { error: 0xff0n, none: 0n };
    const range = new HmmRange({
      notifier,
      start: BASE + 511 * PAGE,
      end: BASE + 513 * PAGE,
      format: { ...format, values },
      pfnFlagsMask: 3n,
    });
    range.pfns[0] = 3n;
    range.notifierSequence = await notifier.readBegin();
    await hmm.rangeFault(range);
    expect(Array.from(range.pfns, (pfn) => pfn & 0xfffn)).toEqual([3n, 0n]);
    range.defaultFlags = 1n;
    await hmm.rangeFault(range);
    expect(Array.from(range.pfns, (pfn) => pfn & 0xfffn)).toEqual([3n, 1n]);
  });

  it('entries that a failing walk did not reach keep what the driver wrote there', async () => {
    const { hmm, space } = await bench();
    await map(space, 0, PAGE);
    const { notifier } = await record(space);
    const range = new HmmRange({
      notifier,
      start: BASE,
      end: BASE + 2 * PAGE,
      format: { ...format, values: { error: 0xff0n, none: 0n } },
      defaultFlags: 1n,
    });
    range.pfns[1] = 0x77000n;
    range.notifierSequence = await notifier.readBegin();
    expect((await refused(hmm.rangeFault(range))).code).toBe('EFAULT');
    expect(range.pfns[0]! & 0xfffn).toBe(1n);
    expect(range.pfns[1]).toBe(0x77000n);
  });

  it('a format that cannot be told apart is refused at once', async () => {
    const { space } = await bench();
    const { notifier } = await record(space);
    const init = { notifier, start: BASE, end: BASE + PAGE };
    expect(() => new HmmRange({ ...init, format })).toThrow(RangeError);
    expect(() => new HmmRange({ ...init, format: { ...format, flags: { valid: 0n, write: 2n } } })).toThrow(RangeError);
    expect(() => new HmmRange({ ...init, format: { ...format, pfnShift: 64 } })).toThrow(RangeError);
    // @ts-expect-error a flag that is no bigint
    expect(() => new HmmRange({ ...init, format: { ...format, flags: { valid: 1, write: 2n } } })).toThrow(TypeError);
  });
});
