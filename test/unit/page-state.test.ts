/** What a backend says of pages, as the public API tells it. */
import { HMM_PFN_ERROR, HMM_PFN_VALID, HMM_PFN_WRITE, hmmPfnToOrder, openHmm } from 'node-hmm';
import { expect, it } from 'vitest';
import {
  ENTRY_EXCLUSIVE,
  LOCATION_DEVICE,
  LOCATION_SYSTEM,
  LOCATION_ZERO,
  withoutExclusive,
} from '../../lib/backend.js';
import { pageStates } from '../../lib/page-state.js';

const PAGE = 4096;
const V = HMM_PFN_VALID;
const W = HMM_PFN_WRITE;

it('a page is where the backend says, and only an entry of the device is exclusive', async () => {
  await using hmm = await openHmm({ backend: 'simulation' });
  const { devices } = hmm;
  const pages = {
    pfns: BigUint64Array.of(V | W | 5n, V | 6n, V | W | (9n << 56n) | 7n, 0n, HMM_PFN_ERROR),
    entries: BigUint64Array.of(V | W | 5n, 0n, V | 7n, V | W | ENTRY_EXCLUSIVE | 8n, 0n),
    locations: Uint8Array.of(LOCATION_SYSTEM, LOCATION_ZERO, LOCATION_DEVICE + 1, 0, 0),
  };
  const nothing = { valid: false, write: false, error: false, order: 0, frame: null, location: null, device: null };
  const there = { ...nothing, valid: true };
  expect(pageStates(16 * PAGE, PAGE, pages, devices)).toEqual([
    {
      ...there,
      address: 16 * PAGE,
      write: true,
      frame: 5n,
      location: 'system',
      device: { write: true, frame: 5n, exclusive: false },
    },
    { ...there, address: 17 * PAGE, frame: 6n, location: 'zero' },
    {
      ...there,
      address: 18 * PAGE,
      write: true,
      order: 9,
      frame: 7n,
      location: devices[1],
      device: { write: false, frame: 7n, exclusive: false },
    },
    { ...nothing, address: 19 * PAGE, device: { write: true, frame: 8n, exclusive: true } },
    { ...nothing, address: 20 * PAGE, error: true },
  ]);
  expect(() => pageStates(0, PAGE, { ...pages, locations: new Uint8Array(5).fill(200) }, devices)).toThrow(/200/);
});

it('an exclusive entry is none with an order', () => {
  const entries = withoutExclusive(BigUint64Array.of(0n, V | W | ENTRY_EXCLUSIVE | 3n, V | 4n));
  expect(Array.from(entries)).toEqual([0n, V | W | 3n, V | 4n]);
  expect(Array.from(entries, hmmPfnToOrder)).toEqual([0, 0, 0]);
});
