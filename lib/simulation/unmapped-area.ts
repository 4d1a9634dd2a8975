/** Where a new mapping goes: __get_unmapped_area (mm/mmap.c) and arch_get_unmapped_area_topdown (arch/x86/kernel/sys_x86_64.c). */
import { MMAP_BASE, MMAP_LEGACY_BASE, MMAP_MIN_ADDR, PAGE, PMD_SIZE, TASK_SIZE, alignDown, alignUp } from './layout.js';
import { refuse } from './mm.js';
import type { Mm } from './mm.js';

export interface AreaRequest {
  /** With `fixed` the address, else a hint; 0 is no hint. */
  readonly address: number;
  /** Bytes, a multiple of the page size. */
  readonly length: number;
  readonly fixed: boolean;
  /** Memory of no file, and not shared. */
  readonly anonymousPrivate: boolean;
  readonly hugetlb: boolean;
}

/** @throws HmmError ENOMEM it does not fit, EINVAL a fixed address that is not a page's */
export function getUnmappedArea(mm: Mm, request: AreaRequest, syscall: string): number {
  const { length } = request;
  if (length > TASK_SIZE) refuse('ENOMEM', syscall, 'longer than the address space');
  if (request.hugetlb) return hugetlbArea(mm, request, syscall);
  const huge =
    mm.profile.alignsHugeMappings && request.anonymousPrivate && request.address === 0 && length % PMD_SIZE === 0;
  const address = (huge ? alignedArea(mm, request) : null) ?? findArea(mm, request);
  if (address === null) refuse('ENOMEM', syscall, 'no gap is long enough');
  if (address > TASK_SIZE - length) refuse('ENOMEM', syscall, 'beyond the end of the address space');
  if (address % PAGE !== 0) refuse('EINVAL', syscall);
  return address;
}

/** hugetlb_get_unmapped_area: everything is a multiple of 2 MiB. */
function hugetlbArea(mm: Mm, request: AreaRequest, syscall: string): number {
  const { length, fixed } = request;
  if (length % PMD_SIZE !== 0 || (fixed && request.address % PMD_SIZE !== 0))
    refuse('EINVAL', syscall, 'not of huge pages');
  const address = fixed ? request.address : hintedHugetlbArea(mm, request);
  if (address === null) refuse('ENOMEM', syscall, 'no gap is long enough');
  if (address > TASK_SIZE - length) refuse('ENOMEM', syscall, 'beyond the end of the address space');
  return address;
}

function hintedHugetlbArea(mm: Mm, { address, length }: AreaRequest): number | null {
  const hint = alignDown(address, PMD_SIZE);
  if (hint !== 0 && TASK_SIZE - length >= hint && mm.vmas.intersection(hint, hint + length) === null) return hint;
  const room = length + PMD_SIZE - PAGE;
  const found = highestGap(mm, room);
  if (found !== null) return alignDown(found + room - length, PMD_SIZE);
  const low = lowestGap(mm, room);
  return low === null ? null : alignUp(low, PMD_SIZE);
}

/** __thp_get_unmapped_area: room for 2 MiB more is looked for, and the aligned address in it taken. */
function alignedArea(mm: Mm, request: AreaRequest): number | null {
  if (request.fixed) return null;
  const found = findArea(mm, { ...request, length: request.length + PMD_SIZE });
  if (found === null) return null;
  const over = found % PMD_SIZE;
  return found + PMD_SIZE - over;
}

function findArea(mm: Mm, request: AreaRequest): number | null {
  const { length } = request;
  if (request.fixed) return request.address;
  if (length > TASK_SIZE) return null;
  const hint = alignDown(request.address, PAGE);
  if (hint !== 0 && TASK_SIZE - length >= hint && mm.vmas.intersection(hint, hint + length) === null) return hint;
  return highestGap(mm, length) ?? lowestGap(mm, length);
}

/** unmapped_area_topdown */
function highestGap(mm: Mm, length: number): number | null {
  let top = MMAP_BASE;
  for (;;) {
    const start = top - length;
    if (start < MMAP_MIN_ADDR) return null;
    const below = lastBelow(mm, top);
    if (below === null || below.end <= start) return start;
    top = below.start;
  }
}

/** unmapped_area, of the fallback when nothing fits below mmap_base. */
function lowestGap(mm: Mm, length: number): number | null {
  let start = MMAP_LEGACY_BASE;
  for (;;) {
    if (start > TASK_SIZE - length) return null;
    const blocking = mm.vmas.intersection(start, start + length);
    if (blocking === null) return start;
    start = blocking.end;
  }
}

/** The VMA that reaches highest below `address`: the one that contains address - 1, or the one below that. */
function lastBelow(mm: Mm, address: number): { start: number; end: number } | null {
  const at = mm.vmas.lookup(address - 1);
  return at ?? mm.vmas.before(address);
}
