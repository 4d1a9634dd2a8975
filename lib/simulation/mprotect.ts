/** mprotect(2): do_mprotect_pkey, mprotect_fixup and change_protection (mm/mprotect.c). */
import { HmmError } from '../errors.js';
import { PAGE, PGD_SIZE, PMD_SIZE, PTES, PUD_SIZE, alignDown, blockOf, pageAlign } from './layout.js';
import { PAGE_ANON, PAGE_ANON_EXCLUSIVE } from './frames.js';
import { HugePmd, PTE_DIRTY, PTE_NO_ACCESS, PTE_SPECIAL } from './page-table.js';
import {
  VM_ACCESS_FLAGS,
  VM_ACCOUNT,
  VM_HUGETLB,
  VM_LOCKED,
  VM_NORESERVE,
  VM_PKEY_EXEC_ONLY,
  VM_SHARED,
  VM_WRITE,
} from './layout.js';
import { hugetlbChangeProtection, isHugetlb } from './hugetlb.js';
import { changeHugePmd } from './huge-pmd.js';
import { mapsWritable } from './vma.js';
import { modifyVma } from './vma-modify.js';
import { protectSwapEntry } from './swap-entries.js';
import { populateVmaRange } from './populate.js';
import { protectionFlags } from './mmap.js';
import { refuse } from './mm.js';
import type { Mm } from './mm.js';
import type { PteTable } from './page-table.js';
import type { Routine } from './engine/engine.js';
import type { Vma } from './vma.js';

const PROT_SEM = 0x8;
const PROT_GROWSDOWN = 0x0100_0000;
const PROT_GROWSUP = 0x0200_0000;
const PROT_VALID = 0x7 | PROT_SEM;

export function* mprotect(mm: Mm, start: number, length: number, requested: number): Routine<HmmError | undefined> {
  const grows = requested & (PROT_GROWSDOWN | PROT_GROWSUP);
  const protection = requested & ~(PROT_GROWSDOWN | PROT_GROWSUP);
  if (grows === (PROT_GROWSDOWN | PROT_GROWSUP)) refuse('EINVAL', 'mprotect');
  if (start % PAGE !== 0) refuse('EINVAL', 'mprotect', 'the address is not a multiple of the page size');
  if (length === 0) return undefined;
  const end = start + pageAlign(length);
  if ((protection & ~PROT_VALID) !== 0) refuse('EINVAL', 'mprotect', 'an unknown protection');
  yield* mm.lock.write();
  try {
    return yield* protectRange(mm, start, end, protection, grows);
  } finally {
    mm.lock.unlockWrite();
  }
}

function* protectRange(
  mm: Mm,
  start: number,
  end: number,
  protection: number,
  grows: number,
): Routine<HmmError | undefined> {
  let vma = mm.vmas.intersection(start, end);
  if (vma === null) return new HmmError('ENOMEM', 'mprotect', 'nothing is mapped there');
  if ((grows & PROT_GROWSDOWN) === 0 && vma.start > start)
    return new HmmError('ENOMEM', 'mprotect', 'the start is not mapped');
  // No mapping here grows.
  if (grows !== 0) refuse('EINVAL', 'mprotect', 'the mapping does not grow');

  let prev = start > vma.start ? vma : mm.vmas.prev(vma);
  let at = start;
  for (;;) {
    const flags = protectionFlags(protection) | (vma.flags & ~(VM_ACCESS_FLAGS | VM_PKEY_EXEC_ONLY));
    prev = yield* mprotectFixup(mm, vma, prev, at, Math.min(vma.end, end), flags);
    // What was merged into may reach beyond the part that was changed.
    at = Math.max(at, prev.end);
    if (at >= end) return undefined;
    vma = mm.vmas.find(prev.end);
    if (vma === null || vma.start !== at)
      return new HmmError('ENOMEM', 'mprotect', 'a hole, after the part before it was changed');
  }
}

/** mprotect_fixup: one VMA's part. Returns the VMA that holds it now. */
function* mprotectFixup(mm: Mm, vma: Vma, prev: Vma | null, start: number, end: number, flags: number): Routine<Vma> {
  const old = vma.flags;
  if (flags === old) return vma;
  let newFlags = flags;
  if ((flags & VM_WRITE) !== 0) {
    if ((old & (VM_ACCOUNT | VM_WRITE | VM_HUGETLB | VM_SHARED | VM_NORESERVE)) === 0) newFlags |= VM_ACCOUNT;
  } else if (mm.profile.dropsAccountWhenReadOnly && (old & VM_ACCOUNT) !== 0 && vma.anonymous && vma.anonVma === null) {
    newFlags &= ~VM_ACCOUNT;
  }
  const changed = yield* modifyVma(vma, prev, start, end, newFlags, 'mprotect');
  changed.startWrite();
  changed.flags = newFlags;
  yield* isHugetlb(changed) ? hugetlbChangeProtection(changed, start, end) : changeProtection(changed, start, end);
  // Locked private memory that becomes writable is copied now, so that no later access takes a major fault.
  if ((old & (VM_WRITE | VM_SHARED | VM_LOCKED)) === VM_LOCKED && (newFlags & VM_WRITE) !== 0) {
    yield* populateVmaRange(changed, start, end);
  }
  return changed;
}

/** change_protection_range: PROTECTION_VMA per piece in which tables exist, from the first one that does. */
function* changeProtection(vma: Vma, start: number, end: number): Routine<void> {
  const { mm } = vma;
  const pud = mm.profile.protectionEventLevel === 'pud';
  const size = pud ? PGD_SIZE : PUD_SIZE;
  for (let at = start; at < end; at = alignDown(at, size) + size) {
    const pieceEnd = Math.min(end, alignDown(at, size) + size);
    const first = pud ? firstPmdTable(mm, at, pieceEnd) : firstTable(mm, at, pieceEnd);
    if (first === null) continue;
    const range = yield* mm.invalidateStart('protection-vma', first, pieceEnd);
    mm.pageTable.eachEntry(first, pieceEnd, (entry, from, to) => {
      // A huge page lies wholly in the range: the VMA was cut at its ends.
      if (entry instanceof HugePmd) changeHugePmd(vma, entry);
      else changePteRange(vma, entry, from, to);
    });
    yield* mm.invalidateEnd(range);
  }
}

/** Start of the first 1 GiB in [start, end), one 512 GiB slice, whose PUD entry is not none; clamped to start. */
function firstPmdTable(mm: Mm, start: number, end: number): number | null {
  if (mm.pageTable.slices[Math.floor(start / PGD_SIZE)] == null) return null;
  for (let at = start; at < end; at = alignDown(at, PUD_SIZE) + PUD_SIZE) {
    if (mm.pageTable.pmdTable(blockOf(at)) !== null) return at;
  }
  return null;
}

/** Start of the first 2 MiB in [start, end), one 1 GiB block, whose PMD entry is not none; clamped to start. */
function firstTable(mm: Mm, start: number, end: number): number | null {
  const pmd = mm.pageTable.pmdTable(blockOf(start));
  if (pmd === null || pmd.populated === 0) return null;
  for (let at = start; at < end; at = alignDown(at, PMD_SIZE) + PMD_SIZE) {
    if (pmd.entries[blockOf(at) % PTES] !== null) return at;
  }
  return null;
}

/** change_pte_range: a private PTE loses its write bit and gets it back only where a write would not have to copy. */
function changePteRange(vma: Vma, table: PteTable, from: number, to: number): void {
  if (table.present + table.swapped === 0) return;
  const { frames, profile } = vma.mm;
  const allWritable = mapsWritable(vma);
  const noAccess = vma.readableByCpu ? 0 : PTE_NO_ACCESS;
  const upgrade = !vma.shared && (vma.flags & VM_WRITE) !== 0;
  for (let index = from; index < to; index++) {
    if (!table.isPresent(index)) {
      if (!table.isNone(index)) protectSwapEntry(vma.mm, table, index);
      continue;
    }
    const bits = (table.bits[index]! & ~PTE_NO_ACCESS) | noAccess;
    const exclusive = PAGE_ANON | PAGE_ANON_EXCLUSIVE;
    const write =
      allWritable ||
      (upgrade &&
        (bits & PTE_SPECIAL) === 0 &&
        (!profile.upgradeNeedsDirty || (bits & PTE_DIRTY) !== 0) &&
        (frames.flags[table.frame(index)]! & exclusive) === exclusive);
    table.protect(index, write);
    table.bits[index] = bits;
  }
}
