/**
 * handle_mm_fault (mm/memory.c), for pages of 4 KiB (huge-pmd.ts has the others): anonymous memory with its zero page, copy on write, and tmpfs with
 * fault-around. mmap_lock is held, and the VMA allows the access (or the caller has FOLL_FORCE).
 *
 * Everything but the copy of a page happens without an event and without sleeping, so it is a plain function: of the
 * faults of a loop over pages only those that copy cost a generator.
 */
import { PAGE, PTES, VM_WRITE, alignDown, blockOf, pteIndex } from './layout.js';
import { PAGE_ANON, PAGE_ANON_EXCLUSIVE, PAGE_LARGE, ZERO_FRAME } from './frames.js';
import { PTE_DIRTY, PTE_SPECIAL } from './page-table.js';
import { anonVmaPrepare } from './anon-vma-prepare.js';
import { hugetlbCopy, hugetlbFault, isHugetlb } from './hugetlb.js';
import { splitHugePmd, tryHugeFault } from './huge-pmd.js';
import { doSwapPage } from './swap-fault.js';
import { mapsWritable } from './vma.js';
import type { MemoryFile } from './file.js';
import type { Mm } from './mm.js';
import type { PteTable } from './page-table.js';
import type { Routine } from './engine/engine.js';
import type { Vma } from './vma.js';

export type FaultResult =
  /** The access can be tried again. */
  | 'done'
  /** VM_FAULT_SIGBUS: beyond the end of the file, or in memory that the OOM reaper took. */
  | 'sigbus'
  /** VM_FAULT_OOM: no frame is left. */
  | 'oom';

/** fault_around_bytes, in pages: 64 KiB unless debugfs says otherwise. */
const FAULT_AROUND_PAGES = 16;

/** @param address any address inside the page */
export function* handleMmFault(vma: Vma, address: number, write: boolean): Routine<FaultResult> {
  if (vma.mm.engine.preemptive) yield 'handle_mm_fault';
  const result = tryFault(vma, address, write);
  return result === 'copy' || result === 'swap' ? yield* finishFault(vma, address, result) : result;
}

/** The part of a fault that {@link tryFault} found to need events. */
export function finishFault(vma: Vma, address: number, rest: 'copy' | 'swap'): Routine<FaultResult> {
  return rest === 'copy' ? wpPageCopy(vma, address) : doSwapPage(vma, address);
}

/** All of a fault that needs no event; 'copy' and 'swap' ask for {@link finishFault}. */
export function tryFault(vma: Vma, address: number, write: boolean): FaultResult | 'copy' | 'swap' {
  const { mm } = vma;
  const block = blockOf(address);
  // __handle_mm_fault makes the upper levels before it knows whether the fault succeeds; observable, so done here too.
  mm.pageTable.ensurePmdTable(block);
  if (isHugetlb(vma)) return hugetlbFault(vma, address, write);
  const table = mm.pageTable.table(block);
  if (table === null) {
    const result = tryHugeFault(vma, block, write);
    if (result !== null) return result;
  }
  const index = pteIndex(address);
  if (table === null || !table.isPresent(index)) {
    if (table !== null && !table.isNone(index)) return 'swap';
    if (vma.file === null) return doAnonymousPage(vma, block, index, write);
    return doFault(vma, vma.file, address, write);
  }
  if (write) {
    if (!table.isWritable(index)) return doWpPage(vma, table, index);
    table.bits[index]! |= PTE_DIRTY;
  }
  return 'done';
}

function doAnonymousPage(vma: Vma, block: number, index: number, write: boolean): FaultResult {
  const { mm } = vma;
  const table = mm.pageTable.ensureTable(block);
  if (!write) {
    if (mm.unstable) return 'sigbus';
    table.set(index, ZERO_FRAME, false, PTE_SPECIAL);
    return 'done';
  }
  anonVmaPrepare(vma);
  if (mm.unstable) return 'sigbus';
  const frame = mm.frames.allocate(PAGE_ANON | PAGE_ANON_EXCLUSIVE);
  if (frame === 0) return 'oom';
  mapNewAnon(vma, table, index, frame);
  return 'done';
}

/** maybe_mkwrite(pte_mkdirty()): FOLL_FORCE may write where the mapping may not. */
function mapNewAnon(vma: Vma, table: PteTable, index: number, frame: number): void {
  const { frames } = vma.mm;
  frames.map(frame);
  frames.anonVma[frame] = vma.anonVma;
  table.set(index, frame, (vma.flags & VM_WRITE) !== 0, PTE_DIRTY);
}

/** do_wp_page */
function doWpPage(vma: Vma, table: PteTable, index: number): FaultResult | 'copy' {
  const { frames } = vma.mm;
  const frame = table.frame(index);
  if (vma.shared) {
    table.protect(index, true);
    table.bits[index]! |= PTE_DIRTY;
    return 'done';
  }
  const special = (table.bits[index]! & PTE_SPECIAL) !== 0;
  if (!special && canReuse(vma.mm, frame)) {
    if ((frames.flags[frame]! & PAGE_ANON_EXCLUSIVE) === 0) {
      // folio_move_anon_rmap: from now on only this VMA's anon_vma is walked for it.
      frames.anonVma[frames.head(frame)] = vma.anonVma;
      frames.flags[frame]! |= PAGE_ANON_EXCLUSIVE;
    }
    if ((vma.flags & VM_WRITE) !== 0) table.protect(index, true);
    table.bits[index]! |= PTE_DIRTY;
    return 'done';
  }
  return 'copy';
}

/** wp_can_reuse_anon_folio: with no swap cache, the only reference is the only mapping. */
function canReuse({ frames, profile }: Mm, frame: number): boolean {
  const flags = frames.flags[frame]!;
  if ((flags & PAGE_ANON_EXCLUSIVE) !== 0) return true;
  if ((flags & PAGE_ANON) === 0 || frames.isHeld(frame)) return false;
  return ((flags & PAGE_LARGE) === 0 || profile.reusesLastPageOfLarge) && frames.mappings(frame) === 1;
}

/** wp_page_copy: the copy is made first, then the page is invalidated, then exchanged, if nobody else did meanwhile. */
export function* wpPageCopy(vma: Vma, address: number): Routine<FaultResult> {
  const { mm } = vma;
  const { frames } = mm;
  const start = alignDown(address, PAGE);
  const block = blockOf(address);
  const index = pteIndex(address);
  if (isHugetlb(vma)) return yield* hugetlbCopy(vma, address);
  // do_huge_pmd_wp_page's fallback: a huge page is split, and one of the pages that it was then copied.
  while (mm.pageTable.huge(block) !== null) {
    yield* splitHugePmd(mm, block);
    const result = tryFault(vma, address, true);
    if (result === 'swap') return yield* doSwapPage(vma, address);
    if (result !== 'copy') return result;
  }
  const original = mm.pageTable.table(block)!;
  const entry = original.entries[index];
  const old = original.frame(index);
  const special = (original.bits[index]! & PTE_SPECIAL) !== 0;
  anonVmaPrepare(vma);
  const frame = frames.allocate(PAGE_ANON | PAGE_ANON_EXCLUSIVE);
  if (frame === 0) return 'oom';
  const { pageLocks } = mm.machine;
  if (!special) {
    // A page that is being copied stays: it is not migrated, and its frame not given out again, before the entry is compared.
    pageLocks.get(old);
    frames.copy(old, frame);
  }

  const range = yield* mm.invalidateStart('clear', start, start + PAGE);
  const table = mm.pageTable.table(block);
  if (table !== null && table.entries[index] === entry) {
    mapNewAnon(vma, table, index, frame);
    if (!special) frames.unmap(old);
  } else {
    frames.map(frame);
    frames.unmap(frame);
  }
  if (!special) pageLocks.put(old);
  yield* mm.invalidateEnd(range);
  return 'done';
}

/** do_fault: do_read_fault, do_cow_fault or do_shared_fault. */
function doFault(vma: Vma, file: MemoryFile, address: number, write: boolean): FaultResult {
  const { mm } = vma;
  const page = vma.pageIndex(alignDown(address, PAGE));
  if (!write && faultAround(vma, file, address, page)) return 'done';
  const shared = vma.shared;
  if (write && !shared) anonVmaPrepare(vma);
  if (page >= file.sizeInPages) return 'sigbus';
  const cached = file.getPage(page);
  if (cached === 0) return 'oom';
  // finish_fault. What fault-around maps was not asked.
  if (mm.unstable && !shared) return 'sigbus';
  const block = blockOf(address);
  const index = pteIndex(address);
  if (write && !shared) {
    const frame = mm.frames.allocate(PAGE_ANON | PAGE_ANON_EXCLUSIVE);
    if (frame === 0) return 'oom';
    mm.frames.copy(cached, frame);
    mapNewAnon(vma, mm.pageTable.ensureTable(block), index, frame);
    return 'done';
  }
  mm.frames.map(cached);
  mm.pageTable.ensureTable(block).set(index, cached, mapsWritable(vma), write ? PTE_DIRTY : 0);
  return 'done';
}

/**
 * do_fault_around and filemap_map_pages: maps what the page cache has around the address, 16 pages from the aligned
 * one on, or from the start of the VMA on if that is higher.
 * @returns whether the page of the fault itself was among them
 */
function faultAround(vma: Vma, file: MemoryFile, address: number, page: number): boolean {
  const { mm } = vma;
  const index = pteIndex(address);
  const inVma = page - vma.pgoff;
  const from = Math.max(index - (index % FAULT_AROUND_PAGES), index - Math.min(index, inVma));
  const to = Math.min(from + FAULT_AROUND_PAGES, PTES, index + vma.pages - inVma, index + file.sizeInPages - page);
  const block = blockOf(address);
  let table = mm.pageTable.table(block);
  const write = mapsWritable(vma);
  let mapped = false;
  for (let at = from; at < to; at++) {
    const frame = file.pages.get(page + at - index);
    if (frame === undefined) continue;
    table ??= mm.pageTable.ensureTable(block);
    if (!table.isNone(at)) continue;
    mm.frames.map(frame);
    table.set(at, frame, write, 0);
    if (at === index) mapped = true;
  }
  return mapped;
}
