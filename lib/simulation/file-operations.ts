/** ftruncate(2) and fallocate(FALLOC_FL_PUNCH_HOLE) of a tmpfs file, as the processes that map it see them (mm/shmem.c, mm/memory.c). */
import { PAGE, alignDown, pageAlign } from './layout.js';
import { refuse } from './mm.js';
import { unmapPageRange } from './zap.js';
import type { MemoryFile } from './file.js';
import type { Routine } from './engine/engine.js';
import type { Vma } from './vma.js';

/** shmem_setattr: on shrinking the mappings are unmapped before and after the pages go, private copies included. */
export function* truncate(file: MemoryFile, length: number): Routine<undefined> {
  if (!file.open) refuse('EBADF', 'ftruncate', 'no open file');
  const old = file.length;
  file.length = length;
  // Growing changes no page: what a mapping stored behind the old end, in its last page, comes into view.
  if (length > old) return undefined;
  const hole = pageAlign(length);
  if (old > hole) yield* unmapMappingRange(file, hole, Infinity, true);
  file.removePages(length, Infinity);
  if (old > hole) yield* unmapMappingRange(file, hole, Infinity, true);
  return undefined;
}

/** vfs_fallocate and shmem_fallocate. Private copies survive. */
export function* punchHole(
  file: MemoryFile,
  offset: number,
  length: number,
  syscall = 'fallocate',
): Routine<undefined> {
  if (syscall === 'fallocate' && !file.open) refuse('EBADF', 'fallocate', 'no open file');
  if (length === 0) refuse('EINVAL', syscall, 'the length is 0');
  const start = pageAlign(offset);
  const end = alignDown(offset + length, PAGE);
  // A hole that ends inside the first page has its last whole page at -1, which shmem_fallocate compares unsigned: it then
  // unmaps everything from the first whole page on. No page is lost by that, but every mapping is told.
  if (end > start || end === 0) yield* unmapMappingRange(file, start, end === 0 ? Infinity : end, false);
  file.removePages(offset, offset + length);
  return undefined;
}

/** unmap_mapping_range: the part of every VMA of every process that maps [from, to) of the file, one CLEAR each. */
function* unmapMappingRange(file: MemoryFile, from: number, to: number, evenCows: boolean): Routine<void> {
  const first = from / PAGE;
  const end = to / PAGE;
  for (const vma of file.mappingsOf(first, end - 1)) {
    const part = mappedPart(file, vma, first, end);
    if (part === null) continue;
    const range = yield* vma.mm.invalidateStart('clear', part.start, part.end);
    // The kernel holds i_mmap_rwsem over callbacks, so that the VMA stays; here it may be gone after them, and is left alone.
    const now = mappedPart(file, vma, first, end);
    if (now !== null) unmapPageRange(vma.mm, now.start, now.end, evenCows);
    yield* vma.mm.invalidateEnd(range);
  }
}

/** The addresses at which the VMA maps the pages [first, end) of the file, or null if it does not, or not any more. */
function mappedPart(file: MemoryFile, vma: Vma, first: number, end: number): { start: number; end: number } | null {
  if (!file.isMappedBy(vma)) return null;
  const start = vma.start + (Math.max(first, vma.pgoff) - vma.pgoff) * PAGE;
  const stop = vma.start + (Math.min(end, vma.pgoff + vma.pages) - vma.pgoff) * PAGE;
  return start < stop ? { start, end: stop } : null;
}
