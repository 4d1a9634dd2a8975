/**
 * What a backend is: the one contract that the kernel backend and the simulation both implement, types only.
 * Each promise in a comment here has a test in test/conformance that runs on both.
 *
 * Arguments have been checked for type and for possible numbers by the public layer (addresses and lengths
 * are safe non-negative integers); what the kernel would refuse, the backend refuses with an HmmError that
 * carries the kernel's errno. A backend never sees an object of another Hmm.
 */
import type { Operation } from './operations.js';
import type { HmmError } from './errors.js';

/** Synchronous when nothing had to be waited for; the caller awaits either. A failure throws, or rejects. */
export type MaybePromise<T> = T | Promise<T>;

export type DeviceKind = 'private' | 'coherent' | 'none';

export interface DeviceInfo {
  readonly id: number;
  readonly kind: DeviceKind;
  /** Pages of device memory. */
  readonly capacity: number;
}

/** What this backend can do here; for each `false` the reason stands in `reasons`. */
export interface Features {
  readonly devicePrivate: boolean;
  readonly deviceCoherent: boolean;
  readonly exclusive: boolean;
  readonly transparentHugePages: boolean;
  /** MAP_HUGETLB; how many pages the pool has is another question. */
  readonly hugetlb: boolean;
  readonly reasons: { readonly [feature in Exclude<keyof Features, 'reasons'>]?: string };
}

export interface Backend {
  readonly kind: 'kernel' | 'simulation';
  /** uname -r, or 'simulation-6.12'. */
  readonly kernelRelease: string;
  readonly pageSize: number;
  readonly features: Features;
  readonly devices: readonly DeviceInfo[];
  createAddressSpace(): Promise<BackendAddressSpace>;
  /**
   * A lock for a driver's page table, whose waiting the backend's scheduler sees. First come, first served.
   * @param name what reports of the explorer call it
   */
  createLock(name: string): BackendLock;
  /** Pages of the device's memory that are in use, by whatever process; 0 for a device that has none. */
  deviceUsage(device: number): MaybePromise<number>;
  /**
   * Moves what the device's memory holds, for whatever process, back to system memory (migrate_device_range: no MIGRATE
   * event, but CLEAR of each page in each process that maps it). What is busy stays, and can be tried again. EOPNOTSUPP: it has none.
   */
  evictDevice(device: number): Promise<MigrateResult>;
  /** Also closes what it created; idempotent. */
  close(): Promise<void>;
}

export interface BackendLock {
  /** Not recursive: whoever holds it and acquires it again waits for itself. */
  acquire(): Promise<void>;
  /** mutex_trylock: never waits. True if the caller has the lock now. */
  tryAcquire(): boolean;
  /** Throws HmmError EINVAL if it is not held, ETIMEDOUT if an invalidation took it away meanwhile. */
  release(): void;
}

/** The result of one operation: a value (mmap, mremap: the address; read: the bytes; else nothing), or the error. */
export type OperationResult =
  | { readonly value?: number | Uint8Array; readonly error?: undefined }
  | { readonly value?: undefined; readonly error: HmmError };

export interface BackendFile {
  /** Its length now, in bytes. */
  readonly length: number;
}

export interface BackendAddressSpace {
  readonly pid: number;
  /** False once the process has gone, by exit() or by itself. */
  readonly alive: boolean;
  /**
   * Runs the operations in order on one thread of the process; a failing one does not stop the rest. Runs of the same thread
   * queue up, different threads run at the same time. When it resolves, every invalidation that the
   * operations caused has been delivered to its sink. Rejects with ESRCH, and does nothing, if the process has gone.
   */
  run(thread: number, operations: readonly Operation[]): MaybePromise<OperationResult[]>;
  /** memfd_create and ftruncate to length bytes. */
  createFile(length: number): Promise<BackendFile>;
  /** ESRCH if the process has gone. */
  fork(): Promise<BackendAddressSpace>;
  /** Resolves when the mm has been torn down; notifiers have seen 'release' then. Idempotent. */
  exit(): Promise<void>;
  /** exit(), then removes what notifiers are left and frees the context. Idempotent. */
  close(): Promise<void>;
  /** mmu_interval_notifier_insert. EOVERFLOW for length 0 or an end beyond 2^64; EFAULT if the process has gone. */
  insertNotifier(start: number, length: number, sink: InvalidationSink): Promise<BackendNotifier>;
  /** A mirror: a notifier whose invalidations empty a device page table, and the device's accesses through that. */
  createMirror(device: number, start: number, length: number, sink: EventSink): Promise<BackendMirror>;
  /**
   * hmm_range_fault, one call. Throws EBUSY, EFAULT, EPERM, EINVAL, ENOMEM as it does; `range.pfns` then holds
   * outputs for the entries before the one that failed, inputs for the rest.
   */
  rangeFault(range: BackendRange): MaybePromise<void>;
  /** Access for a driver that keeps its own page table: one entry per page touched. ESTALE (with address) if one is wrong. */
  deviceRead(device: number, address: number, length: number, entries: BigUint64Array): Promise<Uint8Array>;
  deviceWrite(device: number, address: number, bytes: Uint8Array, entries: BigUint64Array): Promise<void>;
}

/** struct hmm_range, in the kernel's encoding. Mutable and reusable; a backend may key caches by its identity and revision. */
export interface BackendRange {
  readonly notifier: BackendNotifier;
  readonly start: number;
  readonly end: number;
  /** Another one whenever anything but notifierSequence and what pfns holds has changed. */
  readonly revision: number;
  readonly notifierSequence: number;
  /** Requests for all pages, HMM_PFN_REQ_*. */
  readonly defaultFlags: bigint;
  /** Which request bits of each entry of pfns count. */
  readonly pfnFlagsMask: bigint;
  /** dev_private_owner: a device id, or null. */
  readonly owner: number | null;
  /** (end - start) / pageSize entries, in and out. */
  readonly pfns: BigUint64Array;
}

export type InvalidationEvent =
  'unmap' | 'clear' | 'protection-vma' | 'protection-page' | 'soft-dirty' | 'release' | 'migrate' | 'exclusive';

/** struct mmu_notifier_range, with mmu_interval's cur_seq. */
export interface Invalidation {
  readonly start: number;
  /** Exclusive. An event over the whole address space ends at 2^64, rounded as a JavaScript number is. */
  readonly end: number;
  readonly event: InvalidationEvent;
  readonly blockable: boolean;
  /** A device id; null where there is none or where the kernel does not define it (all but migrate and exclusive). */
  readonly owner: number | null;
  readonly sequence: number;
  /** Nanoseconds of a monotonic clock (simulated: of a counter that grows by one an event). */
  readonly timestamp: bigint;
}

export interface InvalidationSink {
  /**
   * mmu_interval_notifier_ops.invalidate. The operation that caused it goes on when this has returned, or its
   * promise has settled, or the bound has run out. Never throws and never rejects.
   * False: only when not blockable, and means EAGAIN for the operation.
   */
  invalidate(event: Invalidation): MaybePromise<boolean>;
  /** The bound of the wait for that event ran out, or the wait was killed; the operation went on. */
  timedOut(event: Invalidation): void;
  /** What the callback did wrong last, and nobody has been told yet. An explorer looks after each callback. */
  readonly failure?: HmmError | null;
}

export interface EventSink {
  /** lost: events of this context that were dropped just before this one, because nobody read them in time. */
  event(event: Invalidation, lost: number): void;
}

export interface BackendNotifier {
  readonly start: number;
  readonly length: number;
  /** mmu_interval_read_begin: waits while an invalidation that covers the notifier is under way. */
  readBegin(): MaybePromise<number>;
  /** mmu_interval_read_retry. */
  readRetry(sequence: number): boolean;
  /** mmu_interval_notifier_remove: when it resolves no callback is running and none will run. */
  remove(): Promise<void>;
}

export interface PopulateOptions {
  /** Entries must be writable: HMM_PFN_REQ_WRITE. */
  readonly write: boolean;
  /** Take what is present and fault nothing. */
  readonly snapshot: boolean;
}

export interface PopulateResult {
  /** Valid entries in the device page table for the range. */
  readonly pages: number;
  /** Times that the loop began again: EBUSY and read_retry together. */
  readonly retries: number;
}

export interface MigrateResult {
  /** Pages that moved. */
  readonly migrated: number;
}

/** Values of {@link MirrorPages.locations}. */
export const LOCATION_NONE = 0;
export const LOCATION_SYSTEM = 1;
/** The zero page of 4 KiB, which all read faults of untouched anonymous memory share. */
export const LOCATION_ZERO = 2;
/** ... plus the id of the device whose memory it is. */
export const LOCATION_DEVICE = 16;

/** Set in an entry of a device page table (where there is no order) that the device has for itself: it may do atomics there. */
export const ENTRY_EXCLUSIVE: bigint = 1n << 60n;

/** ENTRY_EXCLUSIVE in the upper word of an entry, the second one: every machine with HMM is little-endian, and every browser's. */
const EXCLUSIVE_HIGH = Number(ENTRY_EXCLUSIVE >> 32n);

/**
 * Entries of a device page table as entries of a range are: without ENTRY_EXCLUSIVE, which lies where the order of a page is, and
 * would be taken for one. In place; by words, because arithmetic of bigints takes twenty times as long.
 */
export function withoutExclusive(entries: BigUint64Array): BigUint64Array {
  const words = new Int32Array(entries.buffer, entries.byteOffset, 2 * entries.length);
  for (let at = 1; at < words.length; at += 2) if ((words[at]! & EXCLUSIVE_HIGH) !== 0) words[at]! &= ~EXCLUSIVE_HIGH;
  return entries;
}

export interface MirrorPages {
  /** What hmm_range_fault says of each page now, faulting nothing. */
  readonly pfns: BigUint64Array;
  /** The device page table: HMM_PFN_VALID, HMM_PFN_WRITE, ENTRY_EXCLUSIVE and the frame, or 0. */
  readonly entries: BigUint64Array;
  /** LOCATION_* of each page that pfns says is valid, LOCATION_NONE of the others: another device's private memory among them. */
  readonly locations: Uint8Array;
}

export interface BackendMirror {
  /** Its removal is that of the mirror: the device page table goes with it. */
  readonly notifier: BackendNotifier;
  /**
   * The lock of the device page table: while it is held, populate, accesses that must fault, and invalidations of this
   * mirror wait; an invalidation no longer than the bound of callbacks, after which it takes the lock away.
   */
  readonly updateLock: BackendLock;
  /** The loop of hmm.rst over [start, end), inside the mirror's span (else EINVAL). Never fails with EBUSY but after a long deadline. */
  populate(start: number, end: number, options: PopulateOptions): MaybePromise<PopulateResult>;
  /**
   * Loads by the device into the first `length` bytes of `into`, which it returns a view of; by default into a new array.
   * EFAULT (with address): nothing is mapped there, or the process has gone.
   */
  read(address: number, length: number, into?: Uint8Array): MaybePromise<Uint8Array>;
  /**
   * Stores by the device. EPERM (with address): the mapping is read-only. EFAULT: as of read; and a page of the device's own private
   * memory that is read-only (after a fork, or mprotect there and back): hmm_range_fault ignores requests for those, and never makes
   * them writable. `done` tells the bytes stored before.
   */
  write(address: number, bytes: Uint8Array): MaybePromise<void>;
  /**
   * migrate_vma to the memory of the mirror's device, VMA by VMA, in parts of 512 naturally aligned pages. `migrated` counts the
   * pages of [start, end) that are new in it, those that held nothing yet included. Afterwards the device page table has
   * entries for what is mapped of the range, got as a snapshot by populate is.
   * What cannot move stays, without an error: file pages, pages that are busy or of another device's private memory, and what the device has no room for.
   * EOPNOTSUPP: the device has no memory. EFAULT (with address; what lies before it has moved, `done` tells how many pages): no
   * mapping, or the process has gone. EINVAL (the same): a mapping that the kernel never migrates (hugetlb, VM_SPECIAL, DAX).
   */
  migrateToDevice(start: number, end: number): MaybePromise<MigrateResult>;
  /** migrate_vma of the device's own pages in [start, end) back to system memory. The device page table keeps no entry that the events emptied. Errors as above. */
  migrateToSystem(start: number, end: number): MaybePromise<MigrateResult>;
  /**
   * make_device_exclusive_range: the CPU entries of [start, end) become device-exclusive, and the device page table gets entries
   * with ENTRY_EXCLUSIVE, until an invalidation (any CPU access makes one). `pages`: how many; a page that cannot be (file and shared
   * memory, all but the first of a huge page, busy) is left out without an error.
   * EFAULT (with address, `done`): a page cannot be faulted for writing, or the process has gone. EOPNOTSUPP: this kernel cannot.
   */
  makeExclusive(start: number, end: number): MaybePromise<{ readonly pages: number }>;
  /**
   * The device adds `value` to the 64-bit word at `address`, modulo 2^64, and gives what was there before, as an unsigned number. Takes
   * exclusive access if the device has it not, again and again until it has (EBUSY after a long deadline, or at once if the page can
   * never be had: EOPNOTSUPP). EINVAL: not a multiple of 8, or outside the span. Errors else as of makeExclusive.
   */
  atomicAdd(address: number, value: bigint): MaybePromise<bigint>;
  /** Snapshot and device page table of [start, end), both under one sequence. */
  query(start: number, end: number): MaybePromise<MirrorPages>;
  /**
   * The device page table alone, without ENTRY_EXCLUSIVE; works when the process has gone.
   * @param into the array to fill and give back, one entry per page; by default a new one
   */
  entries(start: number, end: number, into?: BigUint64Array): MaybePromise<BigUint64Array>;
}
