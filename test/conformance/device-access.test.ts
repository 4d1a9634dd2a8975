/** Access by a driver that keeps its page table in TypeScript: what it believes is checked by who knows. */
import {
  DriverPageTable,
  HMM_PFN_REQ_FAULT,
  HMM_PFN_REQ_WRITE,
  HMM_PFN_VALID,
  HMM_PFN_WRITE,
  HmmError,
  HmmRange,
  MADV_DONTNEED,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  PROT_READ,
  PROT_WRITE,
  type AddressSpace,
  type Hmm,
} from 'node-hmm';
import { expect, it } from 'vitest';
import { BASE, PAGE, bench, pattern, refusalCode, refused } from './support.js';

const ANON = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
const WRITE = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE;

/** The driver of hmm.rst, as a user writes it: notifier, lock, page table, and the loop. */
async function driver(hmm: Hmm, space: AddressSpace, pages: number) {
  const table = new DriverPageTable();
  const lock = hmm.createLock();
  const notifier = await space.insertIntervalNotifier(BASE, pages * PAGE, {
    invalidate: ({ start, end }) => lock.run(() => table.invalidate(start, end)),
  });
  async function populate(start: number, end: number, defaultFlags = HMM_PFN_REQ_FAULT): Promise<number> {
    const range = new HmmRange({ notifier, start, end, defaultFlags });
    for (let retries = 0; ; retries++) {
      range.notifierSequence = await notifier.readBegin();
      try {
        await hmm.rangeFault(range);
      } catch (error) {
        if (error instanceof HmmError && error.code === 'EBUSY') continue;
        throw error;
      }
      using _held = await lock.acquire();
      if (notifier.readRetry(range.notifierSequence)) continue;
      table.update(start, range.pfns);
      return retries;
    }
  }
  return { table, notifier, populate };
}

async function mapped(pages: number, protection = PROT_READ | PROT_WRITE) {
  const { hmm, space } = await bench();
  await space.mmap(pages * PAGE, { address: BASE, protection, flags: ANON });
  return { hmm, space, device: hmm.devices[0]!, ...(await driver(hmm, space, pages)) };
}

it('reads and writes through entries that are right', async () => {
  const { space, device, table, populate } = await mapped(3);
  await space.write(BASE, pattern(3 * PAGE));
  await populate(BASE, BASE + 3 * PAGE, WRITE);
  expect(await device.read(space, BASE + 5, 2 * PAGE, table.entries(BASE + 5, 2 * PAGE))).toEqual(
    pattern(3 * PAGE).slice(5, 5 + 2 * PAGE),
  );
  await device.write(space, BASE + PAGE - 1, Uint8Array.of(1, 2), table.entries(BASE + PAGE - 1, 2));
  expect(await space.read(BASE + PAGE - 1, 2)).toEqual(Uint8Array.of(1, 2));
});

it('invalidations empty the table before the operation returns', async () => {
  const { space, table, populate } = await mapped(4);
  await populate(BASE, BASE + 4 * PAGE);
  await space.munmap(BASE + PAGE, 2 * PAGE);
  expect(Array.from(table.entries(BASE, 4 * PAGE), (entry) => entry !== 0n)).toEqual([true, false, false, true]);
});

it('an entry kept from before the page was dropped: ESTALE, with the address of the page', async () => {
  const { space, device, table, populate } = await mapped(3);
  await populate(BASE, BASE + 3 * PAGE, WRITE);
  const believed = table.entries(BASE, 3 * PAGE);
  await space.madvise(BASE + PAGE, PAGE, MADV_DONTNEED);
  expect(await refused(device.read(space, BASE, 3 * PAGE, believed))).toMatchObject({
    code: 'ESTALE',
    address: BASE + PAGE,
  });
  expect(await refusalCode(device.write(space, BASE, new Uint8Array(3 * PAGE), believed))).toBe('ESTALE');
  expect(await refusalCode(device.read(space, BASE + PAGE, 1, believed.slice(1, 2)))).toBe('ESTALE');
});

it('an entry kept from before a copy on write: another frame, so ESTALE', async () => {
  const { space, device, table, populate } = await mapped(1);
  await space.write(BASE, Uint8Array.of(1));
  await space.fork();
  await populate(BASE, BASE + PAGE);
  const believed = table.entries(BASE, PAGE);
  await space.write(BASE, Uint8Array.of(2));
  expect(await refusalCode(device.read(space, BASE, 1, believed))).toBe('ESTALE');
});

it('write permission kept from before the page was made read-only: ESTALE, for a read too; less permission is no lie', async () => {
  const { space, device, table, populate } = await mapped(1);
  await populate(BASE, BASE + PAGE, WRITE);
  const believed = table.entries(BASE, PAGE);
  await space.mprotect(BASE, PAGE, PROT_READ);
  expect(await refusalCode(device.write(space, BASE, Uint8Array.of(1), believed))).toBe('ESTALE');
  expect(await refusalCode(device.read(space, BASE, 1, believed))).toBe('ESTALE');
  const modest = BigUint64Array.of(believed[0]! & ~HMM_PFN_WRITE);
  expect(await device.read(space, BASE, 1, modest)).toEqual(Uint8Array.of(0));
});

it('an entry that was never right, or of a page that is not mapped: ESTALE', async () => {
  const { space, device, table, populate } = await mapped(2);
  await populate(BASE, BASE + PAGE, WRITE);
  const [entry] = table.entries(BASE, PAGE);
  expect(await refusalCode(device.read(space, BASE, 1, BigUint64Array.of(entry! ^ 1n)))).toBe('ESTALE');
  expect(await refusalCode(device.read(space, BASE + PAGE, 1, BigUint64Array.of(entry!)))).toBe('ESTALE');
  expect(await refusalCode(device.read(space, BASE + 2 * PAGE, 1, BigUint64Array.of(entry!)))).toBe('ESTALE');
});

it('an entry that does not claim what the access needs is EINVAL, before anything is looked at', async () => {
  const { space, device } = await mapped(1);
  const read = (entry: bigint) => refusalCode(device.read(space, BASE, 1, BigUint64Array.of(entry)));
  expect(await read(0n)).toBe('EINVAL');
  expect(await read(HMM_PFN_WRITE | 5n)).toBe('EINVAL');
  const believed = BigUint64Array.of(HMM_PFN_VALID | 5n);
  expect(await refusalCode(device.write(space, BASE, Uint8Array.of(1), believed))).toBe('EINVAL');
});

it('a process that has gone: EFAULT', async () => {
  const { space, device, table, populate } = await mapped(1);
  await populate(BASE, BASE + PAGE);
  const believed = table.entries(BASE, PAGE);
  await space.exit();
  expect(await refusalCode(device.read(space, BASE, 1, believed))).toBe('EFAULT');
  expect(table.get(BASE)).toBe(0n);
});

it('no bytes need no entries', async () => {
  const { space, device } = await mapped(1);
  expect(await device.read(space, BASE, 0, new BigUint64Array(0))).toEqual(new Uint8Array(0));
  await device.write(space, BASE, new Uint8Array(0), new BigUint64Array(0));
});

it('checking a believed entry leaves no notifier behind: the sequence steps as if it had not been', async () => {
  const { hmm, space } = await bench();
  await space.mmap(2 * PAGE, { address: BASE, flags: ANON });
  const { table, notifier, populate } = await driver(hmm, space, 1);
  await populate(BASE, BASE + PAGE);
  await hmm.devices[0]!.read(space, BASE, 1, table.entries(BASE, 1));
  await space.munmap(BASE + PAGE, PAGE);
  await space.munmap(BASE, PAGE);
  expect(await notifier.readBegin()).toBe(3);
});
