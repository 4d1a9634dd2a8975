/**
 * Moving pages between system memory and the memory of devices (mm/migrate_device.c), in its three calls: setup (collect and
 * unmap), pages, finalize. What lies between two of them is the driver's: device-migration.ts.
 *
 * From collect to finalize a page is locked and held, and every entry that mapped it is a migration entry: whoever
 * meets one sleeps until the lock is released. mmap_lock of the process whose range it is is held for reading.
 */
import { PAGE, PTES, VM_WRITE, blockOf } from './layout.js';
import { PAGE_ANON, PAGE_ANON_EXCLUSIVE, PAGE_DIRTY, PAGE_LARGE, PAGE_LAZYFREE, ZERO_FRAME } from './frames.js';
import { PTE_DIRTY, PTE_SPECIAL, SWAP_DEVICE_PRIVATE, SWAP_WRITE } from './page-table.js';
import { anonVmaPrepare } from './anon-vma-prepare.js';
import { noAccess, removeMigrationPtes, setMigrationEntry, tryToMigrate } from './rmap.js';
import { splitForMigration } from './migrate-huge.js';
import type { MappedPage } from './rmap.js';
import type { Machine } from './mm.js';
import type { PteTable } from './page-table.js';
import type { Routine } from './engine/engine.js';
import type { Vma } from './vma.js';

/** Which pages of a range setup collects (MIGRATE_VMA_SELECT_*). */
export type Selection = 'system' | 'device-private' | 'device-coherent';

/** struct migrate_vma. */
export interface Migration {
  readonly machine: Machine;
  /** Null: the pages were found by frame number (migrate_device_range), and nothing is inserted. */
  readonly vma: Vma | null;
  readonly start: number;
  readonly end: number;
  readonly select: Selection;
  /** pgmap_owner: the device that the events name, and whose pages are selected. */
  readonly owner: number | null;
  /** fault_page: somebody who faulted on it holds a reference; or 0. */
  readonly faultFrame: number;
  readonly entries: MigrationEntry[];
}

/** One page: an element of the arrays src and dst. */
export interface MigrationEntry {
  /** MIGRATE_PFN_VALID with the frame; null: nothing is there yet, or nothing to be moved. */
  page: MappedPage | null;
  /** MIGRATE_PFN_MIGRATE: it can move; after pages(): it has. */
  migrate: boolean;
  /** Where to, by the driver, who holds it; 0 for nowhere. */
  target: number;
}

/**
 * migrate_vma_setup, whose preconditions the caller has checked. Afterwards all entries with a page and `migrate`
 * are locked and unmapped. @returns how many entries can migrate
 */
export function* migrateVmaSetup(migration: Migration & { readonly vma: Vma }): Routine<number> {
  const { machine, vma, start, end, owner, entries } = migration;
  const { mm } = vma;
  // The driver hears of it whether there is anything to collect or not.
  const range = yield* mm.invalidateStart('migrate', start, end, owner);
  for (let at = start; at < end;) {
    if (machine.engine.preemptive) yield 'migrate_vma_collect';
    const partEnd = Math.min(end, (blockOf(at) + 1) * PTES * PAGE);
    const whole = yield* splitForMigration(vma, blockOf(at));
    for (; at < partEnd; at += PAGE) entries.push(whole ? collect(migration, vma, at) : skipped());
  }
  yield* mm.invalidateEnd(range);
  return entries.some(({ migrate }) => migrate) ? yield* migrateDeviceUnmap(migration) : 0;
}

function skipped(): MigrationEntry {
  return { page: null, migrate: false, target: 0 };
}

/** migrate_vma_collect_pmd, of one entry. */
function collect({ machine, select, owner }: Migration, vma: Vma, address: number): MigrationEntry {
  const { frames, pageLocks } = machine;
  const table = vma.mm.pageTable.table(blockOf(address));
  const index = (address / PAGE) % PTES;
  if (table === null || table.isNone(index)) return { page: null, migrate: vma.anonymous, target: 0 };

  let frame: number;
  if (table.isPresent(index)) {
    frame = table.frame(index);
    if ((table.bits[index]! & PTE_SPECIAL) !== 0) return { page: null, migrate: select === 'system', target: 0 };
    const zone = frames.zone[frame]!;
    const selected = zone === 0 ? select === 'system' : select === 'device-coherent' && zone - 1 === owner;
    if (!selected) return skipped();
  } else {
    if ((table.swap(index) & SWAP_DEVICE_PRIVATE) === 0) return skipped();
    frame = table.swapFrame(index);
    if (select !== 'device-private' || frames.zone[frame]! - 1 !== owner) return skipped();
  }
  // Pages of a large folio that PTEs map are passed over by these kernels.
  if ((frames.flags[frame]! & PAGE_LARGE) !== 0) return skipped();
  if (!pageLocks.tryLock(frame)) return skipped();
  pageLocks.get(frame);
  const file = (frames.flags[frame]! & PAGE_ANON) === 0 ? vma.file : null;
  setMigrationEntry(machine, frame, { table, index });
  return { page: { frame, pgoff: vma.pageIndex(address), file }, migrate: true, target: 0 };
}

/** migrate_device_range, of one page that the caller found in use; null if it is busy. */
export function collectDevicePage(machine: Machine, page: MappedPage): MigrationEntry | null {
  if (!machine.pageLocks.tryLock(page.frame)) return null;
  machine.pageLocks.get(page.frame);
  return { page, migrate: true, target: 0 };
}

/** migrate_device_unmap: takes away the other mappings of the pages; those that are in use otherwise are put back. */
export function* migrateDeviceUnmap(migration: Migration): Routine<number> {
  const { machine, entries, faultFrame } = migration;
  const { frames, pageLocks } = machine;
  const busy: MigrationEntry[] = [];
  let unmapped = 0;
  if (machine.engine.preemptive) yield 'migrate_device_unmap';
  for (const entry of entries) {
    if (!entry.migrate) continue;
    unmapped++;
    const { page } = entry;
    if (page === null) continue;
    const { frame } = page;
    if (frames.mapcount[frame]! > 0) yield* tryToMigrate(machine, page);
    // migrate_vma_check_page is lenient with pages of devices, and leaves it to folio_migrate_mapping to be strict.
    const tolerated = expectedReferences(frame, faultFrame) + (frames.zone[frame] === 0 ? 0 : 1);
    if (frames.mapcount[frame] === 0 && frames.held[frame]! <= tolerated) continue;
    entry.migrate = false;
    busy.push(entry);
    unmapped--;
  }
  for (const entry of busy) {
    const page = entry.page!;
    removeMigrationPtes(machine, page, page.frame);
    entry.page = null;
    pageLocks.unlock(page.frame);
    pageLocks.put(page.frame);
  }
  return unmapped;
}

/** One of the migration itself, and one of the fault that it is done for. */
function expectedReferences(frame: number, faultFrame: number): number {
  return frame === faultFrame ? 2 : 1;
}

/** migrate_vma_pages, migrate_device_pages: what has a target moves there, but for the page tables. */
export function* migratePages(migration: Migration): Routine<void> {
  const { machine, vma, start, end, owner, entries } = migration;
  if (machine.engine.preemptive) yield 'migrate_vma_pages';
  let range = null;
  let notified = false;
  for (let index = 0; index < entries.length; index++) {
    const entry = entries[index]!;
    if (entry.target === 0) entry.migrate = false;
    if (!entry.migrate) continue;
    if (entry.page !== null) {
      entry.migrate = migrateFolio(migration, entry.page, entry.target);
      continue;
    }
    const address = start + index * PAGE;
    if (!notified) {
      // One event for all that are inserted, from the first of them on.
      notified = true;
      range = yield* vma!.mm.invalidateStart('migrate', address, end, owner);
    }
    entry.migrate = insertPage(machine, vma!, address, entry.target);
  }
  if (notified) yield* vma!.mm.invalidateEnd(range);
}

/** folio_migrate_mapping and folio_migrate_flags. The content moves along: nobody can look at the old page any more. */
function migrateFolio({ machine, faultFrame }: Migration, page: MappedPage, target: number): boolean {
  const { frames } = machine;
  const { frame } = page;
  // Only anonymous memory goes to a device.
  if (page.file !== null || frames.held[frame] !== expectedReferences(frame, faultFrame)) return false;
  frames.flags[target] = frames.flags[frame]! & (PAGE_ANON | PAGE_DIRTY | PAGE_LAZYFREE);
  frames.anonVma[target] = frames.anonVma[frame]!;
  frames.moveContent(frame, target);
  return true;
}

/** migrate_vma_insert_page: a page of the device where there was none, or only the zero page. */
function insertPage(machine: Machine, vma: Vma, address: number, target: number): boolean {
  if (!vma.anonymous) return false;
  const { frames, devices } = machine;
  const { pageTable } = vma.mm;
  const block = blockOf(address);
  const index = (address / PAGE) % PTES;
  pageTable.ensurePmdTable(block);
  if (pageTable.huge(block) !== null) return false;
  const table: PteTable = pageTable.ensureTable(block);
  anonVmaPrepare(vma);
  if (vma.mm.unstable) return false;
  const zero = table.isPresent(index) && table.frame(index) === ZERO_FRAME;
  if (!zero && !table.isNone(index)) return false;
  const write = (vma.flags & VM_WRITE) !== 0;
  frames.flags[target] = PAGE_ANON | PAGE_ANON_EXCLUSIVE;
  frames.anonVma[target] = vma.anonVma;
  frames.map(target);
  if (devices.owner(frames.zone[target]!)!.private) {
    table.setSwap(index, target, SWAP_DEVICE_PRIVATE | (write ? SWAP_WRITE : 0));
  } else {
    table.set(index, target, write, (write ? PTE_DIRTY : 0) | noAccess(vma));
  }
  return true;
}

/** migrate_vma_finalize, migrate_device_finalize: the page tables name the new pages, or again the old ones. */
export function* migrateFinalize({ machine, entries }: Migration): Routine<void> {
  const { pageLocks } = machine;
  if (machine.engine.preemptive) yield 'migrate_vma_finalize';
  for (const { page, migrate, target } of entries) {
    if (page !== null) {
      removeMigrationPtes(machine, page, migrate ? target : page.frame);
      pageLocks.unlock(page.frame);
      pageLocks.put(page.frame);
    }
    if (target !== 0) {
      pageLocks.unlock(target);
      // The last reference, if nothing has come to it.
      pageLocks.put(target);
    }
  }
}
