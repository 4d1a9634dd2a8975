/** mmap(2): do_mmap and __mmap_region (mm/mmap.c). */
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_LOCKED,
  MAP_NORESERVE,
  MAP_POPULATE,
} from '../constants.js';
import { MAP_PRIVATE, MAP_SHARED, MAP_SHARED_VALIDATE, PROT_EXEC, PROT_READ, PROT_WRITE } from '../constants.js';
import { MAX_MAP_COUNT, MMAP_MIN_ADDR, PAGE, alignDown, pageAlign } from './layout.js';
import {
  VM_ACCOUNT,
  VM_EXEC,
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
const MAP_HUGETLB = 0x4_0000;
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
  const { length, flags } = request;
  if (request.offset % PAGE !== 0) refuse('EINVAL', 'mmap', 'the offset is not a multiple of the page size');
  const file = (flags & MAP_ANONYMOUS) !== 0 ? null : request.file;
  if (file === null ? (flags & MAP_ANONYMOUS) === 0 : !file.open) refuse('EBADF', 'mmap', 'no open file');
  refuseUnmodelled(flags, mm.profile);

  yield* mm.lock.write();
  let address: number;
  try {
    address = yield* doMmap(mm, request, file);
  } finally {
    mm.lock.unlockWrite();
  }
  const populates = (flags & MAP_LOCKED) !== 0 || (flags & (MAP_POPULATE | MAP_NONBLOCK)) === MAP_POPULATE;
  if (populates) yield* mmPopulate(mm, address, pageAlign(length));
  return address;
}

function refuseUnmodelled(flags: number, profile: Profile): void {
  if ((flags & MAP_HUGETLB) !== 0) notModelled('mmap', 'MAP_HUGETLB');
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
    },
    'mmap',
  );
  if ((flags & MAP_FIXED_NOREPLACE) !== 0 && mm.vmas.intersection(address, address + length) !== null) {
    refuse('EEXIST', 'mmap', 'something is mapped there');
  }
  let vmFlags = protectionFlags(protection) | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC;
  if ((flags & MAP_LOCKED) !== 0) vmFlags |= VM_LOCKED;
  if ((flags & MAP_STACK) !== 0 && mm.profile.stackIsNoHugePage) vmFlags |= VM_NOHUGEPAGE;
  vmFlags |= file === null ? anonymousFlags(flags) : fileFlags(flags);
  if ((flags & MAP_NORESERVE) !== 0) vmFlags |= VM_NORESERVE;
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

/** __mmap_region */
function* mmapRegion(
  mm: Mm,
  file: MemoryFile | null,
  start: number,
  length: number,
  flags: number,
  pgoff: number,
): Routine<void> {
  yield* unmapLocked(mm, start, length, 'mmap');
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
