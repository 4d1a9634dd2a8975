/**
 * Access for a driver that keeps its page table itself (kernel-module/device_access.c): its entries are compared with the
 * process's page table, under a notifier of this access's own, and the bytes moved before an invalidation can begin.
 */
import { HMM_PFN_VALID, HMM_PFN_WRITE, MAX_RANGE_PAGES, hmmPfnToFrame } from '../constants.js';
import { HmmError } from '../errors.js';
import { PAGE, PMD_SIZE, alignDown, pageAlign } from './layout.js';
import { PAGE_DIRTY } from './frames.js';
import { runFaultLoop } from './fault-loop.js';
import type { IntervalNotifier, IntervalNotifierOps, NotifierRange } from './notifiers.js';
import type { Mm } from './mm.js';
import type { Routine } from './engine/engine.js';

export interface DeviceAccess {
  /** Whose private memory it can reach. */
  readonly device: number;
  readonly address: number;
  /** Read into, or written from. */
  readonly bytes: Uint8Array;
  readonly write: boolean;
  /** What the driver believes, one per page touched. */
  readonly entries: BigUint64Array;
}

/** Nothing to be told: the sequence alone makes the comparison stale. */
class SequenceOnly implements IntervalNotifierOps {
  notifier: IntervalNotifier | null = null;

  invalidate(_range: NotifierRange, sequence: number): null {
    this.notifier!.setSequence(sequence);
    return null;
  }
}

/** @throws HmmError ESTALE with the address of the first page that is not as believed; EINVAL; EFAULT if the process has gone */
export function* deviceAccess(mm: Mm, request: DeviceAccess): Routine<void> {
  const syscall = request.write ? 'device_write' : 'device_read';
  checkAccess(request, syscall);
  if (!mm.tryGet()) {
    throw new HmmError('EFAULT', syscall, 'the process has gone', { address: request.address, done: 0 });
  }
  const ops = new SequenceOnly();
  const start = alignDown(request.address, PAGE);
  let notifier: IntervalNotifier;
  try {
    const subscriptions = yield* mm.ensureSubscriptions();
    notifier = subscriptions.insert(start, pageAlign(request.address + request.bytes.length) - start, ops);
    ops.notifier = notifier;
  } finally {
    mm.put();
  }
  try {
    const { address, bytes } = request;
    for (let done = 0; done < bytes.length;) {
      const end = Math.min(address + bytes.length, alignDown(address + done, PMD_SIZE) + PMD_SIZE);
      yield* accessChunk(mm, notifier, request, done, end, syscall);
      done = end - address;
    }
  } finally {
    yield* notifier.subscriptions.remove(notifier);
  }
}

function* accessChunk(
  mm: Mm,
  notifier: IntervalNotifier,
  request: DeviceAccess,
  done: number,
  end: number,
  syscall: string,
): Routine<void> {
  const first = alignDown(request.address + done, PAGE);
  const last = pageAlign(end);
  const outcome = yield* runFaultLoop({
    mm,
    notifier,
    updateLock: null,
    start: first,
    end: last,
    defaultFlags: 0n,
    owner: request.device,
    pfns: new BigUint64Array((last - first) / PAGE),
    commit: (pfns) => {
      compare(request, first, pfns, done, syscall);
      move(mm, request, first, pfns, done, end);
    },
  });
  if (outcome instanceof HmmError) throw outcome;
}

function compare(request: DeviceAccess, first: number, pfns: BigUint64Array, done: number, syscall: string): void {
  const offset = (first - alignDown(request.address, PAGE)) / PAGE;
  for (let index = 0; index < pfns.length; index++) {
    if (entryHolds(request.entries[offset + index]!, pfns[index]!)) continue;
    throw new HmmError('ESTALE', syscall, undefined, { address: first + index * PAGE, done });
  }
}

/** The same frame, and not more permission. */
function entryHolds(believed: bigint, actual: bigint): boolean {
  if ((actual & HMM_PFN_VALID) === 0n || hmmPfnToFrame(believed) !== hmmPfnToFrame(actual)) return false;
  return (believed & ~actual & HMM_PFN_WRITE) === 0n;
}

function move(mm: Mm, request: DeviceAccess, first: number, pfns: BigUint64Array, done: number, end: number): void {
  const { frames } = mm;
  const { address, bytes, write } = request;
  for (let at = done; address + at < end;) {
    const here = address + at;
    const offset = here % PAGE;
    const count = Math.min(PAGE - offset, end - here);
    const frame = Number(hmmPfnToFrame(pfns[(here - offset - first) / PAGE]!));
    if (write) {
      frames.flags[frame]! |= PAGE_DIRTY;
      frames.write(frame, offset, bytes, at, count);
    } else {
      frames.read(frame, offset, bytes, at, count);
    }
    at += count;
  }
}

function checkAccess({ address, bytes, write, entries }: DeviceAccess, syscall: string): void {
  const { length } = bytes;
  if (length === 0) throw new HmmError('EINVAL', syscall, 'the length is 0');
  const pages = (pageAlign(address + length) - alignDown(address, PAGE)) / PAGE;
  if (pages > MAX_RANGE_PAGES) throw new HmmError('EINVAL', syscall, 'too many pages for one call');
  const needed = write ? HMM_PFN_VALID | HMM_PFN_WRITE : HMM_PFN_VALID;
  for (let index = 0; index < pages; index++) {
    if ((entries[index]! & needed) !== needed)
      throw new HmmError('EINVAL', syscall, 'an entry that does not allow the access');
  }
}
