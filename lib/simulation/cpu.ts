/** Loads and stores by the CPU of the process: what is present and permitted needs the kernel for nothing. */
import { HmmError } from '../errors.js';
import { PAGE, PTES, TASK_SIZE, VM_PKEY_EXEC_ONLY, VM_WRITE, blockOf } from './layout.js';
import { PTE_DIRTY, PTE_NO_ACCESS } from './page-table.js';
import { faultsHuge, frameOf } from './huge-pmd.js';
import { isHugetlb } from './hugetlb.js';
import { ZERO_FRAME } from './frames.js';
import { finishFault, handleMmFault, tryFault } from './fault.js';
import { needsMmapLock } from './swap-fault.js';
import type { FaultResult } from './fault.js';
import type { Mm } from './mm.js';
import type { HugePmd, PteTable } from './page-table.js';
import type { Routine } from './engine/engine.js';
import type { Vma } from './vma.js';

/** @returns the bytes, or an error: EFAULT, with the address, the signal and how many bytes were read before */
export function* cpuRead(mm: Mm, address: number, length: number): Routine<Uint8Array | HmmError> {
  // Not before there is something to put into it.
  let bytes: Uint8Array | null = null;
  const error = yield* access(mm, address, length, false, 'read', (frame, offset, at, count) => {
    bytes ??= new Uint8Array(length);
    mm.frames.read(frame, offset, bytes, at, count);
  });
  return error ?? bytes ?? new Uint8Array(length);
}

/** @returns an error, or nothing: EFAULT, with the address, the signal and how many bytes were stored before */
export function* cpuWrite(mm: Mm, address: number, bytes: Uint8Array): Routine<HmmError | undefined> {
  return yield* access(mm, address, bytes.length, true, 'write', (frame, offset, at, count) => {
    mm.frames.write(frame, offset, bytes, at, count);
  });
}

type Mover = (frame: number, offset: number, at: number, count: number) => void;

/**
 * Ascending, page by page: nothing lies between the check of an entry and the move of its bytes, as in a TLB hit. That a program touches what it may not is
 * an answer, and a frequent one: it is not thrown.
 */
function* access(
  mm: Mm,
  address: number,
  length: number,
  write: boolean,
  syscall: string,
  move: Mover,
): Routine<HmmError | undefined> {
  let at = 0;
  while (at < length) {
    const here = address + at;
    const page = Math.floor(here / PAGE);
    const offset = here - page * PAGE;
    const count = Math.min(PAGE - offset, length - at);
    const frame = here < TASK_SIZE ? translate(mm, here, write) : 0;
    if (frame === 0) {
      if (mm.unstable && !write && isMissingAnonymous(mm, here)) {
        move(ZERO_FRAME, offset, at, count);
        at += count;
        continue;
      }
      const error = yield* userFault(mm, here, write, syscall, at);
      if (error !== undefined) return error;
      continue;
    }
    move(frame, offset, at, count);
    at += count;
  }
  return undefined;
}

/**
 * Of a process that is being killed only the core dump still reads (get_dump_page, FOLL_DUMP): where nothing of anonymous memory is
 * mapped, that finds zeroes without a fault.
 */
function isMissingAnonymous(mm: Mm, address: number): boolean {
  const vma = mm.vmas.lookup(address);
  if (vma === null || vma.file !== null || accessError(vma, false)) return false;
  const block = blockOf(address);
  if (mm.pageTable.huge(block) !== null) return false;
  const table = mm.pageTable.table(block);
  return table === null || table.isNone(Math.floor(address / PAGE) % PTES);
}

/**
 * What the MMU does: it looks at the entry alone. That stays valid while munmap, with the VMA gone already, tells the notifiers.
 * @returns the frame, or 0 if the entry does not permit the access
 */
function translate(mm: Mm, address: number, write: boolean): number {
  const block = blockOf(address);
  const table = mm.pageTable.table(block);
  if (table === null) return translateHuge(mm.pageTable.huge(block), address, write);
  const index = Math.floor(address / PAGE) % PTES;
  if (!permits(table, index, write)) return 0;
  if (write) table.bits[index]! |= PTE_DIRTY;
  return table.frame(index);
}

function translateHuge(huge: HugePmd | null, address: number, write: boolean): number {
  if (huge === null || (write ? !huge.write : (huge.bits & PTE_NO_ACCESS) !== 0)) return 0;
  if (write) huge.bits |= PTE_DIRTY;
  return frameOf(huge, address);
}

function permits(table: PteTable, index: number, write: boolean): boolean {
  return write ? table.isWritable(index) : table.isPresent(index) && (table.bits[index]! & PTE_NO_ACCESS) === 0;
}

/** do_user_addr_fault (arch/x86/mm/fault.c): under the lock of the VMA where kernels have it, else under mmap_lock. */
function* userFault(
  mm: Mm,
  address: number,
  write: boolean,
  syscall: string,
  done: number,
): Routine<HmmError | undefined> {
  if (mm.engine.preemptive) yield 'do_user_addr_fault';
  let locked = mm.lock.tryRead();
  if (!locked && !underVmaLock(mm, address, write)) {
    yield* mm.lock.read();
    locked = true;
  }
  try {
    const vma = address < TASK_SIZE ? mm.vmas.lookup(address) : null;
    if (vma === null || accessError(vma, write))
      return new HmmError('EFAULT', syscall, undefined, { address, done, signal: 'SIGSEGV' });
    let result: FaultResult | 'copy' | 'swap';
    if (mm.engine.preemptive) result = yield* handleMmFault(vma, address, write);
    else {
      // Most faults need no routine.
      result = tryFault(vma, address, write);
      if (result === 'copy' || result === 'swap') result = yield* finishFault(vma, address, result);
    }
    if (result === 'sigbus' && mm.unstable && vma.file === null)
      return new HmmError('EFAULT', syscall, 'the OOM reaper took it', { address, done, signal: 'SIGBUS' });
    return result === 'done' ? undefined : faultError(result, address, syscall, done);
  } finally {
    if (locked) mm.lock.unlockRead();
  }
}

/** Whether the fault can do without mmap_lock, which somebody else has: not if it must make an anon_vma. */
function underVmaLock(mm: Mm, address: number, write: boolean): boolean {
  const vma = mm.profile.perVmaLock && address < TASK_SIZE ? mm.vmas.lookup(address) : null;
  if (vma === null || vma.writeLocked || needsMmapLock(vma, address)) return false;
  return vma.shared || vma.anonVma !== null || !(write || isHugetlb(vma) || faultsHuge(vma, blockOf(address)));
}

function faultError(result: Exclude<FaultResult, 'done'>, address: number, syscall: string, done: number): HmmError {
  if (result === 'sigbus')
    return new HmmError('EFAULT', syscall, 'beyond the end of the file', { address, done, signal: 'SIGBUS' });
  const reason = 'no frame is left, and the OOM killer is not modelled';
  return new HmmError('ERR_HMM_NOT_MODELLED', syscall, reason, { address, done });
}

/** access_error */
function accessError(vma: Vma, write: boolean): boolean {
  if ((vma.flags & VM_PKEY_EXEC_ONLY) !== 0) return true;
  return write ? (vma.flags & VM_WRITE) === 0 : !vma.accessible;
}
