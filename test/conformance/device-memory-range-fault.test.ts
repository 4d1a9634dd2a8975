/** hmm_range_fault over private memory of a device. A kernel without such memory skips these, and says why. */
import { HMM_PFN_REQ_FAULT, HMM_PFN_REQ_WRITE, HmmRange } from 'node-hmm';
import { describe, expect, it } from 'vitest';
import { BASE, PAGE, map, refusalCode, touch } from './support.js';
import { deviceBench, migrated, onDevice, otherDevice, recordOwned, toDevice } from './devices.js';

describe('hmm_range_fault over private memory of a device', () => {
  const table = [
    { what: 'its owner’s snapshot', own: true, flags: 0n, pfns: 'VW', code: 'ok', moves: false },
    {
      what: 'its owner’s write request',
      own: true,
      flags: HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE,
      pfns: 'VW',
      code: 'ok',
      moves: false,
    },
    { what: 'another’s snapshot', own: false, flags: 0n, pfns: '0', code: 'ok', moves: false },
    { what: 'another’s request', own: false, flags: HMM_PFN_REQ_FAULT, pfns: 'VW', code: 'EBUSY', moves: true },
  ];
  for (const { what, own, flags, pfns, code, moves } of table) {
    it(what, async (context) => {
      const b = await deviceBench(context, 'private');
      await onDevice(b);
      const recorder = await recordOwned(b.space);
      const notifier = await b.space.insertIntervalNotifier(BASE, PAGE, { invalidate: () => undefined });
      const devPrivateOwner = own ? b.device : null;
      const range = new HmmRange({ notifier, start: BASE, end: BASE + PAGE, defaultFlags: flags, devPrivateOwner });
      const attempt = async (): Promise<string> => {
        range.notifierSequence = await notifier.readBegin();
        return await b.hmm.rangeFault(range).then(
          () => 'ok',
          (error: { code: string }) => error.code,
        );
      };
      expect(await attempt()).toBe(code);
      expect(recorder.take()).toEqual(moves ? [migrated(0, 0x1000, b.device)] : []);
      if (code !== 'ok') expect(await attempt()).toBe('ok');
      const [pfn] = range.pfns;
      expect(`${pfn! >> 63n ? 'V' : ''}${(pfn! >> 62n) & 1n ? 'W' : ''}` || '0').toBe(pfns);
    });
  }

  it('a read-only entry of the owner’s answers a write request with success, and no permission', async (context) => {
    const b = await deviceBench(context, 'private');
    await map(b.space, 0, PAGE);
    await touch(b.space, 0);
    await toDevice(b, 0);
    await b.space.fork();
    const notifier = await b.space.insertIntervalNotifier(BASE, PAGE, { invalidate: () => undefined });
    const defaultFlags = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE;
    const range = new HmmRange({ notifier, start: BASE, end: BASE + PAGE, defaultFlags, devPrivateOwner: b.device });
    range.notifierSequence = await notifier.readBegin();
    await b.hmm.rangeFault(range);
    expect(range.pfns[0]! >> 62n).toBe(2n);
  });

  it('a driver with a page table of its own reaches it by the entries that the walk answered', async (context) => {
    const b = await deviceBench(context, 'private');
    await onDevice(b, 1);
    const notifier = await b.space.insertIntervalNotifier(BASE, PAGE, { invalidate: () => undefined });
    const range = new HmmRange({ notifier, start: BASE, end: BASE + PAGE, devPrivateOwner: b.device });
    range.notifierSequence = await notifier.readBegin();
    await b.hmm.rangeFault(range);
    await b.device.write(b.space, BASE + 8, Uint8Array.of(9), range.pfns);
    expect([...(await b.device.read(b.space, BASE + 8, 1, range.pfns))]).toEqual([9]);
    expect(await refusalCode(otherDevice(b).read(b.space, BASE, 1, range.pfns))).toBe('ESTALE');
    expect([...(await b.space.read(BASE + 8, 1))]).toEqual([9]);
    expect(await refusalCode(b.device.read(b.space, BASE, 1, range.pfns))).toBe('ESTALE');
  });
});
