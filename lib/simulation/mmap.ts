/** mmap(2): do_mmap and __mmap_region (mm/mmap.c). */
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_HUGETLB,
  MAP_LOCKED,
  MAP_NORESERVE,
  MAP_POPULATE,
} from '../constants.js';
import { MAP_PRIVATE, MAP_SHARED, MAP_SHARED_VALIDATE, PROT_EXEC, PROT_READ, PROT_WRITE } from '../constants.js';
import { HmmError } from '../errors.js';
import { MAX_MAP_COUNT, MMAP_MIN_ADDR, PAGE, PMD_SIZE, PUD_SIZE, alignDown, alignUp, pageAlign } from './layout.js';
import {
  VM_ACCOUNT,
  VM_EXEC,
  VM_HUGETLB,
  VM_LOCKED,
  VM_MAYEXEC,
  VM_MAYREAD,
  VM_MAYSHARE,
  VM_MAYWRITE,
  VM_NOHUGEPAGE,
  VM_NORESERVE,
  VM_PKEY_EXEC_ONLY,
  VM_READ,
  VM_SHARED,
  VM_WRITE,
} from './layout.js';
import { MemoryFile } from './file.js';
import { Vma } from './vma.js';
import { getUnmappedArea } from './unmapped-area.js';
import { mergeMapped61, mergeNew } from './vma-modify.js';
import { reserveHugetlb } from './hugetlb.js';
import { mmPopulate } from './populate.js';
import { notModelled, refuse } from './mm.js';
import { unmapLocked } from './munmap.js';
import type { Mm } from './mm.js';
import type { Profile } from './profile.js';
import type { Routine } from './engine/engine.js';

export interface MmapArguments {
  readonly address: number;
  readonly length: number;
  readonly protection: number;
  readonly flags: number;
  readonly file: MemoryFile | null;
  readonly offset: number;
}

const MAP_TYPE = 0x0f;
const MAP_DROPPABLE = 0x08;
const MAP_32BIT = 0x40;
const MAP_ABOVE4G = 0x80;
const MAP_GROWSDOWN = 0x0100;
const MAP_NONBLOCK = 0x1_0000;
const MAP_STACK = 0x2_0000;
const MAP_HUGE_SHIFT = 26;
const MAP_HUGE_MASK = 0x3f;
const MAP_HUGE_SIZES = (21 << 26) | (30 << 26);
/** LEGACY_MAP_MASK (include/linux/mman.h): what MAP_SHARED_VALIDATE accepts from a file without flags of its own. */
const LEGACY_MAP_MASK =
  MAP_SHARED |
  MAP_PRIVATE |
  MAP_FIXED |
  MAP_ANONYMOUS |
  MAP_32BIT |
  MAP_ABOVE4G |
  MAP_GROWSDOWN |
  0x0800 | // MAP_DENYWRITE
  0x1000 | // MAP_EXECUTABLE
  MAP_LOCKED |
  MAP_NORESERVE |
  MAP_POPULATE |
  MAP_NONBLOCK |
  MAP_STACK |
  MAP_HUGETLB |
  0x400_0000 | // MAP_UNINITIALIZED
  MAP_HUGE_SIZES;

export function* mmap(mm: Mm, request: MmapArguments): Routine<number> {
  const { flags } = request;
  if (request.offset % PAGE !== 0) refuse('EINVAL', 'mmap', 'the offset is not a multiple of the page size');
  const file = (flags & MAP_ANONYMOUS) !== 0 ? null : request.file;
  if (file === null ? (flags & MAP_ANONYMOUS) === 0 : !file.open) refuse('EBADF', 'mmap', 'no open file');
  if (file !== null && (flags & MAP_HUGETLB) !== 0) refuse('EINVAL', 'mmap', 'the file has no huge pages');
  const hugetlb = (flags & MAP_HUGETLB) !== 0;
  if (hugetlb) checkHugePageSize(flags);
  const length = hugetlb ? alignUp(request.length, PMD_SIZE) : request.length;
  refuseUnmodelled(flags, mm.profile);

  yield* mm.lock.write();
  let address: number;
  try {
    address = yield* doMmap(mm, { ...request, length }, file);
  } finally {
    mm.lock.unlockWrite();
  }
  const populates = (flags & MAP_LOCKED) !== 0 || (flags & (MAP_POPULATE | MAP_NONBLOCK)) === MAP_POPULATE;
  if (populates) yield* mmPopulate(mm, address, pageAlign(length));
  return address;
}

/** hstate_sizelog: the size in the flags, or the default one. */
function checkHugePageSize(flags: number): void {
  const log = (flags >>> MAP_HUGE_SHIFT) & MAP_HUGE_MASK;
  if (log === 30) notModelled('mmap', 'huge pages of 1 GiB (MAP_HUGE_1GB)');
  if (log !== 0 && log !== 21) refuse('EINVAL', 'mmap', 'no huge page has that size');
}

function refuseUnmodelled(flags: number, profile: Profile): void {
  if ((flags & MAP_GROWSDOWN) !== 0) notModelled('mmap', 'MAP_GROWSDOWN');
  if ((flags & (MAP_32BIT | MAP_ABOVE4G)) !== 0) notModelled('mmap', 'MAP_32BIT and MAP_ABOVE4G');
  const droppable = (flags & MAP_TYPE) === MAP_DROPPABLE && (flags & MAP_ANONYMOUS) !== 0;
  if (droppable && profile.version !== '6.1') notModelled('mmap', 'MAP_DROPPABLE');
}

function* doMmap(mm: Mm, request: MmapArguments, file: MemoryFile | null): Routine<number> {
  const { flags, protection } = request;
  if (request.length === 0) refuse('EINVAL', 'mmap', 'the length is 0');
  const fixed = (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0;
  const length = pageAlign(request.length);
  if (mm.vmas.size > MAX_MAP_COUNT) refuse('ENOMEM', 'mmap', 'too many mappings');
  const address = getUnmappedArea(
    mm,
    {
      address: fixed ? request.address : roundHintToMin(request.address),
      length,
      fixed,
      anonymousPrivate: file === null && (flags & MAP_SHARED) === 0,
      hugetlb: (flags & MAP_HUGETLB) !== 0,
    },
    'mmap',
  );
  if ((flags & MAP_FIXED_NOREPLACE) !== 0 && mm.vmas.intersection(address, address + length) !== null) {
    refuse('EEXIST', 'mmap', 'something is mapped there');
  }
  let vmFlags = protectionFlags(protection) | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC;
  if ((flags & MAP_LOCKED) !== 0) vmFlags |= VM_LOCKED;
  if ((flags & MAP_STACK) !== 0 && mm.profile.stackIsNoHugePage) vmFlags |= VM_NOHUGEPAGE;
  // Memory of the hugetlb pool has a file, although nobody opened it.
  vmFlags |= file === null && (flags & MAP_HUGETLB) === 0 ? anonymousFlags(flags) : fileFlags(flags);
  if ((flags & MAP_NORESERVE) !== 0) vmFlags |= VM_NORESERVE;
  if ((flags & MAP_HUGETLB) !== 0) {
    yield* mapHugetlb(mm, address, length, vmFlags | VM_HUGETLB);
    return address;
  }
  // Of anonymous private memory pgoff is the address, so that pieces of it merge again after they were moved apart and back.
  const pgoff = file !== null ? request.offset / PAGE : (vmFlags & VM_SHARED) !== 0 ? 0 : address / PAGE;

  yield* mmapRegion(mm, file, address, length, vmFlags, pgoff);
  return address;
}

/** round_hint_to_min */
function roundHintToMin(hint: number): number {
  const rounded = alignDown(hint, PAGE);
  return rounded !== 0 && rounded < MMAP_MIN_ADDR ? MMAP_MIN_ADDR : rounded;
}

/** calc_vm_prot_bits, with execute_only_pkey() where nothing but execution is allowed. */
export function protectionFlags(protection: number): number {
  return (
    ((protection & PROT_READ) !== 0 ? VM_READ : 0) |
    ((protection & PROT_WRITE) !== 0 ? VM_WRITE : 0) |
    ((protection & PROT_EXEC) !== 0 ? VM_EXEC : 0) |
    (protection === PROT_EXEC ? VM_PKEY_EXEC_ONLY : 0)
  );
}

function fileFlags(flags: number): number {
  switch (flags & MAP_TYPE) {
    case MAP_SHARED:
      return VM_SHARED | VM_MAYSHARE;
    case MAP_SHARED_VALIDATE:
      if ((flags & ~LEGACY_MAP_MASK) !== 0) refuse('EOPNOTSUPP', 'mmap', 'a flag that this file does not support');
      return VM_SHARED | VM_MAYSHARE;
    case MAP_PRIVATE:
      return 0;
    default:
      return refuse('EINVAL', 'mmap', 'neither MAP_SHARED nor MAP_PRIVATE');
  }
}

function anonymousFlags(flags: number): number {
  switch (flags & MAP_TYPE) {
    case MAP_SHARED:
      return VM_SHARED | VM_MAYSHARE;
    case MAP_PRIVATE:
      return 0;
    default:
      return refuse('EINVAL', 'mmap', 'neither MAP_SHARED nor MAP_PRIVATE');
  }
}

/** hugetlb_file_setup and hugetlbfs_file_mmap: a file of its own for each mapping, which therefore merges with no other. */
function* mapHugetlb(mm: Mm, start: number, length: number, flags: number): Routine<void> {
  const shared = (flags & VM_MAYSHARE) !== 0;
  if (shared && alignDown(start + length, PUD_SIZE) - alignUp(start, PUD_SIZE) >= PUD_SIZE) {
    notModelled('mmap', 'the sharing of page tables by hugetlb mappings (a shared one of a whole GiB)');
  }
  yield* unmapOld(mm, start, length);
  const backing = reserveHugetlb(mm.machine, length, shared, (flags & VM_NORESERVE) === 0);
  if (backing === null) {
    // What the file's mmap() might have mapped is undone (unmap_region), although it was nothing.
    yield* mm.invalidateEnd(yield* mm.invalidateStart('unmap', start, start + length));
    refuse('ENOMEM', 'mmap', 'the pool does not have this many huge pages');
  }
  const { file, reservation } = backing;
  // MAP_LOCKED populates it; but there is nothing to lock.
  const vma = new Vma(mm, start, start + length, flags & ~VM_LOCKED, 0, file);
  vma.reservation = reservation;
  mm.vmas.insert(vma);
  file.link(vma);
}

/** What is mapped there goes. 6.1 says ENOMEM whatever the reason was that it cannot. */
function* unmapOld(mm: Mm, start: number, length: number): Routine<void> {
  try {
    yield* unmapLocked(mm, start, length, 'mmap');
  } catch (error) {
    if (!(error instanceof HmmError) || !mm.profile.mmapHidesUnmapErrors) throw error;
    throw new HmmError('ENOMEM', 'mmap', 'what is mapped there cannot be unmapped', { cause: error });
  }
}

/** __mmap_region */
function* mmapRegion(
  mm: Mm,
  file: MemoryFile | null,
  start: number,
  length: number,
  flags: number,
  pgoff: number,
): Routine<void> {
  yield* unmapOld(mm, start, length);
  // accountable_mapping
  const vmFlags = (flags & (VM_NORESERVE | VM_SHARED | VM_WRITE)) === VM_WRITE ? flags | VM_ACCOUNT : flags;
  const end = start + length;
  const request = {
    start,
    end,
    pgoff,
    flags: vmFlags,
    file,
    anonVma: null,
    prev: mm.vmas.before(start),
    next: mm.vmas.find(end),
  };
  const merge = mm.profile.mmapMergePrefers === 'next' ? mergeMapped61 : mergeNew;
  if ((yield* merge(mm, request)) !== null) return;
  // shmem_zero_setup: shared anonymous memory is a file that nobody can open.
  const backing = file ?? ((vmFlags & VM_SHARED) !== 0 ? new MemoryFile(mm.frames, length) : null);
  const vma = new Vma(mm, start, end, vmFlags, pgoff, backing);
  mm.vmas.insert(vma);
  backing?.link(vma);
}
