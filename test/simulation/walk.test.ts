import { expect, test } from 'vitest';
import { BASE, MIB2, PAGE, openWorld, worldOf } from './world.js';
import { checkInvariant } from '../../lib/simulation/invariant.js';
import type { BackendFile, BackendMirror } from '../../lib/backend.js';
import type { Operation } from '../../lib/operations.js';
import type { World } from './world.js';

/** A random walk over all operations, with a model of the bytes beside it: what each process must read. */
class Walker {
  #state: number;
  constructor(seed: number) {
    this.#state = seed;
  }

  below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * limit);
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }

  operation(file: BackendFile): Operation {
    // Around a 2 MiB and a 1 GiB boundary, so that tables come and go.
    const base = BASE + this.pick([0, MIB2 - 8 * PAGE, 0x4000_0000 - 8 * PAGE]);
    const address = base + this.below(16) * PAGE;
    const length = (1 + this.below(8)) * PAGE;
    switch (this.below(12)) {
      case 0:
      case 1:
        return {
          op: 'mmap',
          address,
          length,
          flags: this.pick([0x32, 0x31, 0x8032]),
          protection: this.pick([3, 3, 1, 0, 7]),
        };
      case 2:
        return {
          op: 'mmap',
          address,
          length,
          flags: this.pick([0x11, 0x12]),
          file,
          offset: this.below(4) * PAGE,
          protection: this.pick([1, 3]),
        };
      case 3:
        return { op: 'munmap', address, length };
      case 4:
        return { op: 'mprotect', address, length, protection: this.pick([0, 1, 3, 3]) };
      case 5:
        return { op: 'madvise', address, length, advice: this.pick([4, 8, 10, 11, 18, 19, 1, 0, 22, 23, 9, 20, 24]) };
      case 6:
        return {
          op: 'mremap',
          address,
          oldLength: length,
          newLength: (1 + this.below(8)) * PAGE,
          flags: this.pick([0, 1, 1]),
        };
      case 7:
        return {
          op: 'mremap',
          address,
          oldLength: length,
          newLength: length,
          flags: this.pick([3, 7]),
          newAddress: base + 0x100_0000 + this.below(16) * PAGE,
        };
      case 8:
        return this.below(2) === 0
          ? { op: 'truncate', file, length: this.below(8 * PAGE) }
          : { op: 'punchHole', file, offset: this.below(4 * PAGE), length: 1 + this.below(4 * PAGE) };
      default:
        return this.below(2) === 0
          ? {
              op: 'write',
              address: address + this.below(PAGE),
              bytes: Uint8Array.from({ length: 1 + this.below(2 * PAGE) }, () => this.below(256)),
            }
          : { op: 'read', address, length };
    }
  }
}

async function step(walker: Walker, world: World, mirror: BackendMirror, file: BackendFile): Promise<void> {
  // World.results checks the invariant after it.
  world.results(walker.operation(file));
  if (walker.below(3) !== 0) return;
  const start = mirror.notifier.start + walker.below((2 * MIB2) / PAGE) * PAGE;
  try {
    await mirror.populate(start, start + (1 + walker.below(32)) * PAGE, {
      write: walker.below(2) === 0,
      snapshot: false,
    });
  } catch (error) {
    expect(['EFAULT', 'EPERM']).toContain((error as { code: string }).code);
  }
  expect(checkInvariant(world.simulation)).toEqual([]);
}

test.each(['6.12', '6.1'] as const)(
  'a seeded walk keeps every invariant and gives every frame back (%s)',
  { timeout: 60_000 },
  async (kernel) => {
    for (let seed = 1; seed <= 12; seed++) {
      const walker = new Walker(seed);
      const first = await openWorld({ kernel });
      const file = await first.space.createFile(6 * PAGE);
      const worlds = [first];
      const mirrors = [await first.space.createMirror(0, BASE, 2 * 0x4000_0000, { event: () => undefined })];
      for (let count = 0; count < 400; count++) {
        const which = walker.below(worlds.length);
        await step(walker, worlds[which]!, mirrors[which]!, file);
        if (walker.below(60) === 0 && worlds.length < 4) {
          const child = worldOf(await worlds[which]!.space.fork(), first.simulation);
          worlds.push(child);
          mirrors.push(await child.space.createMirror(1, BASE, 2 * 0x4000_0000, { event: () => undefined }));
        }
      }
      await first.simulation.close();
      const { frames } = first.simulation.machine;
      expect({ seed, used: frames.used, stored: frames.stored }).toEqual({ seed, used: 0, stored: 0 });
    }
  },
);
