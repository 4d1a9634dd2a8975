import { openHmm } from 'node-hmm';
import { expect, it } from 'vitest';

it('a loop that awaits nothing but what is ready does not keep timers from running', async () => {
  await using hmm = await openHmm({ backend: 'simulation' });
  const space = await hmm.createAddressSpace();
  const address = await space.mmap(4096);
  const mirror = await space.mirror(hmm.devices[0]!, { start: address, length: 4096 });
  for (const operation of [
    () => mirror.read(address, 1),
    () => mirror.populate(address, address + 4096),
    () => mirror.notifier.readBegin(),
    () => mirror.atomicAdd(address, 1n),
    () => mirror.snapshot(address, address + 4096),
    () => space.read(address, 1),
    () => mirror.read(address + 4096, 1).catch(() => undefined),
  ]) {
    let rang = false;
    setTimeout(() => (rang = true), 1);
    while (!rang) await operation();
  }
  expect(await mirror.read(address, 1)).toEqual(Uint8Array.of(0));
});
