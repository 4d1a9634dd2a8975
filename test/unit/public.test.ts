/** What the package is to whoever installs it. */
import { createRequire } from 'node:module';
import * as api from 'node-hmm';
import { expect, it } from 'vitest';

it('can be required as it can be imported', () => {
  const required = createRequire(import.meta.url)('node-hmm') as typeof api;
  expect(required.openHmm).toBeTypeOf('function');
  expect(Object.keys(required).sort()).toEqual(Object.keys(api).sort());
});

it('exports the names of the contract', () => {
  for (const name of [
    'openHmm',
    'Hmm',
    'HmmError',
    'HmmRange',
    'HMM_PFN_VALID',
    'HMM_PFN_WRITE',
    'HMM_PFN_ERROR',
    'HMM_PFN_REQ_FAULT',
    'HMM_PFN_REQ_WRITE',
    'hmmPfnToOrder',
    'hmmPfnToFrame',
    'PROT_READ',
    'MAP_FIXED',
    'MAP_HUGETLB',
    'MADV_DONTNEED',
    'MREMAP_MAYMOVE',
  ]) {
    expect(api).toHaveProperty(name);
  }
});

it('entries: the frame and the order are where the kernel has them', () => {
  const entry = api.HMM_PFN_VALID | api.HMM_PFN_WRITE | (9n << 56n) | 0x1234n;
  expect(api.hmmPfnToFrame(entry)).toBe(0x1234n);
  expect(api.hmmPfnToOrder(entry)).toBe(9);
});

it('an error looks like one of Node’s system errors', () => {
  const error = new api.HmmError('EFAULT', 'hmm_range_fault', undefined, { address: 0x1000 });
  expect(error).toBeInstanceOf(Error);
  expect(error).toMatchObject({
    name: 'HmmError',
    code: 'EFAULT',
    errno: 14,
    syscall: 'hmm_range_fault',
    address: 4096,
  });
  expect(error.message).toBe('EFAULT: bad address, hmm_range_fault at 0x1000');
});

const FEATURES = ['deviceCoherent', 'devicePrivate', 'exclusive', 'hugetlb', 'transparentHugePages'] as const;

it('the simulation is there without anything else, for both kernels, and says what it cannot do', async () => {
  for (const kernel of ['6.1', '6.12'] as const) {
    await using hmm = await api.openHmm({ backend: 'simulation', kernel });
    expect(hmm.kernelRelease).toBe(`simulation-${kernel}`);
    expect(hmm.pageSize).toBe(4096);
    const { reasons, ...features } = hmm.features;
    expect(Object.keys(features).sort()).toEqual(FEATURES);
    // A reason for each that is missing, and for no other.
    const missing = FEATURES.filter((feature) => !features[feature]);
    expect(Object.keys(reasons).sort()).toEqual(missing);
    for (const feature of missing) expect(reasons[feature]).toMatch(/\w{3}/);
  }
});

it('without the module the kernel is refused with the reason, and auto falls back with the same', async () => {
  const error = (await api
    .openHmm({ backend: 'kernel', device: '/dev/no_such_hmm' })
    .catch((each: unknown) => each)) as api.HmmError;
  expect(error.code).toBe('ERR_HMM_NO_KERNEL');
  await using hmm = await api.openHmm({ device: '/dev/no_such_hmm' });
  expect(hmm.backend).toBe('simulation');
  expect(error.message).toContain(hmm.backendReason);
});
