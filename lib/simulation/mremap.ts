/** mremap(2): mm/mremap.c, and copy_vma of mm/vma.c. */
import {
  MAX_MAP_COUNT,
  PAGE,
  PMD_SIZE,
  TASK_SIZE,
  VM_ACCOUNT,
  VM_LOCKED,
  VM_MAYSHARE,
  VM_SHARED,
  alignUp,
  pageAlign,
} from './layout.js';
import { MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE } from '../constants.js';
import { HmmError } from '../errors.js';
import { getUnmappedArea } from './unmapped-area.js';
import { isHugetlb } from './hugetlb.js';
import { inheritAnonVmas, mergeNew, splitVma } from './vma-modify.js';
import { mmPopulate } from './populate.js';
import { movePageTables } from './move-page-tables.js';
import { refuse } from './mm.js';
import { unlinkAnonVmas } from './anon-vma.js';
import { unmapLocked } from './munmap.js';
import type { Mm } from './mm.js';
import type { Routine } from './engine/engine.js';
import type { Vma } from './vma.js';

export interface MremapArguments {
  readonly address: number;
  readonly oldLength: number;
  readonly newLength: number;
  readonly flags: number;
  readonly newAddress: number;
}

/** What the locked part leaves to be done without the lock. */
interface Outcome {
  readonly address: number;
  readonly locked: boolean;
}

export function* mremap(mm: Mm, request: MremapArguments): Routine<number> {
  const { address, flags } = request;
  const moves = (flags & MREMAP_MAYMOVE) !== 0;
  if ((flags & ~(MREMAP_FIXED | MREMAP_MAYMOVE | MREMAP_DONTUNMAP)) !== 0)
    refuse('EINVAL', 'mremap', 'an unknown flag');
  if ((flags & MREMAP_FIXED) !== 0 && !moves) refuse('EINVAL', 'mremap', 'MREMAP_FIXED without MREMAP_MAYMOVE');
  if ((flags & MREMAP_DONTUNMAP) !== 0 && (!moves || request.oldLength !== request.newLength)) {
    refuse('EINVAL', 'mremap', 'MREMAP_DONTUNMAP moves, and keeps the length');
  }
  if (address % PAGE !== 0) refuse('EINVAL', 'mremap', 'the address is not a multiple of the page size');
  const oldLength = pageAlign(request.oldLength);
  const newLength = pageAlign(request.newLength);
  if (newLength === 0) refuse('EINVAL', 'mremap', 'the new length is 0');

  yield* mm.lock.write();
  let downgraded = false;
  let outcome: Outcome;
  try {
    outcome = yield* remapLocked(mm, { ...request, oldLength, newLength }, () => {
      mm.lock.downgrade();
      downgraded = true;
    });
  } finally {
    if (downgraded) mm.lock.unlockRead();
    else mm.lock.unlockWrite();
  }
  if (outcome.locked && newLength > oldLength)
    yield* mmPopulate(mm, outcome.address + oldLength, newLength - oldLength);
  return outcome.address;
}

function* remapLocked(mm: Mm, request: MremapArguments, downgrade: () => void): Routine<Outcome> {
  const { address, oldLength, newLength, flags } = hugetlbRequest(mm, request);
  if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) !== 0)
    return yield* mremapTo(mm, { ...request, oldLength, newLength });

  if (oldLength >= newLength) {
    if (oldLength > newLength) {
      yield* unmapLocked(mm, address + newLength, oldLength - newLength, 'mremap', downgrade);
    }
    return { address, locked: false };
  }

  const vma = vmaToResize(mm, address, oldLength, flags);
  if (oldLength === vma.end - address && expandable(mm, vma, newLength - oldLength)) {
    // vma_merge_extend: the extension merges with the VMA, and perhaps with the one that it now touches.
    const end = vma.end + newLength - oldLength;
    const merged = yield* mergeNew(mm, {
      start: vma.end,
      end,
      pgoff: vma.pgoff + vma.pages,
      flags: vma.flags,
      file: vma.file,
      anonVma: vma.anonVma,
      prev: vma,
      next: mm.vmas.find(end),
    });
    if (merged === null) refuse('ENOMEM', 'mremap', 'the mapping cannot grow');
    return { address, locked: (merged.flags & VM_LOCKED) !== 0 };
  }
  if ((flags & MREMAP_MAYMOVE) === 0) refuse('ENOMEM', 'mremap', 'no room to grow, and it may not move');
  const target = getUnmappedArea(
    mm,
    {
      address: 0,
      length: newLength,
      fixed: false,
      anonymousPrivate: vma.file === null && (vma.flags & VM_MAYSHARE) === 0,
      hugetlb: isHugetlb(vma),
    },
    'mremap',
  );
  return yield* moveVma(vma, address, oldLength, newLength, target, flags);
}

/** What of mremap() comes before all else: of hugetlb memory, lengths are rounded up to huge pages, and nothing grows. */
function hugetlbRequest(mm: Mm, request: MremapArguments): MremapArguments {
  const vma = mm.vmas.lookup(request.address);
  if (vma === null) refuse('EFAULT', 'mremap', 'nothing is mapped there');
  if (!isHugetlb(vma)) return request;
  const oldLength = alignUp(request.oldLength, PMD_SIZE);
  const newLength = alignUp(request.newLength, PMD_SIZE);
  if (request.address % PMD_SIZE !== 0 || request.newAddress % PMD_SIZE !== 0)
    refuse('EINVAL', 'mremap', 'inside a huge page');
  if (newLength > oldLength) refuse('EINVAL', 'mremap', 'hugetlb memory does not grow');
  return { ...request, oldLength, newLength };
}

/** mremap_to: MREMAP_FIXED and MREMAP_DONTUNMAP. What is at the destination goes before anything is checked further. */
function* mremapTo(mm: Mm, request: MremapArguments): Routine<Outcome> {
  const { address, newLength, flags, newAddress } = request;
  let { oldLength } = request;
  if (newAddress % PAGE !== 0) refuse('EINVAL', 'mremap', 'the new address is not a multiple of the page size');
  if (newLength > TASK_SIZE || newAddress > TASK_SIZE - newLength)
    refuse('EINVAL', 'mremap', 'beyond the address space');
  if (address + oldLength > newAddress && newAddress + newLength > address)
    refuse('EINVAL', 'mremap', 'old and new overlap');
  if (mm.vmas.size + 2 >= MAX_MAP_COUNT - 3) refuse('ENOMEM', 'mremap', 'too many mappings');
  const fixed = (flags & MREMAP_FIXED) !== 0;
  if (fixed) yield* unmapLocked(mm, newAddress, newLength, 'mremap');
  if (oldLength > newLength) {
    yield* unmapLocked(mm, address + newLength, oldLength - newLength, 'mremap');
    oldLength = newLength;
  }
  const vma = vmaToResize(mm, address, oldLength, flags);
  const target = getUnmappedArea(
    mm,
    {
      address: newAddress,
      length: newLength,
      fixed,
      anonymousPrivate: vma.file === null && (vma.flags & VM_MAYSHARE) === 0,
      hugetlb: isHugetlb(vma),
    },
    'mremap',
  );
  return yield* moveVma(vma, address, oldLength, newLength, target, flags);
}

/** vma_to_resize */
function vmaToResize(mm: Mm, address: number, oldLength: number, flags: number): Vma {
  const vma = mm.vmas.lookup(address);
  if (vma === null) refuse('EFAULT', 'mremap', 'nothing is mapped there');
  if (oldLength === 0 && (vma.flags & (VM_SHARED | VM_MAYSHARE)) === 0) {
    refuse('EINVAL', 'mremap', 'private memory cannot be duplicated');
  }
  if (isHugetlb(vma) && (flags & MREMAP_DONTUNMAP) !== 0)
    refuse('EINVAL', 'mremap', 'hugetlb memory cannot be left behind');
  if (oldLength > vma.end - address) refuse('EFAULT', 'mremap', 'across the end of a mapping');
  return vma;
}

/** vma_expandable */
function expandable(mm: Mm, vma: Vma, delta: number): boolean {
  const end = vma.end + delta;
  return end <= TASK_SIZE && mm.vmas.intersection(vma.end, end) === null;
}

/** move_vma */
function* moveVma(
  source: Vma,
  address: number,
  oldLength: number,
  newLength: number,
  target: number,
  flags: number,
): Routine<Outcome> {
  const { mm } = source;
  const vmFlags = source.flags;
  const keep = (flags & MREMAP_DONTUNMAP) !== 0;
  if (mm.vmas.size >= MAX_MAP_COUNT - 3) refuse('ENOMEM', 'mremap', 'too many mappings');
  let vma = source;
  if (keep && (vmFlags & VM_LOCKED) !== 0 && mm.profile.keptSourceIsSplit) {
    if (vma.start !== address) vma = yield* splitVma(vma, address, 'mremap');
    if (vma.end !== address + oldLength) yield* splitVma(vma, address + oldLength, 'mremap');
  }
  vma.startWrite();
  const start = vma.start;
  const moved = yield* copyVma(vma, target, newLength, vma.pageIndex(address), keep);
  // Untouched memory that lies next to its new place may have been merged into the copy.
  if (moved.start <= start && start < moved.end) vma = moved;
  // clear_vma_resv_huge_pages: the reservation has moved along.
  vma.reservation = null;
  yield* movePageTables(vma, address, moved, target, oldLength);

  if (keep) {
    vma.flags &= ~VM_LOCKED;
    if (vma !== moved && vma.start === address && vma.end === address + oldLength) {
      unlinkAnonVmas(vma);
      if (vma.anonymous && mm.profile.keptSourceStartsAnew) vma.pgoff = vma.start / PAGE;
    }
    return { address: target, locked: false };
  }
  yield* unmapMoved(mm, vma, address, oldLength);
  return { address: target, locked: (vmFlags & VM_LOCKED) !== 0 };
}

/** The end of move_vma: the old range goes, without VM_ACCOUNT, as its charge moved along; what is left over gets it back. */
function* unmapMoved(mm: Mm, vma: Vma, address: number, length: number): Routine<void> {
  const account = vma.flags & VM_ACCOUNT;
  const below = vma.start < address;
  const above = vma.end > address + length;
  vma.flags &= ~VM_ACCOUNT;
  try {
    yield* unmapLocked(mm, address, length, 'mremap');
  } catch (error) {
    // Nothing was moved (length 0), or cutting it out would be one mapping too many: it stays, and uncharged.
    if (!(error instanceof HmmError)) throw error;
    return;
  }
  if (below) mm.vmas.before(address)!.flags |= account;
  if (above) mm.vmas.find(address + length)!.flags |= account;
}

/** copy_vma: the VMA at the new address, merged with what is there if it fits. */
function* copyVma(vma: Vma, address: number, length: number, pgoff: number, keep: boolean): Routine<Vma> {
  const { mm } = vma;
  // Untouched memory takes the page offset of its new place, to merge there. The source itself can then fit, too.
  const untouched = vma.anonymous && vma.anonVma === null;
  const newPgoff = untouched ? address / PAGE : pgoff;
  const end = address + length;
  let prev = mm.vmas.before(address);
  let next = mm.vmas.find(end);
  let mayMerge = true;
  if (untouched && keep) {
    const { keptSourceMerges } = mm.profile;
    if (keptSourceMerges === 'elsewhere') {
      if (prev === vma) prev = null;
      if (next === vma) next = null;
    } else if (keptSourceMerges === 'never' && (address === vma.end || vma.start === end)) {
      mayMerge = false;
    }
  }
  if (mayMerge) {
    const merged = yield* mergeNew(mm, {
      start: address,
      end,
      pgoff: newPgoff,
      flags: vma.flags,
      file: vma.file,
      anonVma: vma.anonVma,
      prev,
      next,
    });
    if (merged !== null) return merged;
  }
  const copy = vma.duplicate();
  copy.start = address;
  copy.end = end;
  copy.pgoff = newPgoff;
  inheritAnonVmas(copy, vma);
  mm.vmas.insert(copy);
  copy.file?.link(copy);
  return copy;
}
