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

it('both devices can be opened by their names, and each is the one it says', async () => {
  for (const device of ['/dev/hmm_mirror0', '/dev/hmm_mirror1']) {
    await using hmm = await openHmm({ backend: 'kernel', device });
    expect(hmm.backend).toBe('kernel');
    expect(hmm.devices.map(({ id, kind, capacity }) => ({ id, kind, capacity }))).toEqual([
      { id: 0, kind: 'none', capacity: 0 },
      { id: 1, kind: 'none', capacity: 0 },
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
