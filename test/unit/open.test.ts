/** Options of openHmm that decide what the simulated machine is. */
import { MAP_ANONYMOUS, MAP_HUGETLB, MAP_PRIVATE, openHmm } from 'node-hmm';
import { expect, it, onTestFinished, vi } from 'vitest';

it('devices: those that were asked for, and auto is the simulation then', async () => {
  const devices = [
    { kind: 'coherent', capacity: 7 },
    { kind: 'none', capacity: 0 },
    { kind: 'private', capacity: 2 ** 20 },
  ] as const;
  await using hmm = await openHmm({ devices });
  expect(hmm.backend).toBe('simulation');
  expect(hmm.devices.map(({ id, kind, capacity }) => ({ id, kind, capacity }))).toEqual(
    devices.map((device, id) => ({ id, ...device })),
  );
  expect(await Promise.all(hmm.devices.map((device) => device.usage()))).toEqual([0, 0, 0]);
  expect(hmm.features).toMatchObject({ deviceCoherent: true, devicePrivate: true });
});

it('devices: what is changed afterwards is no longer asked', async () => {
  const devices = [{ kind: 'private' as 'private' | 'none', capacity: 3 }];
  const opening = openHmm({ backend: 'simulation', devices });
  devices[0]!.kind = 'none';
  devices.length = 0;
  await using hmm = await opening;
  expect(hmm.devices).toMatchObject([{ kind: 'private', capacity: 3 }]);
});

it('devices: a feature that no device has is false, with the reason', async () => {
  await using hmm = await openHmm({ devices: [{ kind: 'none', capacity: 0 }] });
  expect(hmm.features).toMatchObject({ deviceCoherent: false, devicePrivate: false });
  expect(hmm.features.reasons.deviceCoherent).toBeTruthy();
  expect(hmm.features.reasons.devicePrivate).toBeTruthy();
});

it('devices: there may be none at all', async () => {
  await using hmm = await openHmm({ devices: [] });
  expect(hmm.devices).toEqual([]);
});

it('hugePages: as many as were asked for, and auto is the simulation then', async () => {
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
  const HUGE = 2 ** 21;
  for (const [hugePages, most] of [
    [0, 0],
    [3, 3],
    [undefined, 64],
  ] as const) {
    await using hmm = await openHmm(hugePages === undefined ? { backend: 'simulation' } : { hugePages });
    expect(hmm.backend).toBe('simulation');
    const space = await hmm.createAddressSpace();
    if (most > 0) await space.mmap(most * HUGE, { flags });
    await expect(space.mmap(HUGE, { flags })).rejects.toMatchObject({ code: 'ENOMEM' });
  }
});

it('hugePages: what is no size of a pool, or goes with a kernel, is refused', async () => {
  for (const hugePages of [-1, 0.5, NaN, 2 ** 15 + 1]) await expect(openHmm({ hugePages })).rejects.toThrow(RangeError);
  // @ts-expect-error no number
  await expect(openHmm({ hugePages: '8' })).rejects.toThrow(TypeError);
  await expect(openHmm({ backend: 'kernel', hugePages: 8 })).rejects.toThrow(TypeError);
  await expect(openHmm({ device: '/dev/hmm_mirror0', hugePages: 8 })).rejects.toThrow(TypeError);
});

it('in a virtual machine auto means the kernel, or an error with the reason; the simulation has to be asked for', async () => {
  // No file of that name: this machine may have the module loaded.
  const options = { device: '/dev/hmm_mirror_none' };
  onTestFinished(() => void vi.unstubAllEnvs());
  vi.stubEnv('NODE_HMM_VM', undefined);
  await using outside = await openHmm(options);
  expect(outside.backend).toBe('simulation');
  vi.stubEnv('NODE_HMM_VM', '');
  await using empty = await openHmm(options);
  expect(empty.backend).toBe('simulation');
  vi.stubEnv('NODE_HMM_VM', 'debian-6.12');
  for (const backend of [undefined, 'auto'] as const) {
    await expect(openHmm({ ...options, ...(backend === undefined ? {} : { backend }) })).rejects.toMatchObject({
      code: 'ERR_HMM_NO_KERNEL',
      message: expect.stringMatching(
        /.+; in debian-6\.12, the virtual machine of node-hmm vm, 'auto' means the kernel/s,
      ) as string,
    });
  }
  for (const asked of [{ backend: 'simulation' }, { kernel: '6.1' }, { hugePages: 1 }] as const) {
    await using hmm = await openHmm(asked);
    expect(hmm.backend).toBe('simulation');
  }
});
