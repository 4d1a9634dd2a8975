/** Opening what is not the module, or not for us. Real kernels only. */
import { spawnSync } from 'node:child_process';
import { openHmm } from 'node-hmm';
import { expect, it } from 'vitest';
import { refused } from '../conformance/support.js';

it.each([
  ['/dev/null', /\/dev\/null/],
  ['/dev/hmm_mirror99', /\/dev\/hmm_mirror99/],
  ['/', /\//],
])('%s is not the device, and that is said', async (device, name) => {
  const error = await refused(openHmm({ backend: 'kernel', device }));
  expect(error.code).toBe('ERR_HMM_NO_KERNEL');
  expect(error.message).toMatch(name);
});

it('every device can be opened by its name, and they are the ones that the features speak of', async () => {
  // As the module makes them by default, and as the runner reserves memory: 64 MiB private, 256 MiB coherent.
  for (const id of [0, 1, 2, 3]) {
    await using hmm = await openHmm({ backend: 'kernel', device: `/dev/hmm_mirror${id}` });
    expect(hmm.backend).toBe('kernel');
    expect(hmm.features.deviceCoherent).toBe(true);
    const first = hmm.features.devicePrivate ? { kind: 'private', capacity: 16384 } : { kind: 'none', capacity: 0 };
    const second = { kind: 'coherent', capacity: 65536 };
    expect(hmm.devices.map(({ id: device, kind, capacity }) => ({ id: device, kind, capacity }))).toEqual([
      { id: 0, ...first },
      { id: 1, ...first },
      { id: 2, ...second },
      { id: 3, ...second },
    ]);
  }
});

it("'auto' takes the kernel when the module is loaded, and says why", async () => {
  await using hmm = await openHmm();
  expect(hmm.backend).toBe('kernel');
  expect(hmm.backendReason).toContain('module');
  await using chosen = await openHmm({ kernel: '6.12' });
  expect(chosen.backend).toBe('simulation');
});

it('a user without privileges is told so, and gets the simulation by default', () => {
  const program = `
    import { openHmm } from 'node-hmm';
    const error = await openHmm({ backend: 'kernel' }).catch((error) => error);
    const hmm = await openHmm();
    console.log(JSON.stringify({ code: error.code, message: error.message, backend: hmm.backend }));`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    uid: 65534,
    gid: 65534,
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  const told = JSON.parse(stdout) as { code: string; message: string; backend: string };
  expect(told).toMatchObject({ code: 'ERR_HMM_NO_KERNEL', backend: 'simulation' });
  expect(told.message).toMatch(/permission|EACCES|EPERM/i);
});
