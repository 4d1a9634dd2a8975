/**
 * Private memory of a device that two processes share after a fork; with every event,
 * in order. Ranges are relative to BASE. A kernel without such memory skips these, and says why.
 */
import { describe, expect, it } from 'vitest';
import { BASE, PAGE, byteOf, look, pattern, refusalCode, shown, touch } from './support.js';
import { cleared, deviceBench, migrated, onDevice, recordOwned, rows } from './devices.js';

describe('private memory of a device, after a fork:', () => {
  rows(
    'private',
    [],
    [
      {
        name: 'the fork makes it read-only, with the event that every fork has',
        arrange: onDevice,
        act: (b) => b.space.fork(),
        events: () => [shown('protection-page', BASE, BASE + 2 * PAGE)],
        pages: ['Vd/-', 'Vd/-'],
      },
      {
        name: 'a read by the parent brings it back in both',
        arrange: async (b) => (await onDevice(b), await b.space.fork()),
        act: (b) => look(b.space, 0),
        answer: [byteOf(0)],
        events: ({ device }) => [migrated(0, 0x1000, device), cleared(0)],
        pages: ['Vs/-', 'Vd/-'],
      },
      {
        name: 'a write by the parent copies it then',
        arrange: async (b) => (await onDevice(b), await b.space.fork()),
        act: (b) => touch(b.space, 0),
        events: ({ device }) => [migrated(0, 0x1000, device), cleared(0), cleared(0)],
        pages: ['VWs/-', 'Vd/-'],
      },
      {
        name: 'an access by the child shows as CLEAR in the parent',
        arrange: onDevice,
        act: async (b) => look(await b.space.fork(), 0),
        answer: [byteOf(0)],
        events: () => [shown('protection-page', BASE, BASE + 2 * PAGE), cleared(0)],
        pages: ['Vs/-', 'Vd/-'],
      },
      {
        name: 'the device may not write it any more, and does not get it by a fault',
        arrange: async (b) => (await onDevice(b), await b.space.fork()),
        act: (b) => refusalCode(b.mirror.write(BASE, pattern(8))),
        answer: 'EFAULT',
        events: () => [],
        pages: ['Vd/-', 'Vd/-'],
      },
      {
        name: 'it can be read by the device, of both processes',
        arrange: async (b) => (await onDevice(b), await b.space.fork()),
        act: async (b) => (await b.mirror.read(BASE, 1))[0],
        answer: byteOf(0),
        events: () => [],
        pages: ['Vd/V', 'Vd/-'],
      },
      {
        name: 'it goes with the last of the two',
        arrange: onDevice,
        act: async (b) => {
          const child = await b.space.fork();
          const before = await b.device.usage();
          await b.space.munmap(BASE, 2 * PAGE);
          const between = await b.device.usage();
          await child.exit();
          return [before - between, before - (await b.device.usage())];
        },
        answer: [0, 2],
        events: () => [shown('protection-page', BASE, BASE + 2 * PAGE), shown('unmap', BASE, BASE + 2 * PAGE)],
      },
    ],
  );

  it('both processes see the same bytes, whoever comes first', async (context) => {
    for (const first of ['parent', 'child']) {
      const b = await deviceBench(context, 'private');
      await onDevice(b);
      const child = await b.space.fork();
      const [one, other] = first === 'parent' ? [b.space, child] : [child, b.space];
      await one.write(BASE, Uint8Array.of(77));
      expect([(await one.read(BASE, 1))[0], (await other.read(BASE, 1))[0]]).toEqual([77, byteOf(0)]);
      expect(await look(other, PAGE)).toEqual([byteOf(PAGE)]);
    }
  });

  it('a closed process leaves nothing on the device, though a child still maps it', async (context) => {
    const b = await deviceBench(context, 'private');
    const before = await b.device.usage();
    await onDevice(b);
    const child = await b.space.fork();
    const recorder = await recordOwned(child);
    await b.space[Symbol.asyncDispose]();
    expect(await b.device.usage()).toBe(before);
    expect(recorder.take()).toEqual([cleared(0), cleared(0x1000)]);
    expect(await look(child, 0, 2 * PAGE)).toEqual([byteOf(0), byteOf(PAGE)]);
    expect(recorder.take()).toEqual([]);
  });
});
