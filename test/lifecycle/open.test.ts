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

it('a user without privileges is told so, and gets the simulation only by asking for it', () => {
  const program = `
    import { openHmm } from 'node-hmm';
    const outcome = (options) => openHmm(options).then(({ backend }) => ({ backend }), ({ code, message }) => ({ code, message }));
    console.log(JSON.stringify([await outcome({ backend: 'kernel' }), await outcome(), await outcome({ backend: 'simulation' }), await outcome({ kernel: '6.12' })]));`;
  const as = (env: NodeJS.ProcessEnv) => {
    const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
      uid: 65534,
      gid: 65534,
      encoding: 'utf8',
      env,
    });
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    return JSON.parse(stdout) as Record<string, string>[];
  };
  const refusal = { code: 'ERR_HMM_NO_KERNEL', message: expect.stringMatching(/permission|EACCES|EPERM/i) as string };
  const simulated = { backend: 'simulation' };
  expect(as(process.env)).toEqual([refusal, refusal, simulated, simulated]);
  // On a machine that is not the runner's, auto still falls back.
  const { NODE_HMM_VM: _, ...elsewhere } = process.env;
  expect(as(elsewhere)).toEqual([refusal, simulated, simulated, simulated]);
});
