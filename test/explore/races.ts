/** What a process does to its memory while a driver mirrors it: the CPU's side of the scenarios. */
import { MADV_DONTNEED, MREMAP_FIXED, MREMAP_MAYMOVE, PROT_READ, type SimulatedDevice } from 'node-hmm';
import { Driver, PAGE, SNAPSHOT, WRITE, type Setup } from './driver.js';
import type { Scenario, World } from 'node-hmm/explore';

export interface Race {
  /** Pages of the mapping. */
  readonly pages: number;
  /** What the device asks for of each page. Default: FAULT. */
  readonly request?: bigint;
  /** Whether it does so twice. */
  readonly again?: boolean;
  /** Whether it has done so before the race begins. */
  readonly populated?: boolean;
  /** Default: those of World.open(). */
  readonly devices?: readonly SimulatedDevice[];
  /** What has to be made before the tasks begin; cpu is given what it returns. */
  prepare?(setup: Setup): Promise<() => Promise<unknown>>;
  cpu(setup: Setup, prepared: () => Promise<unknown>): Promise<unknown>;
}

const nothing = () => Promise.resolve();
const AWAY = 0x10_0000_0000;

export const RACES = {
  munmap: { pages: 1, cpu: ({ space, start, end }) => space.munmap(start, end - start) },
  mprotect: { pages: 1, request: WRITE, cpu: ({ space, start, end }) => space.mprotect(start, end - start, PROT_READ) },
  /** Pages become read-only for both, and the device must not go on writing. */
  fork: { pages: 1, cpu: ({ space }) => space.fork() },
  /** After a fork: the parent's page is copied, and the device must not go on with the child's. */
  'copy on write': {
    pages: 1,
    async prepare({ space }) {
      await space.fork();
      return nothing;
    },
    cpu: ({ space, start }: Setup) => space.write(start, new Uint8Array([2])),
  },
  /** Both, one after the other. */
  'fork and copy on write': {
    pages: 1,
    cpu: async ({ space, start }) => {
      await space.fork();
      await space.write(start, new Uint8Array([2]));
    },
  },
  'madvise DONTNEED': { pages: 1, cpu: ({ space, start, end }) => space.madvise(start, end - start, MADV_DONTNEED) },
  mremap: {
    pages: 1,
    cpu: ({ space, start, end }) =>
      space.mremap(start, end - start, end - start, { flags: MREMAP_MAYMOVE | MREMAP_FIXED, newAddress: AWAY }),
  },
} satisfies Record<string, Race>;

/** A page comes back from the memory of another device, which everybody can address; that device's driver is a Mirror. */
export const FROM_ANOTHER_DEVICE: Race = {
  pages: 1,
  populated: true,
  request: SNAPSHOT,
  devices: [
    { kind: 'none', capacity: 0 },
    { kind: 'coherent', capacity: 8 },
  ],
  async prepare({ hmm, space, start, end }) {
    const other = await space.mirror(hmm.devices[1]!, { start, length: end - start });
    await other.migrateToDevice(start, end);
    return () => other.migrateToSystem(start, end);
  },
  cpu: (_setup, migrate) => migrate(),
};
export type DriverClass = new (setup: Setup) => Driver;

export async function setUp(world: World, pages: number, devices?: readonly SimulatedDevice[]): Promise<Setup> {
  const hmm = await world.open(devices === undefined ? {} : { devices });
  const space = await hmm.createAddressSpace();
  const length = pages * PAGE;
  const start = await space.mmap(length);
  for (let page = 0; page < pages; page++) await space.write(start + page * PAGE, new Uint8Array([1]));
  return { world, hmm, space, start, end: start + length };
}

/** A driver populates while the process does what the race says. The outcome: how populate ended, and what the device has then. */
export function raceScenario(race: Race, driverClass: DriverClass = Driver): Scenario {
  return async (world) => {
    const setup = await setUp(world, race.pages, race.devices);
    const prepared = (await race.prepare?.(setup)) ?? nothing;
    const driver = new driverClass(setup);
    await driver.attach();
    if (race.populated === true) await driver.populate(race.request);
    const { device } = await world.parallel({
      cpu: () => race.cpu(setup, prepared),
      async device() {
        const first = await driver.populate(race.request);
        return race.again === true ? [first, await driver.populate(race.request)] : first;
      },
    });
    return { device, entry: driver.table.get(setup.start) };
  };
}

/** The same with the library's own driver. */
export function mirrorScenario(race: Race): Scenario {
  return async (world) => {
    const setup = await setUp(world, race.pages);
    const { hmm, space, start, end } = setup;
    const prepared = (await race.prepare?.(setup)) ?? nothing;
    const mirror = await space.mirror(hmm.devices[0]!, { start, length: end - start });
    const { device } = await world.parallel({
      cpu: () => race.cpu(setup, prepared),
      device: () =>
        mirror.populate(start, end, { write: race.request === WRITE }).then(
          () => 'ok',
          (error: { code: string }) => error.code,
        ),
    });
    return { device, entry: await mirror.pageTable.get(start) };
  };
}

/** The device's page is moved while the device populates. */
export function migrationScenario(direction: 'to the device' | 'to the system'): Scenario {
  return async (world) => {
    const { hmm, space, start, end } = await setUp(world, 1);
    const mirror = await space.mirror(hmm.devices[0]!, { start, length: end - start });
    if (direction === 'to the system') await mirror.migrateToDevice(start, end);
    const { mover, device } = await world.parallel({
      mover: () =>
        direction === 'to the system' ? mirror.migrateToSystem(start, end) : mirror.migrateToDevice(start, end),
      device: () => mirror.populate(start, end),
    });
    return { moved: mover.migrated, pages: device.pages };
  };
}
