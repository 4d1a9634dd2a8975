import { describe, expect, test } from 'vitest';
import { HMM_PFN_VALID, HMM_PFN_WRITE } from '../../lib/constants.js';
import { HmmError } from '../../lib/errors.js';
import { checkInvariant } from '../../lib/simulation/invariant.js';
import { BASE, MIB2, PAGE, R, openWorld, shown, words } from './world.js';
import type { BackendMirror, Invalidation } from '../../lib/backend.js';
import type { World } from './world.js';

async function mirrored(callbackTimeout = 1000, length = 8 * MIB2): Promise<[World, BackendMirror, Invalidation[]]> {
  const world = await openWorld({ callbackTimeout });
  const events: Invalidation[] = [];
  const mirror = await world.space.createMirror(0, BASE, length, { event: (event) => events.push(event) });
  return [world, mirror, events];
}

const options = { write: false, snapshot: false };

describe('a mirror', () => {
  test('populate, query, and what an invalidation takes away', async () => {
    const [world, mirror, events] = await mirrored();
    world.map(0, 4 * PAGE);
    world.touch(PAGE, 5);
    expect(mirror.populate(BASE, BASE + 4 * PAGE, { write: false, snapshot: true })).toEqual({ pages: 1, retries: 0 });
    expect(mirror.populate(BASE, BASE + 4 * PAGE, options)).toEqual({ pages: 4, retries: 0 });
    const { pfns, entries } = await mirror.query(BASE, BASE + 4 * PAGE);
    expect([words(pfns), words(entries)]).toEqual(['V VW V V', 'V VW V V']);
    expect(entries).toEqual(pfns);
    world.touch(2 * PAGE);
    expect(words(await mirror.entries(BASE, BASE + 4 * PAGE))).toBe('V VW 0 V');
    world.run({ op: 'munmap', address: BASE, length: PAGE });
    expect(words(await mirror.entries(BASE, BASE + 4 * PAGE))).toBe('0 VW 0 V');
    expect(events.map(shown)).toEqual(['clear +0x2000..+0x3000', 'unmap +0x0..+0x1000']);
    expect(events.map(({ sequence, timestamp, owner, blockable }) => [sequence, timestamp, owner, blockable])).toEqual([
      [3, 1n, null, true],
      [5, 2n, null, true],
    ]);
  });

  test('populate for writing over zero pages begins again once', async () => {
    const [world, mirror] = await mirrored();
    world.map(0, 2 * PAGE);
    world.look(0, 2 * PAGE);
    expect(mirror.populate(BASE, BASE + 2 * PAGE, { write: true, snapshot: false })).toEqual({ pages: 2, retries: 1 });
    expect(words(await mirror.entries(BASE, BASE + 2 * PAGE))).toBe('VW VW');
  });

  test('the device reads what the CPU wrote and the other way round', async () => {
    const [world, mirror] = await mirrored();
    world.map(0, 4 * PAGE);
    world.touch(10, 42);
    expect((await mirror.read(BASE, 16))[10]).toBe(42);
    const bytes = Uint8Array.from({ length: 2 * PAGE }, (_, index) => index % 253);
    await mirror.write(BASE + PAGE + 7, bytes);
    expect(world.look(PAGE + 7, 2 * PAGE)).toEqual(bytes);
    const into = new Uint8Array(3 * PAGE);
    const view = await mirror.read(BASE + PAGE + 7, 2 * PAGE, into);
    expect([view.buffer === into.buffer, view.length]).toEqual([true, 2 * PAGE]);
    expect(view).toEqual(bytes);
  });

  test('a failing access has moved what lies before, across chunks too', async () => {
    const [world, mirror] = await mirrored();
    world.map(MIB2 - 2 * PAGE, 3 * PAGE);
    world.map(MIB2 + PAGE, PAGE, R);
    const fails = async (operation: () => unknown): Promise<HmmError> => {
      try {
        await operation();
      } catch (error) {
        if (error instanceof HmmError) return error;
      }
      throw new Error('it did not fail');
    };
    const start = BASE + MIB2 - 2 * PAGE;
    const denied = await fails(() => mirror.write(start + 1, new Uint8Array(4 * PAGE).fill(1)));
    expect(denied).toMatchObject({
      code: 'EPERM',
      address: BASE + MIB2 + PAGE,
      done: 3 * PAGE - 1,
      syscall: 'device_write',
    });
    expect(world.look(MIB2 + PAGE - 1)[0]).toBe(1);
    const missing = await fails(() => mirror.read(start, 5 * PAGE));
    expect(missing).toMatchObject({ code: 'EFAULT', address: BASE + MIB2 + 2 * PAGE, done: 4 * PAGE });
    expect(await fails(() => mirror.read(BASE + 8 * MIB2 - 1, 2))).toMatchObject({ code: 'EINVAL' });
    await world.space.exit();
    expect(await fails(() => mirror.read(BASE, 1))).toMatchObject({ code: 'EFAULT', done: 0 });
    expect(words(await mirror.entries(BASE, BASE + PAGE))).toBe('0');
  });

  test('a held update lock keeps an invalidation waiting, for the bound, and is then taken away', async () => {
    const [world, mirror] = await mirrored(20);
    world.map(0, PAGE);
    await mirror.populate(BASE, BASE + PAGE, options);
    await mirror.updateLock.acquire();
    const unmapped = world.space.run(0, [{ op: 'munmap', address: BASE, length: PAGE }]);
    expect(unmapped).toBeInstanceOf(Promise);
    expect(words(await mirror.entries(BASE, BASE + PAGE))).toBe('V');
    await unmapped;
    expect(words(await mirror.entries(BASE, BASE + PAGE))).toBe('0');
    expect(() => mirror.updateLock.release()).toThrow(expect.objectContaining({ code: 'ETIMEDOUT' }) as Error);
    expect(() => mirror.updateLock.release()).toThrow(expect.objectContaining({ code: 'EINVAL' }) as Error);
    await mirror.updateLock.acquire();
    mirror.updateLock.release();
  });

  test('release lets the invalidation through, and populate waits for the lock', async () => {
    const [world, mirror] = await mirrored();
    world.map(0, PAGE);
    await mirror.updateLock.acquire();
    const populated = mirror.populate(BASE, BASE + PAGE, options);
    expect(populated).toBeInstanceOf(Promise);
    const unmapped = world.space.run(0, [{ op: 'madvise', address: BASE, length: PAGE, advice: 4 }]);
    mirror.updateLock.release();
    await unmapped;
    expect(await populated).toEqual({ pages: 1, retries: 1 });
    expect(checkInvariant(world.simulation)).toEqual([]);
  });

  test('removed: its page table is empty, and it answers ENOENT', async () => {
    const [world, mirror] = await mirrored();
    world.map(0, PAGE);
    await mirror.populate(BASE, BASE + PAGE, options);
    await mirror.notifier.remove();
    await mirror.notifier.remove();
    expect(() => mirror.populate(BASE, BASE + PAGE, options)).toThrow(
      expect.objectContaining({ code: 'ENOENT' }) as Error,
    );
  });

  test('spans whole pages, for a device that is there', async () => {
    const world = await openWorld();
    const sink = { event: () => undefined };
    await expect(world.space.createMirror(0, BASE + 1, PAGE, sink)).rejects.toMatchObject({ code: 'EINVAL' });
    await expect(world.space.createMirror(9, BASE, PAGE, sink)).rejects.toMatchObject({ code: 'ENODEV' });
    await expect(world.space.createMirror(0, BASE, 0, sink)).rejects.toMatchObject({ code: 'EOVERFLOW' });
  });
});

describe('access with entries of the driver’s own', () => {
  test('moves bytes if they are right, and says ESTALE, with the page, if not', async () => {
    const world = await openWorld();
    const notifier = await world.listen();
    world.map(0, 3 * PAGE);
    for (const page of [0, 1, 2]) world.touch(page * PAGE, page + 1);
    const pfns = new BigUint64Array(3);
    await world.fault(notifier, 0, 3 * PAGE, pfns, 0n);
    const { space } = world;
    expect((await space.deviceRead(0, BASE + PAGE, 1, pfns.slice(1, 2)))[0]).toBe(2);
    await space.deviceWrite(1, BASE + PAGE - 1, Uint8Array.of(8, 9), pfns.slice(0, 2));
    expect([...world.look(PAGE - 1, 2)]).toEqual([8, 9]);
    world.run({ op: 'madvise', address: BASE + PAGE, length: PAGE, advice: 4 });
    await expect(space.deviceRead(0, BASE, 3 * PAGE, pfns)).rejects.toMatchObject({
      code: 'ESTALE',
      address: BASE + PAGE,
    });
    world.run({ op: 'mprotect', address: BASE + 2 * PAGE, length: PAGE, protection: R });
    await expect(space.deviceWrite(0, BASE + 2 * PAGE, Uint8Array.of(1), pfns.slice(2))).rejects.toMatchObject({
      code: 'ESTALE',
    });
    // Believing in more permission than there is is stale for a read, too.
    await expect(space.deviceRead(0, BASE + 2 * PAGE, 1, pfns.slice(2))).rejects.toMatchObject({ code: 'ESTALE' });
    const readOnly = BigUint64Array.of(pfns[2]! & ~HMM_PFN_WRITE);
    expect((await space.deviceRead(0, BASE + 2 * PAGE, 1, readOnly))[0]).toBe(3);
    await expect(space.deviceWrite(0, BASE + 2 * PAGE, Uint8Array.of(1), readOnly)).rejects.toMatchObject({
      code: 'EINVAL',
    });
    await expect(space.deviceRead(0, BASE, 1, BigUint64Array.of(pfns[0]! & ~HMM_PFN_VALID))).rejects.toMatchObject({
      code: 'EINVAL',
    });
    await expect(space.deviceRead(7, BASE, 1, pfns)).rejects.toMatchObject({ code: 'ENODEV' });
    await world.space.exit();
    await expect(space.deviceRead(0, BASE, 1, pfns.slice(0, 1))).rejects.toMatchObject({ code: 'EFAULT' });
  });
});
