/** Addresses below vm.mmap_min_addr: root may map there (cap_mmap_addr), a hint alone is moved up. */
import { MAP_ANONYMOUS, MAP_FIXED_NOREPLACE, MAP_PRIVATE, MREMAP_FIXED, MREMAP_MAYMOVE } from 'node-hmm';
import { expect, it } from 'vitest';
import { PAGE, PRIVATE, bench, refusalCode } from './support.js';

/** vm.mmap_min_addr */
const LEAST = 65536;
const HINT = MAP_PRIVATE | MAP_ANONYMOUS;

it.each([0, PAGE, LEAST - PAGE])('MAP_FIXED at %d maps there', async (address) => {
  const { space } = await bench();
  expect(await space.mmap(PAGE, { address, flags: PRIVATE })).toBe(address);
  await space.write(address, Uint8Array.of(7));
  expect(await space.read(address, 1)).toEqual(Uint8Array.of(7));
  await space.munmap(address, PAGE);
  expect(await refusalCode(space.read(address, 1))).toBe('EFAULT');
});

it('a hint below it is moved up to it', async () => {
  const { space } = await bench();
  expect(await space.mmap(PAGE, { address: PAGE, flags: HINT })).toBe(LEAST);
});

it('MAP_FIXED_NOREPLACE below it maps once', async () => {
  const { space } = await bench();
  const flags = HINT | MAP_FIXED_NOREPLACE;
  expect(await space.mmap(PAGE, { address: PAGE, flags })).toBe(PAGE);
  expect(await refusalCode(space.mmap(PAGE, { address: PAGE, flags }))).toBe('EEXIST');
});

it('mremap moves memory there', async () => {
  const { space } = await bench();
  const from = await space.mmap(PAGE);
  await space.write(from, Uint8Array.of(7));
  const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
  expect(await space.mremap(from, PAGE, PAGE, { flags, newAddress: PAGE })).toBe(PAGE);
  expect(await space.read(PAGE, 1)).toEqual(Uint8Array.of(7));
});
