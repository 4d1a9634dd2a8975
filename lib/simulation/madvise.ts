/** madvise(2): do_madvise, madvise_walk_vmas and madvise_vma_behavior (mm/madvise.c). */
import {
  MADV_COLD,
  MADV_COLLAPSE,
  MADV_DODUMP,
  MADV_DOFORK,
  MADV_DONTDUMP,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_HUGEPAGE,
  MADV_KEEPONFORK,
  MADV_MERGEABLE,
  MADV_NOHUGEPAGE,
  MADV_NORMAL,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_RANDOM,
  MADV_REMOVE,
  MADV_SEQUENTIAL,
  MADV_UNMERGEABLE,
  MADV_WILLNEED,
  MADV_WIPEONFORK,
} from '../constants.js';
import { HmmError } from '../errors.js';
import { HugetlbFile } from './hugetlb-pool.js';
import { PAGE, PMD_SIZE, alignDown, pageAlign } from './layout.js';
import {
  VM_DONTCOPY,
  VM_DONTDUMP,
  VM_HUGEPAGE,
  VM_LOCKED,
  VM_MAYWRITE,
  VM_NOHUGEPAGE,
  VM_RAND_READ,
  VM_SEQ_READ,
  VM_SHARED,
  VM_WIPEONFORK,
} from './layout.js';
import { deactivate, dontNeed, freePages } from './madvise-pages.js';
import { hugetlbDontNeed, hugetlbPunchHole, isHugetlb } from './hugetlb.js';
import { madviseCollapse } from './collapse.js';
import { madvisePopulate } from './populate.js';
import { modifyVma } from './vma-modify.js';
import { notModelled, refuse } from './mm.js';
import { pageOut } from './reclaim.js';
import { punchHole } from './file-operations.js';
import type { Mm } from './mm.js';
import type { Routine } from './engine/engine.js';
import type { Vma } from './vma.js';

const MADV_HWPOISON = 100;
const MADV_SOFT_OFFLINE = 101;

/** Advice that works on pages, under mmap_lock held for reading. */
const PAGE_ADVICE: ReadonlySet<number> = new Set([
  MADV_REMOVE,
  MADV_WILLNEED,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_COLD,
  MADV_PAGEOUT,
  MADV_FREE,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_COLLAPSE,
]);

/** Advice that changes the flags of VMAs: what becomes of them. */
const FLAG_ADVICE: ReadonlyMap<number, { readonly set: number; readonly clear: number }> = new Map([
  [MADV_NORMAL, { set: 0, clear: VM_RAND_READ | VM_SEQ_READ }],
  [MADV_SEQUENTIAL, { set: VM_SEQ_READ, clear: VM_RAND_READ }],
  [MADV_RANDOM, { set: VM_RAND_READ, clear: VM_SEQ_READ }],
  [MADV_DONTFORK, { set: VM_DONTCOPY, clear: 0 }],
  [MADV_DOFORK, { set: 0, clear: VM_DONTCOPY }],
  [MADV_WIPEONFORK, { set: VM_WIPEONFORK, clear: 0 }],
  [MADV_KEEPONFORK, { set: 0, clear: VM_WIPEONFORK }],
  [MADV_DONTDUMP, { set: VM_DONTDUMP, clear: 0 }],
  [MADV_DODUMP, { set: 0, clear: VM_DONTDUMP }],
  [MADV_HUGEPAGE, { set: VM_HUGEPAGE, clear: VM_NOHUGEPAGE }],
  [MADV_NOHUGEPAGE, { set: VM_NOHUGEPAGE, clear: VM_HUGEPAGE }],
]);

const UNMODELLED: ReadonlyMap<number, string> = new Map([
  [MADV_MERGEABLE, 'KSM (MADV_MERGEABLE)'],
  [MADV_UNMERGEABLE, 'KSM (MADV_UNMERGEABLE)'],
  [MADV_HWPOISON, 'memory failure (MADV_HWPOISON)'],
  [MADV_SOFT_OFFLINE, 'memory failure (MADV_SOFT_OFFLINE)'],
]);

export function* madvise(mm: Mm, start: number, length: number, advice: number): Routine<HmmError | undefined> {
  const unmodelled = UNMODELLED.get(advice);
  if (unmodelled !== undefined) notModelled('madvise', unmodelled);
  const onPages = PAGE_ADVICE.has(advice);
  if (!onPages && !FLAG_ADVICE.has(advice)) refuse('EINVAL', 'madvise', 'an unknown advice');
  if (start % PAGE !== 0) refuse('EINVAL', 'madvise', 'the address is not a multiple of the page size');
  const end = start + pageAlign(length);
  if (end === start) return undefined;

  if (onPages) yield* mm.lock.read();
  else yield* mm.lock.write();
  try {
    const populates = advice === MADV_POPULATE_READ || advice === MADV_POPULATE_WRITE;
    const whole =
      populates && !mm.profile.populateCrossesHoles
        ? yield* populateToHole(mm, start, end, advice)
        : yield* walkVmas(mm, start, end, advice);
    return whole ? undefined : new HmmError('ENOMEM', 'madvise', 'a hole');
  } finally {
    if (onPages) mm.lock.unlockRead();
    else mm.lock.unlockWrite();
  }
}

/** madvise_walk_vmas: a hole is skipped, and reported when all VMAs have been done; an error of a VMA ends it at once. False: there is a hole. */
function* walkVmas(mm: Mm, start: number, end: number, advice: number): Routine<boolean> {
  let hole = false;
  let at = start;
  let vma = mm.vmas.find(at);
  let prev = vma !== null && at > vma.start ? vma : mm.vmas.before(at);
  for (;;) {
    if (vma === null) return false;
    if (at < vma.start) {
      hole = true;
      at = vma.start;
      if (at >= end) break;
    }
    const partEnd: number = Math.min(vma.end, end);
    prev = yield* visit(vma, prev, at, partEnd, advice);
    at = Math.max(partEnd, prev?.end ?? 0);
    if (at >= end) break;
    vma = mm.vmas.find(prev?.end ?? at);
  }
  return !hole;
}

/** madvise_populate of 6.12: page by page, whatever VMA it is in, up to the first hole. False: there is one. */
function* populateToHole(mm: Mm, start: number, end: number, advice: number): Routine<boolean> {
  for (let at = start; at < end;) {
    const vma = mm.vmas.lookup(at);
    if (vma === null) return false;
    const partEnd = Math.min(vma.end, end);
    yield* madvisePopulate(vma, at, partEnd, advice === MADV_POPULATE_WRITE);
    at = partEnd;
  }
  return true;
}

/** madvise_vma_behavior. Returns the VMA to go on after, or null if mmap_lock was dropped meanwhile. */
function* visit(vma: Vma, prev: Vma | null, start: number, end: number, advice: number): Routine<Vma | null> {
  switch (advice) {
    case MADV_DONTNEED:
    case MADV_DONTNEED_LOCKED:
      if (isHugetlb(vma)) {
        yield* dontNeedHugetlb(vma, start, end);
        return vma;
      }
      if (advice === MADV_DONTNEED && (vma.flags & VM_LOCKED) !== 0) refuse('EINVAL', 'madvise', 'locked');
      yield* dontNeed(vma, start, end);
      return vma;
    case MADV_FREE:
      if ((vma.flags & VM_LOCKED) !== 0) refuse('EINVAL', 'madvise', 'locked');
      if (!vma.anonymous) refuse('EINVAL', 'madvise', 'not anonymous private memory');
      yield* freePages(vma, start, end);
      return vma;
    case MADV_COLD:
      if (isHugetlb(vma)) refuse('EINVAL', 'madvise', 'huge pages of the pool do not age');
      if ((vma.flags & VM_LOCKED) !== 0) refuse('EINVAL', 'madvise', 'locked');
      yield* deactivate(vma, start, end);
      return vma;
    case MADV_PAGEOUT:
      if (isHugetlb(vma)) refuse('EINVAL', 'madvise', 'huge pages of the pool are not reclaimed');
      if ((vma.flags & VM_LOCKED) !== 0) refuse('EINVAL', 'madvise', 'locked');
      yield* pageOut(vma, start, end);
      return vma;
    case MADV_POPULATE_READ:
    case MADV_POPULATE_WRITE:
      yield* madvisePopulate(vma, start, end, advice === MADV_POPULATE_WRITE);
      return vma;
    case MADV_COLLAPSE:
      yield* madviseCollapse(vma, start, end);
      // mmap_lock was given up meanwhile.
      return null;
    case MADV_WILLNEED:
      // Without swap the kernel answers EBADF, with it 0; which of the two is a matter of its configuration.
      if (vma.anonymous) notModelled('madvise', 'swap (MADV_WILLNEED of anonymous memory)');
      return vma;
    case MADV_REMOVE:
      return yield* removePages(vma, start, end);
    default:
      return yield* changeFlags(vma, prev, start, end, advice);
  }
}

/** madvise_dontneed_free_valid_vma, of hugetlb memory: a huge page that is not wholly meant stays. */
function* dontNeedHugetlb(vma: Vma, start: number, end: number): Routine<void> {
  if (start % PMD_SIZE !== 0) refuse('EINVAL', 'madvise', 'inside a huge page');
  const last = alignDown(end, PMD_SIZE);
  if (last > start) yield* hugetlbDontNeed(vma, start, last);
}

/** madvise_remove: mmap_lock is dropped around the file operation. */
function* removePages(vma: Vma, start: number, end: number): Routine<null> {
  const { mm, file } = vma;
  if ((vma.flags & VM_LOCKED) !== 0) refuse('EINVAL', 'madvise', 'locked');
  if (file === null) refuse('EINVAL', 'madvise', 'not the memory of a file');
  if ((vma.flags & (VM_SHARED | VM_MAYWRITE)) !== (VM_SHARED | VM_MAYWRITE)) refuse('EACCES', 'madvise', 'not shared');
  const offset = vma.pageIndex(start) * PAGE;
  mm.lock.unlockRead();
  try {
    if (file instanceof HugetlbFile) yield* hugetlbPunchHole(file, offset, end - start);
    else yield* punchHole(file, offset, end - start, 'madvise');
  } finally {
    yield* mm.lock.read();
  }
  return null;
}

/** madvise_update_vma, and the errors that madvise has of its own. */
function* changeFlags(vma: Vma, prev: Vma | null, start: number, end: number, advice: number): Routine<Vma> {
  const { set, clear } = FLAG_ADVICE.get(advice)!;
  if (advice === MADV_WIPEONFORK && (vma.file !== null || vma.shared)) {
    refuse('EINVAL', 'madvise', 'not anonymous private memory');
  }
  const flags = (vma.flags & ~clear) | set;
  if (flags === vma.flags) return vma;
  try {
    const changed = yield* modifyVma(vma, prev, start, end, flags, 'madvise');
    changed.flags = flags;
    return changed;
  } catch (error) {
    // "Kernel resources, such as slab, are temporarily unavailable": the limit of mappings comes out as EAGAIN too.
    if (error instanceof HmmError && error.code === 'ENOMEM') refuse('EAGAIN', 'madvise', 'too many mappings');
    throw error;
  }
}
