/** Exclusive access through a mirror, and the atomics that it is for. The twin of the module's. */
import { HmmError } from '../errors.js';
import { PAGE, PMD_SIZE, PTES, alignDown } from './layout.js';
import { PAGE_DIRTY } from './frames.js';
import { getUserPages, makeDeviceExclusiveRange, putUserPages, unlockExclusive } from './exclusive.js';
import { retryDeadline } from './deadline.js';
import type { ExclusivePage } from './exclusive.js';
import type { ErrnoCode } from '../errors.js';
import type { IntervalNotifier } from './notifiers.js';
import type { MirrorOps } from './mirror-ops.js';
import type { Mm } from './mm.js';
import { Wait } from './engine/engine.js';
import { macrotask } from './engine/host.js';
import type { Engine, Routine } from './engine/engine.js';

export interface ExclusiveMirror {
  readonly mm: Mm;
  readonly ops: MirrorOps;
  readonly interval: IntervalNotifier;
}

/** Chunk by chunk of 2 MiB. @throws HmmError EFAULT, ENOMEM with the address and the pages that were had before it */
export function* makeExclusive(mirror: ExclusiveMirror, start: number, end: number): Routine<{ pages: number }> {
  const syscall = 'make_device_exclusive_range';
  let pages = 0;
  for (let at = start; at < end;) {
    const next = Math.min(end, alignDown(at, PMD_SIZE) + PMD_SIZE);
    const part = yield* exclusiveChunk(mirror, at, next, syscall, pages);
    if (typeof part === 'string') {
      // The module has EFAULT for all that cannot be faulted for a device, hugetlb among it.
      const code = part === 'EOPNOTSUPP' ? 'EFAULT' : part;
      throw new HmmError(code, syscall, undefined, { address: at, done: pages });
    }
    pages += part.filter((page) => typeof page === 'number').length;
    const reached = at + part.length * PAGE;
    if (reached < next) throw new HmmError('EFAULT', syscall, undefined, { address: reached, done: pages });
    at = next;
  }
  return { pages };
}

/**
 * One at a time: two would take the same pages from each other.
 * @returns as many pages as could be faulted for writing; why not, if that is none
 */
function* exclusiveChunk(
  mirror: ExclusiveMirror,
  start: number,
  end: number,
  syscall: string,
  done: number,
): Routine<ExclusivePage[] | ErrnoCode> {
  const { mm, ops } = mirror;
  const isOver = retryDeadline(mm.machine);
  yield* ops.exclusiveLock.acquire();
  try {
    for (;;) {
      const pages = yield* attempt(mirror, start, end, syscall, done);
      if (pages !== null) return pages;
      if (isOver()) throw new HmmError('EBUSY', syscall, undefined, { address: start, done });
    }
  } finally {
    ops.exclusiveLock.release();
  }
}

/**
 * The pattern of all drivers, with three differences. What must be faulted is faulted before the sequence is read, since
 * these faults are invalidations themselves, that of an entry that is exclusive already among them. The event of taking
 * the pages does not count as one to this mirror. And from then until the entries are in the device page table the pages
 * are locked, so that a CPU that touches one waits; whoever unmaps one is seen by the sequence.
 * @returns null: begin again; an error: not even the first page could be faulted
 */
function* attempt(
  mirror: ExclusiveMirror,
  start: number,
  wantedEnd: number,
  syscall: string,
  done: number,
): Routine<ExclusivePage[] | ErrnoCode | null> {
  const { mm, ops, interval } = mirror;
  yield* ops.updateLock.begin();
  const faulted = yield* underMmapLock(mm, syscall, start, done, () => getUserPages(mm, start, wantedEnd));
  putUserPages(mm.machine, faulted.frames);
  if (faulted.frames.length === 0) return faulted.error!;
  const end = start + faulted.frames.length * PAGE;
  const sequence = yield* interval.subscriptions.readBegin(interval);
  return yield* underMmapLock(mm, syscall, start, done, function* () {
    const pages = yield* take(mirror, start, end);
    try {
      // With pages locked only what is short may be waited for, and a program may keep its lock long.
      if (pages === null || ops.updateLock.held || interval.readRetry(sequence)) return null;
      ops.checkRemoved();
      ops.pageTable.storeExclusive(start, pages);
      return pages;
    } finally {
      if (pages !== null) unlockExclusive(mm.machine, pages);
    }
  });
}

/** Null if what could be faulted a moment ago no longer can. */
function* take({ mm, ops }: ExclusiveMirror, start: number, end: number): Routine<ExclusivePage[] | null> {
  ops.exclusiveTask = mm.engine.current;
  try {
    const { frames, error } = yield* getUserPages(mm, start, end);
    const pages = yield* makeDeviceExclusiveRange(mm, start, frames, ops.device);
    if (error === null) return pages;
    unlockExclusive(mm.machine, pages);
    return null;
  } finally {
    ops.exclusiveTask = null;
  }
}

/** With the process kept alive, and mmap_lock held for reading. */
function* underMmapLock<T>(mm: Mm, syscall: string, address: number, done: number, body: () => Routine<T>): Routine<T> {
  if (!mm.tryGet()) throw new HmmError('EFAULT', syscall, 'the process has gone', { address, done });
  try {
    if (mm.engine.preemptive || !mm.lock.tryRead()) yield* mm.lock.read();
    try {
      return yield* body();
    } finally {
      mm.lock.unlockRead();
    }
  } finally {
    mm.put();
  }
}

/** Attempts of an atomic in a row. Where nobody else wants the page, the second has it. */
const ATTEMPTS = 4;
/**
 * Turns of the event loop that an atomic gives to whoever could change that a page is busy, with an attempt after each. The module goes on for ten seconds, on a
 * thread of its own; here it is the program's thread that would be busy.
 */
const TURNS = 1000;

/** The sum replaces the word while the entry is the device's alone, which nothing can change in between. */
export function* atomicAdd(mirror: ExclusiveMirror, address: number, value: bigint): Routine<bigint> {
  const syscall = 'device_atomic';
  const page = alignDown(address, PAGE);
  const { engine } = mirror.mm;
  const isOver = retryDeadline(mirror.mm.machine);
  for (let attempt = 1; ; attempt++) {
    if (engine.preemptive) yield 'device_access';
    const old = tryAtomicAdd(mirror, address, value);
    if (old !== null) return old;
    const part = yield* exclusiveChunk(mirror, page, page + PAGE, syscall, 0);
    if (typeof part === 'string' && part !== 'EOPNOTSUPP') {
      throw new HmmError(part, syscall, undefined, { address: page, done: 0 });
    }
    if (part === 'EOPNOTSUPP' || part[0] === 'never') {
      throw new HmmError('EOPNOTSUPP', syscall, 'such a page can never be exclusive to a device', { address: page });
    }
    const exhausted = attempt > ATTEMPTS + TURNS && !engine.preemptive;
    if (exhausted || isOver()) throw new HmmError('EBUSY', syscall, undefined, { address: page });
    // Somebody else is taking the very page: the kernel's loop would find it busy until he is done.
    const busy = presentFrame(mirror.mm, page);
    if (busy !== 0) yield* mirror.mm.machine.pageLocks.waitUnlocked(busy, 'folio_lock');
    // A scheduler lets others go on by itself.
    if (attempt >= ATTEMPTS && !engine.preemptive) yield* turn(engine);
  }
}

/** cond_resched, for as long as the program's own code and its other operations can use it. */
function* turn(engine: Engine): Routine<void> {
  const wait = new Wait(engine, 'cond_resched');
  macrotask(() => wait.settle());
  yield wait;
}

const word = new Uint8Array(8);
const view = new DataView(word.buffer);

/** Null if the device has the page not for itself. */
export function tryAtomicAdd({ mm, ops }: ExclusiveMirror, address: number, value: bigint): bigint | null {
  const frame = ops.pageTable.exclusiveFrame(address);
  if (frame === 0) return null;
  const { frames } = mm;
  frames.read(frame, address % PAGE, word, 0, 8);
  const old = view.getBigUint64(0, true);
  view.setBigUint64(0, old + value, true);
  frames.flags[frame]! |= PAGE_DIRTY;
  frames.write(frame, address % PAGE, word, 0, 8);
  return old;
}

function presentFrame(mm: Mm, page: number): number {
  return mm.pageTable.tableOf(page)?.frame((page / PAGE) % PTES) ?? 0;
}
