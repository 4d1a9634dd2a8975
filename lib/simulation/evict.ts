/** Emptying a device's memory by its frames, whoever maps them (migrate_device_range, migrate_device_pages, migrate_device_finalize). */
import { collectDevicePage, migrateDeviceUnmap, migrateFinalize, migratePages } from './migrate.js';
import { giveSystemMemory } from './device-migration.js';
import type { DeviceMemory } from './device-memory.js';
import type { Machine } from './mm.js';
import type { Migration, MigrationEntry } from './migrate.js';
import type { MigrateResult } from '../backend.js';
import type { Routine } from './engine/engine.js';

/** Pages that are moved together. */
const BATCH = 32;

/** How often what a closed context has left on a device is tried, each time after who is busy with it. */
const CLOSE_ATTEMPTS = 7;

/** All that the device holds, each page once, in the order of the frames. What is busy, or finds no system memory, stays. */
export function* evictMemory(machine: Machine, memory: DeviceMemory): Routine<MigrateResult> {
  return { migrated: yield* evictFrames(machine, memory, memory.occupied(null)) };
}

/** What came through a context that is being closed, and is still there: some other process maps it, after a fork. */
export function* evictContext(machine: Machine, memory: DeviceMemory, context: object): Routine<void> {
  const { pageLocks } = machine;
  for (let attempt = 0; attempt < CLOSE_ATTEMPTS; attempt++) {
    const frames = memory.occupied(context);
    yield* evictFrames(machine, memory, frames);
    const busy = memory.occupied(context).find((frame) => pageLocks.isLocked(frame));
    // What is left for want of memory, or because somebody holds it, comes back by the CPU's access.
    if (busy === undefined) return;
    yield* pageLocks.waitUnlocked(busy, 'msleep');
  }
}

function* evictFrames(machine: Machine, memory: DeviceMemory, frames: readonly number[]): Routine<number> {
  let migrated = 0;
  for (let at = 0; at < frames.length; at += BATCH) {
    const entries: MigrationEntry[] = [];
    for (const frame of frames.slice(at, at + BATCH)) {
      // Something else may have freed it while the part before was moving.
      const page = memory.page(frame);
      const entry = page === null ? null : collectDevicePage(machine, { frame, pgoff: page.pgoff, file: null });
      if (entry !== null) entries.push(entry);
    }
    migrated += yield* evictPart(machine, entries);
  }
  return migrated;
}

function* evictPart(machine: Machine, entries: MigrationEntry[]): Routine<number> {
  const migration: Migration = {
    machine,
    vma: null,
    start: 0,
    end: 0,
    select: 'device-private',
    owner: null,
    faultFrame: 0,
    entries,
  };
  yield* migrateDeviceUnmap(migration);
  for (const entry of entries) giveSystemMemory({ machine, frames: machine.frames }, entry);
  yield* migratePages(migration);
  const migrated = entries.filter(({ migrate }) => migrate).length;
  yield* migrateFinalize(migration);
  return migrated;
}
