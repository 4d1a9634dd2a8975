/** do_swap_page (mm/memory.c), of the entries that are no swap: migration, device-exclusive, device-private. */
import { PAGE, PTES, VM_WRITE, alignDown, blockOf } from './layout.js';
import { PTE_DIRTY, SWAP_DEVICE_PRIVATE, SWAP_EXCLUSIVE, SWAP_MIGRATION, SWAP_WRITE } from './page-table.js';
import { giveSystemMemory, newMigration } from './device-migration.js';
import { migrateFinalize, migratePages, migrateVmaSetup } from './migrate.js';
import { noAccess } from './rmap.js';
import type { FaultResult } from './fault.js';
import type { PteTable } from './page-table.js';
import type { Routine } from './engine/engine.js';
import type { Vma } from './vma.js';

/**
 * The page at `address` has a swap entry now. mmap_lock is held for reading, or, unless the entry is device-private,
 * the VMA's. @returns 'done' when the access is to be tried again, whatever it finds then
 */
export function* doSwapPage(vma: Vma, address: number): Routine<FaultResult> {
  const table = vma.mm.pageTable.table(blockOf(address))!;
  const index = Math.floor(address / PAGE) % PTES;
  const bits = table.swap(index);
  const frame = table.swapFrame(index);
  if ((bits & SWAP_DEVICE_PRIVATE) !== 0) return yield* migrateToRam(vma, alignDown(address, PAGE), frame);
  if ((bits & SWAP_MIGRATION) !== 0) yield* vma.mm.machine.pageLocks.waitUnlocked(frame, 'migration_entry_wait');
  else yield* removeDeviceExclusiveEntry(vma, alignDown(address, PAGE), bits, frame);
  return 'done';
}

/**
 * The driver's dev_pagemap_ops.migrate_to_ram: one page, back to system memory. What is busy is left alone, and the
 * access tried again; a kernel spins then, here it sleeps until whoever is busy with it has let go.
 */
function* migrateToRam(vma: Vma, address: number, frame: number): Routine<FaultResult> {
  const { mm } = vma;
  const { pageLocks, devices } = mm.machine;
  const { frames } = mm;
  if (pageLocks.isLocked(frame)) {
    yield* pageLocks.waitUnlocked(frame, 'migrate_to_ram');
    return 'done';
  }
  const device = devices.owner(frames.zone[frame]!)!.info.id;
  pageLocks.get(frame);
  const migration = newMigration(mm, vma, address, address + PAGE, 'device-private', device, frame);
  let memory = true;
  if ((yield* migrateVmaSetup(migration)) > 0) {
    for (const entry of migration.entries) memory = giveSystemMemory(mm, entry);
  }
  yield* migratePages(migration);
  const moved = migration.entries[0]!.migrate;
  yield* migrateFinalize(migration);
  pageLocks.put(frame);
  if (!memory) return 'oom';
  if (!moved && frames.isHeld(frame) && isDevicePrivate(vma, address, frame)) {
    yield* pageLocks.waitChange(frame, 'migrate_to_ram');
  }
  return 'done';
}

function isDevicePrivate(vma: Vma, address: number, frame: number): boolean {
  const table = vma.mm.pageTable.table(blockOf(address));
  const index = (address / PAGE) % PTES;
  return table !== null && (table.swap(index) & SWAP_DEVICE_PRIVATE) !== 0 && table.swapFrame(index) === frame;
}

/** remove_device_exclusive_entry: under the page lock, which a device that is about to use the page holds. */
function* removeDeviceExclusiveEntry(vma: Vma, address: number, bits: number, frame: number): Routine<void> {
  const { mm } = vma;
  const { pageLocks } = mm.machine;
  pageLocks.get(frame);
  yield* pageLocks.lock(frame);
  const range = yield* mm.invalidateStart('exclusive', address, address + PAGE);
  const table = mm.pageTable.table(blockOf(address));
  const index = (address / PAGE) % PTES;
  if (table !== null && table.swap(index) === bits && table.swapFrame(index) === frame) {
    restoreExclusivePte(vma, table, index);
  }
  pageLocks.unlock(frame);
  pageLocks.put(frame);
  yield* mm.invalidateEnd(range);
}

/** restore_exclusive_pte: the reference of the entry becomes one of the mapping. */
export function restoreExclusivePte(vma: Vma, table: PteTable, index: number): void {
  const { frames } = vma.mm;
  const frame = table.swapFrame(index);
  const written = (table.swap(index) & SWAP_WRITE) !== 0;
  table.set(index, frame, written && (vma.flags & VM_WRITE) !== 0, (written ? PTE_DIRTY : 0) | noAccess(vma));
  frames.map(frame);
  frames.put(frame);
}

/** Whether the entry at `address` must not be faulted under the VMA's lock alone (FAULT_FLAG_VMA_LOCK). */
export function needsMmapLock(vma: Vma, address: number): boolean {
  const table = vma.mm.pageTable.table(blockOf(address));
  if (table === null) return false;
  return (table.swap(Math.floor(address / PAGE) % PTES) & SWAP_DEVICE_PRIVATE) !== 0;
}

/** Whether a bit pattern of {@link PteTable.swap} is that of an exclusive entry. */
export function isExclusive(bits: number): boolean {
  return (bits & SWAP_EXCLUSIVE) !== 0;
}
