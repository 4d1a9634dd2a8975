/** What world.oomReap() leaves behind. __oom_reap_task_mm, and check_stable_address_space where memory is faulted in. */
import { HmmRange, MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED, type HmmError } from 'node-hmm';
import { explore } from 'node-hmm/explore';
import { expect, it } from 'vitest';

const PAGE = 4096;
const FAULT = 1n << 63n;
const code = (operation: Promise<unknown>): Promise<string> =>
  operation.then(
    () => 'ok',
    (error: HmmError) => `${error.code} ${error.signal ?? ''}`.trim(),
  );

it.each(['6.1', '6.12'] as const)(
  'private memory that is gone cannot be faulted in again, shared memory stays (%s)',
  async (kernel) => {
    let seen: unknown;
    const result = await explore(async (world) => {
      const hmm = await world.open({ kernel });
      const space = await hmm.createAddressSpace();
      const taken = await space.mmap(PAGE, { flags: MAP_PRIVATE | MAP_ANONYMOUS });
      const kept = await space.mmap(PAGE, { flags: MAP_SHARED | MAP_ANONYMOUS });
      for (const address of [taken, kept]) await space.write(address, Uint8Array.of(7));
      await world.parallel({ reaper: () => world.oomReap(space) });
      const fault = async (start: number) => {
        const notifier = await space.insertIntervalNotifier(start, PAGE, { invalidate: () => undefined });
        const range = new HmmRange({ notifier, start, end: start + PAGE, defaultFlags: FAULT });
        range.notifierSequence = await notifier.readBegin();
        return await code(hmm.rangeFault(range));
      };
      seen = {
        deviceOfTaken: await fault(taken),
        deviceOfKept: await fault(kept),
        storeToTaken: await code(space.write(taken, Uint8Array.of(1))),
        loadOfTaken: (await space.read(taken, 1))[0],
        loadOfKept: (await space.read(kept, 1))[0],
      };
    });
    expect(result.result).toBe('passed');
    expect(seen).toEqual({
      deviceOfTaken: 'EFAULT',
      deviceOfKept: 'ok',
      storeToTaken: 'EFAULT SIGBUS',
      loadOfTaken: 0,
      loadOfKept: 7,
    });
  },
);
