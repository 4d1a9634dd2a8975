/**
 * Splitting and merging VMAs (mm/vma.c; 6.1 mm/mmap.c). What merges decides how many events later operations send, and
 * with which ranges, so the conditions are the kernel's, the odd ones included. mmap_lock is held for writing.
 */
import { MAX_MAP_COUNT, PAGE, PMD_SIZE } from './layout.js';
import { cloneAnonVmas, reorderAnonVmas, unlinkAnonVmas } from './anon-vma.js';
import { isHugetlb } from './hugetlb.js';
import { refuse } from './mm.js';
import { splitHugePmdIfNeeded } from './straddle.js';
import type { AnonVma } from './anon-vma.js';
import type { MemoryFile } from './file.js';
import type { Mm } from './mm.js';
import type { Routine } from './engine/engine.js';
import type { Vma } from './vma.js';

/** struct vma_merge_struct: a range that is to have these properties, and its neighbours. */
export interface MergeRequest {
  readonly start: number;
  readonly end: number;
  readonly pgoff: number;
  readonly flags: number;
  readonly file: MemoryFile | null;
  readonly anonVma: AnonVma | null;
  readonly prev: Vma | null;
  readonly next: Vma | null;
}

/**
 * __split_vma: cuts the VMA at `address`; it keeps the lower part. Does not look at the limit of mappings.
 * @returns the new VMA, of the upper part
 */
export function* splitVmaUnchecked(vma: Vma, address: number, syscall: string): Routine<Vma> {
  // hugetlb_vm_op_split
  if (isHugetlb(vma) && address % PMD_SIZE !== 0) refuse('EINVAL', syscall, 'inside a huge page');
  vma.startWrite();
  yield* splitHugePmdIfNeeded(vma, address);
  const upper = vma.duplicate();
  upper.startWrite();
  upper.start = address;
  upper.pgoff += (address - vma.start) / PAGE;
  inheritAnonVmas(upper, vma);
  upper.file?.link(upper);
  relinked(vma, () => {
    vma.end = address;
  });
  vma.mm.vmas.insert(upper);
  return upper;
}

/** split_vma */
export function* splitVma(vma: Vma, address: number, syscall: string): Routine<Vma> {
  if (vma.mm.vmas.size >= MAX_MAP_COUNT) refuse('ENOMEM', syscall, 'too many mappings');
  return yield* splitVmaUnchecked(vma, address, syscall);
}

/**
 * vma_modify: gives [start, end) of the VMA `flags`, by merging it with a neighbour that has them, else by cutting it
 * out. The caller sets the flags of what comes back.
 * @param prev the VMA below `start`, or `vma` itself if `start` lies inside it
 */
export function* modifyVma(
  vma: Vma,
  prev: Vma | null,
  start: number,
  end: number,
  flags: number,
  syscall: string,
): Routine<Vma> {
  const merged = yield* mergeExisting(vma, prev, start, end, flags);
  if (merged !== null) return merged;
  let middle = vma;
  if (vma.start < start) middle = yield* splitVma(vma, start, syscall);
  if (middle.end > end) yield* splitVma(middle, end, syscall);
  return middle;
}

/** vma_merge_new_range (6.12), vma_merge (6.1): a range that no VMA covers yet is added to its neighbours, if they fit. */
export function* mergeNew(mm: Mm, request: MergeRequest): Routine<Vma | null> {
  const { prev, next, start, end } = request;
  const left = prev !== null && prev.end === start && fitsAfter(prev, request);
  let right = next !== null && next.start === end && fitsBefore(next, request);
  if (left && right) right = mergeableAnon(prev.anonVma, next!.anonVma, null);
  return yield* expand(mm, request, left ? prev : null, right ? next : null);
}

/** The merging of 6.1's mmap(), which judges the lower neighbour against the upper one's anon_vma (mm/mmap.c, __mmap_region). */
export function* mergeMapped61(mm: Mm, request: MergeRequest): Routine<Vma | null> {
  const { prev, next, start, end } = request;
  const right = next !== null && next.start === end && fitsBefore(next, request);
  const judged = right ? { ...request, anonVma: next.anonVma } : request;
  const left = prev !== null && prev.end === start && fitsAfter(prev, judged);
  return yield* expand(mm, request, left ? prev : null, right ? next : null);
}

/** vma_expand */
function* expand(mm: Mm, request: MergeRequest, left: Vma | null, right: Vma | null): Routine<Vma | null> {
  left?.startWrite();
  right?.startWrite();
  if (left !== null) {
    const end = right === null ? request.end : right.end;
    if (right !== null) adoptAnonVma(left, right);
    yield* adjustBoundaries(left, left.start, end);
    if (right !== null) mm.vmas.remove(right);
    relinked(left, () => {
      left.end = end;
    });
    if (right !== null) discard(right);
    return left;
  }
  if (right === null) return null;
  yield* adjustBoundaries(right, request.start, right.end);
  relinked(right, () => {
    right.pgoff -= (request.end - request.start) / PAGE;
    right.start = request.start;
  });
  return right;
}

/** vma_merge_existing_range, vma_merge cases 1 to 8 as mprotect and madvise meet them. */
function* mergeExisting(vma: Vma, prev: Vma | null, start: number, end: number, flags: number): Routine<Vma | null> {
  const { mm } = vma;
  const atStart = start === vma.start;
  const atEnd = end === vma.end;
  if (!atStart && !atEnd) return null;
  const next = atEnd ? mm.vmas.next(vma) : null;
  const request: MergeRequest = {
    start,
    end,
    pgoff: vma.pageIndex(start),
    flags,
    file: vma.file,
    anonVma: vma.anonVma,
    prev,
    next,
  };
  const left = atStart && prev !== null && prev.end === start && fitsAfter(prev, request);
  let right = next !== null && next.start === end && fitsBefore(next, request);
  if (left && right) right = mergeableAnon(prev.anonVma, next!.anonVma, null);
  const whole = atStart && atEnd;
  if (left || right) vma.startWrite();
  if (left) prev.startWrite();
  if (right) next!.startWrite();

  if (left && right) {
    adoptAnonVma(prev, next!.anonVma !== null ? next! : vma);
    yield* adjustBoundaries(prev, prev.start, next!.end);
    mm.vmas.remove(vma);
    mm.vmas.remove(next!);
    const newEnd = next!.end;
    relinked(prev, () => {
      prev.end = newEnd;
    });
    discard(vma);
    discard(next!);
    return prev;
  }
  if (left) {
    adoptAnonVma(prev, vma);
    yield* adjustBoundaries(prev, prev.start, end);
    if (whole) {
      mm.vmas.remove(vma);
      relinked(prev, () => {
        prev.end = end;
      });
      discard(vma);
    } else {
      yield* splitHugePmdIfNeeded(vma, end);
      moveBoundary(prev, vma, end);
    }
    return prev;
  }
  if (right) {
    adoptAnonVma(next!, vma);
    if (whole) {
      yield* adjustBoundaries(next!, start, next!.end);
      mm.vmas.remove(vma);
      relinked(next!, () => {
        next!.pgoff -= (end - start) / PAGE;
        next!.start = start;
      });
      discard(vma);
    } else {
      yield* adjustBoundaries(vma, vma.start, start);
      moveBoundary(vma, next!, start);
    }
    return next;
  }
  return null;
}

/** vma_adjust_trans_huge: the lower boundary first. An end that moves outwards is in no block of the VMA. */
function* adjustBoundaries(vma: Vma, start: number, end: number): Routine<void> {
  yield* splitHugePmdIfNeeded(vma, start);
  yield* splitHugePmdIfNeeded(vma, end);
}

/** The boundary between two adjacent VMAs moves to `address`, up or down. */
function moveBoundary(lower: Vma, upper: Vma, address: number): void {
  lower.file?.unlink(lower);
  upper.file?.unlink(upper);
  reorderAnonVmas(lower, () => {
    reorderAnonVmas(upper, () => {
      upper.pgoff += (address - upper.start) / PAGE;
      upper.start = address;
      lower.end = address;
    });
  });
  upper.file?.link(upper);
  lower.file?.link(lower);
}

/** vma_prepare and vma_complete around a change of extents: i_mmap and the trees of anon_vmas are ordered by pgoff. */
function relinked(vma: Vma, change: () => void): void {
  vma.file?.unlink(vma);
  reorderAnonVmas(vma, change);
  vma.file?.link(vma);
}

/** What vma_complete does with a VMA that has been merged away. */
function discard(vma: Vma): void {
  vma.file?.unlink(vma);
  if (vma.anonVma !== null) unlinkAnonVmas(vma);
}

/** A copy of a VMA in the same mm belongs to the same anon_vma. */
export function inheritAnonVmas(target: Vma, source: Vma): void {
  target.anonVma = source.anonVma;
  cloneAnonVmas(target, source);
}

/** dup_anon_vma: a VMA that takes over anonymous pages must be findable from them. */
function adoptAnonVma(target: Vma, source: Vma): void {
  if (source.anonVma === null || target.anonVma !== null) return;
  target.anonVma = source.anonVma;
  cloneAnonVmas(target, source);
}

function fitsAfter(prev: Vma, request: MergeRequest): boolean {
  return (
    sameProperties(prev, request) &&
    mergeableAnon(request.anonVma, prev.anonVma, prev) &&
    prev.pgoff + prev.pages === request.pgoff
  );
}

function fitsBefore(next: Vma, request: MergeRequest): boolean {
  return (
    sameProperties(next, request) &&
    mergeableAnon(request.anonVma, next.anonVma, next) &&
    next.pgoff === request.pgoff + (request.end - request.start) / PAGE
  );
}

/** is_mergeable_vma. What has VM_DONTEXPAND, as hugetlb mappings have, is never merged. */
function sameProperties(vma: Vma, request: MergeRequest): boolean {
  return !isHugetlb(vma) && vma.flags === request.flags && vma.file === request.file;
}

/**
 * is_mergeable_anon_vma. A chain of one entry is asked for, so that VMAs inherited by fork stay apart; an empty chain is
 * not one either, which makes an untouched VMA refuse a touched one unless both have none.
 */
function mergeableAnon(one: AnonVma | null, other: AnonVma | null, vma: Vma | null): boolean {
  if ((one === null || other === null) && (vma === null || vma.chain.length === 1)) return true;
  return one === other;
}
