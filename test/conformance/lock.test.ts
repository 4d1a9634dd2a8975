/** Locks of drivers, and the update locks of mirrors: mutex_lock, mutex_trylock, mutex_unlock. */
import type { Lock } from 'node-hmm';
import { describe, expect, it } from 'vitest';
import { BASE, PAGE, bench, map, openTarget, refusalCode } from './support.js';

/** A lock of each kind, with nobody waiting for it. */
const kinds: readonly (readonly [string, () => Promise<Lock>])[] = [
  ['a lock of a driver', async () => (await openTarget()).createLock()],
  [
    'the update lock of a mirror',
    async () => {
      const { hmm, space } = await bench();
      return (await space.mirror(hmm.devices[0]!, { start: BASE, length: PAGE })).updateLock;
    },
  ],
];

describe.each(kinds)('%s', (_, create) => {
  it('tryAcquire: takes it if it is free, gives null if it is not, and never waits', async () => {
    const lock = await create();
    const held = lock.tryAcquire();
    expect(held).not.toBeNull();
    expect(lock.tryAcquire()).toBeNull();
    held!.release();
    const again = lock.tryAcquire();
    expect(again).not.toBeNull();
    // Released already: this one is somebody else's.
    held!.release();
    held![Symbol.dispose]();
    expect(lock.tryAcquire()).toBeNull();
    again![Symbol.dispose]();
    expect(() => lock.release()).toThrow(expect.objectContaining({ code: 'EINVAL' }));
  });

  it('tryAcquire: null while acquire() or run() has it, and it is one that they wait for', async () => {
    const lock = await create();
    const acquired = await lock.acquire();
    expect(lock.tryAcquire()).toBeNull();
    acquired.release();
    await lock.run(() => expect(lock.tryAcquire()).toBeNull());
    const held = lock.tryAcquire()!;
    const order: string[] = [];
    const waits = lock.run(() => void order.push('waited'));
    await Promise.resolve();
    order.push('released');
    held.release();
    await waits;
    expect(order).toEqual(['released', 'waited']);
  });

  it('tryAcquire: null where somebody waits and is given the lock next', async () => {
    const lock = await create();
    const held = lock.tryAcquire()!;
    const order: string[] = [];
    const waits = lock.acquire().then((next) => {
      order.push('acquired');
      return next;
    });
    // The release hands the lock over; the waiter has not run yet.
    held.release();
    expect(lock.tryAcquire()).toBeNull();
    const next = await waits;
    next.release();
    expect(order).toEqual(['acquired']);
    lock.tryAcquire()!.release();
  });
});

it('tryAcquire of an update lock: an invalidation waits for it, and it is not free until the loser of it has released', async () => {
  const { hmm, space } = await bench({ callbackTimeout: 300 });
  await map(space, 0, PAGE);
  const mirror = await space.mirror(hmm.devices[0]!, { start: BASE, length: PAGE });
  await mirror.populate(BASE, BASE + PAGE);
  const held = mirror.updateLock.tryAcquire()!;
  await space.munmap(BASE, PAGE);
  expect(await mirror.pageTable.get(BASE)).toBe(0n);
  // The invalidation took it away, and whoever held it has not noticed.
  expect(mirror.updateLock.tryAcquire()).toBeNull();
  expect(() => held.release()).toThrow(expect.objectContaining({ code: 'ETIMEDOUT' }));
  mirror.updateLock.tryAcquire()!.release();
});

it('the update lock of a mirror that has been removed is closed, as the mirror is', async () => {
  const { hmm, space } = await bench();
  const mirror = await space.mirror(hmm.devices[0]!, { start: BASE, length: PAGE });
  await mirror.remove();
  expect(await refusalCode(mirror.updateLock.acquire())).toBe('ERR_HMM_CLOSED');
  expect(await refusalCode(mirror.updateLock.run(() => undefined))).toBe('ERR_HMM_CLOSED');
  expect(() => mirror.updateLock.tryAcquire()).toThrow(expect.objectContaining({ code: 'ERR_HMM_CLOSED' }));
});

it('an address space that is closed does not wait for an update lock that is held', async () => {
  const { hmm, space } = await bench({ callbackTimeout: 60_000 });
  await map(space, 0, PAGE);
  const mirror = await space.mirror(hmm.devices[0]!, { start: BASE, length: PAGE });
  await mirror.populate(BASE, BASE + PAGE);
  const held = mirror.updateLock.tryAcquire()!;
  const waits = refusalCode(mirror.updateLock.acquire());
  await space[Symbol.asyncDispose]();
  expect(await waits).toBe('ERR_HMM_CLOSED');
  // The lock was released by the end of the mirror.
  expect(() => held.release()).toThrow(expect.objectContaining({ code: 'EINVAL' }));
});

it('a lock has a name', async () => {
  const { hmm, space } = await bench();
  expect(hmm.createLock().name).toBe('driver lock');
  expect(hmm.createLock({ name: 'pt' }).name).toBe('pt');
  const mirror = await space.mirror(hmm.devices[0]!, { start: BASE, length: PAGE });
  expect(mirror.updateLock.name).toBe('update lock of a mirror');
});
