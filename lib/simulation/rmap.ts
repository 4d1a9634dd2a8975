/** The reverse map (mm/rmap.c): from a page to the VMAs that could map it, and to the entries that do. */
import { PAGE, PTES, blockOf } from './layout.js';
import { PTE_DIRTY, PTE_NO_ACCESS, SWAP_ANON_EXCLUSIVE, SWAP_DEVICE_PRIVATE, SWAP_EXCLUSIVE } from './page-table.js';
import { PAGE_ANON, PAGE_ANON_EXCLUSIVE, PAGE_DIRTY } from './frames.js';
import { SWAP_MIGRATION, SWAP_WRITE } from './page-table.js';
import { mapsWritable } from './vma.js';
import type { MemoryFile } from './file.js';
import type { Machine } from './mm.js';
import type { PteTable } from './page-table.js';
import type { Routine } from './engine/engine.js';
import type { Vma } from './vma.js';

/** A page of 4 KiB as the reverse map knows it. */
export interface MappedPage {
  readonly frame: number;
  /** page->index: the offset in the file, or in the anon_vma, in pages. */
  readonly pgoff: number;
  /** The file whose page cache has it; null for anonymous pages. */
  readonly file: MemoryFile | null;
}

/** The VMAs that rmap_walk visits, in its order: that the page lies in them does not mean that they map it. */
export function vmasOf(machine: Machine, page: MappedPage): Vma[] {
  if (page.file !== null) return page.file.mappingsOf(page.pgoff, page.pgoff);
  return machine.frames.anonVma[page.frame]?.covering(page.pgoff) ?? [];
}

/** vma_address */
export function addressIn(vma: Vma, page: MappedPage): number {
  return vma.start + (page.pgoff - vma.pgoff) * PAGE;
}

/** Whether the VMA is still what the walk found: it may have been unmapped while a callback of the walk slept. */
export function stillCovers(vma: Vma, page: MappedPage): boolean {
  if (vma.pgoff > page.pgoff || vma.pgoff + vma.pages <= page.pgoff) return false;
  return vma.mm.vmas.lookup(addressIn(vma, page)) === vma;
}

export interface FoundEntry {
  readonly table: PteTable;
  readonly index: number;
}

/** page_vma_mapped_walk: the entry of the VMA that maps the page, by being present or a device's; null if there is none. */
export function entryOf(vma: Vma, page: MappedPage): FoundEntry | null {
  const address = addressIn(vma, page);
  const table = vma.mm.pageTable.table(blockOf(address));
  if (table === null) return null;
  const index = (address / PAGE) % PTES;
  if (table.isPresent(index)) return table.frame(index) === page.frame ? { table, index } : null;
  const device = (table.swap(index) & (SWAP_DEVICE_PRIVATE | SWAP_EXCLUSIVE)) !== 0;
  return device && table.swapFrame(index) === page.frame ? { table, index } : null;
}

/**
 * Puts a migration entry in the place of one that maps the page, which loses the mapping; it must have another
 * reference. Bits that only a present entry has go to the page (ptep_clear_flush, make_*_migration_entry).
 */
export function setMigrationEntry(machine: Machine, frame: number, { table, index }: FoundEntry): void {
  const { frames } = machine;
  const present = table.isPresent(index);
  const write = present ? table.isWritable(index) : (table.swap(index) & SWAP_WRITE) !== 0;
  const dirty = present ? table.bits[index]! & PTE_DIRTY : 0;
  if (dirty !== 0) frames.flags[frame]! |= PAGE_DIRTY;
  const anon = PAGE_ANON | PAGE_ANON_EXCLUSIVE;
  const exclusive = (frames.flags[frame]! & anon) === anon;
  if (exclusive) frames.flags[frame]! &= ~PAGE_ANON_EXCLUSIVE;
  const kind = write ? SWAP_WRITE : exclusive ? SWAP_ANON_EXCLUSIVE : 0;
  table.setSwap(index, frame, SWAP_MIGRATION | kind | dirty);
  frames.unmap(frame);
}

/** try_to_migrate: migration entries wherever the page is mapped, with a CLEAR in every VMA that is looked at. */
export function* tryToMigrate(machine: Machine, page: MappedPage): Routine<void> {
  for (const vma of vmasOf(machine, page)) {
    if (!stillCovers(vma, page)) continue;
    const { mm } = vma;
    const address = addressIn(vma, page);
    const range = yield* mm.invalidateStart('clear', address, address + PAGE);
    const entry = stillCovers(vma, page) ? entryOf(vma, page) : null;
    if (entry !== null && (entry.table.swap(entry.index) & SWAP_EXCLUSIVE) === 0) {
      setMigrationEntry(machine, page.frame, entry);
    }
    yield* mm.invalidateEnd(range);
    if (machine.frames.mapcount[page.frame] === 0) return;
  }
}

/** remove_migration_ptes: all migration entries of the page become mappings of `target`, which may be the page itself. */
export function removeMigrationPtes(machine: Machine, page: MappedPage, target: number): void {
  for (const vma of vmasOf(machine, page)) {
    const address = addressIn(vma, page);
    const table = vma.mm.pageTable.table(blockOf(address));
    const index = (address / PAGE) % PTES;
    if (table === null) continue;
    const bits = table.swap(index);
    if ((bits & SWAP_MIGRATION) !== 0 && table.swapFrame(index) === page.frame) remap(vma, table, index, bits, target);
  }
}

/** remove_migration_pte */
function remap(vma: Vma, table: PteTable, index: number, bits: number, target: number): void {
  const { frames } = vma.mm;
  const write = (bits & SWAP_WRITE) !== 0;
  const flags = frames.flags[target]!;
  if ((flags & PAGE_ANON) !== 0 && (bits & (SWAP_WRITE | SWAP_ANON_EXCLUSIVE)) !== 0) {
    frames.flags[target]! |= PAGE_ANON_EXCLUSIVE;
  }
  frames.map(target);
  if (vma.mm.machine.devices.owner(frames.zone[target]!)?.private === true) {
    table.setSwap(index, target, SWAP_DEVICE_PRIVATE | (write ? SWAP_WRITE : 0));
    return;
  }
  const dirty = (flags & PAGE_DIRTY) !== 0 ? bits & PTE_DIRTY : 0;
  table.set(index, target, write || mapsWritable(vma), dirty | noAccess(vma));
}

/** What vm_page_prot says of the process's own accesses, for entries that are made of it. */
export function noAccess(vma: Vma): number {
  return vma.readableByCpu ? 0 : PTE_NO_ACCESS;
}
