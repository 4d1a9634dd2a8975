/**
 * The native addon: what it exports (native/addon.cc), and the one place that loads it (binaries.ts finds it).
 *
 * All functions check their arguments (TypeError, RangeError) and are bound to what they work on: `this` does not
 * matter. What the kernel answers is a number: `undefined` or a count for success, a positive errno where undefined
 * means success, a negative one where a count does.
 */
import { dirname } from 'node:path';
import { findAddon, loadFile } from './binaries.js';

/** A positive errno, or undefined for success. */
export type Errno = number | undefined;

/** A promise's answer of a request that ran on the thread pool. */
export interface Reply {
  /** 0 for success. */
  readonly errno: number;
  /** The request's argument with its out fields. */
  readonly request: Uint32Array;
  /** What it wrote: see each function. */
  readonly memory: readonly ArrayBuffer[];
}

/** An open file, to hand to a process. */
export interface Descriptor {
  /** The file's number, or -EBADF. Use it at once: only this object keeps it open. */
  number(): number;
  /** fstat's st_size, or -errno. */
  length(): number;
  close(): void;
}

/** One open device file. Before a request its argument is written into `request`. */
export interface Context {
  readonly request: Uint32Array;
  /** The argument of rangeFaultBound(), by itself, so that what has not changed since the last call need not be written. */
  readonly range: Uint32Array;
  /** The argument of readBound(): see ACCESS_BOUND in abi.ts. */
  readonly access: Float64Array;
  /** HMM_MIRROR_INFO into the array. */
  info(info: Uint32Array): Errno;
  /** Whole event records: bytes, or -errno. */
  readEvents(bytes: Uint8Array): number;
  descriptor(): Descriptor;
  /** Calls back when events can be read, in this thread's event loop, which it does not keep alive until ref(). Once. */
  watch(callback: (events: number) => void): void;
  ref(): void;
  unref(): void;
  /** Requests in flight keep the file open until they end. */
  close(): Promise<void>;

  // On this thread, with HMM_MIRROR_NONBLOCK where there is such a thing: EAGAIN instead of sleeping.
  readBegin(): Errno;
  readRetry(): Errno;
  populate(): Errno;
  lock(): Errno;
  unlock(): Errno;
  ack(): Errno;
  atomicAdd(): Errno;
  rangeFault(pfns: BigUint64Array): Errno;
  /**
   * rangeFaultBound() and readBound() use the memory of arrays that were bound before, without looking at the arrays again.
   * Whoever calls them has made sure, in the same turn, that the array still has its length: that its buffer was not detached.
   */
  bindPfns(pfns: BigUint64Array): void;
  rangeFaultBound(): Errno;
  bindPiece(piece: Uint8Array): void;
  readBound(): Errno;
  read(bytes: Uint8Array): Errno;
  write(bytes: Uint8Array): Errno;
  /** locations are what the walk that finds the pfns sees: one is not asked for without the other. */
  query(pfns: BigUint64Array, entries: BigUint64Array, locations: Uint8Array): Errno;
  query(pfns: null, entries: BigUint64Array): Errno;

  // On the thread pool. The argument and the arrays are copied at once.
  insertAsync(): Promise<Reply>;
  removeAsync(): Promise<Reply>;
  readBeginAsync(): Promise<Reply>;
  populateAsync(): Promise<Reply>;
  lockAsync(): Promise<Reply>;
  // These invalidate, and wait for callbacks that run on this thread: never issued on it.
  migrateToDeviceAsync(): Promise<Reply>;
  migrateToSystemAsync(): Promise<Reply>;
  makeExclusiveAsync(): Promise<Reply>;
  atomicAddAsync(): Promise<Reply>;
  evictAsync(): Promise<Reply>;
  /** pfns has the outputs when the promise is resolved. */
  rangeFaultAsync(pfns: BigUint64Array): Promise<Reply>;
  /** memory: the bytes. */
  readAsync(): Promise<Reply>;
  writeAsync(bytes: Uint8Array): Promise<Reply>;
  /** memory: with a walk pfns, entries and locations, else entries. */
  queryAsync(walk: boolean): Promise<Reply>;
  /** memory: the bytes. */
  deviceReadAsync(entries: BigUint64Array): Promise<Reply>;
  deviceWriteAsync(entries: BigUint64Array, bytes: Uint8Array): Promise<Reply>;
}

/** Our end of a local stream socket. */
export interface Channel {
  /** Sends bytes from `start` on, the files with the first of them. Bytes taken, or -errno; -EAGAIN: when writable again. */
  send(bytes: Uint8Array, start: number, descriptors?: readonly Descriptor[]): number;
  /** Bytes received, 0 at the end, or -errno. */
  receive(bytes: Uint8Array): number;
  /** Calls back with READABLE | WRITABLE, or -errno. Does not keep the event loop alive until ref(). Once. */
  watch(callback: (events: number) => void): void;
  watchWritable(enabled: boolean): Errno;
  ref(): void;
  unref(): void;
  close(): void;
}

export interface Addon {
  /** Or a positive errno, as of the two below. */
  openContext(path: string): Context | number;
  createChannel(): { readonly channel: Channel; readonly peer: Descriptor } | number;
  /** memfd_create and ftruncate. */
  createMemoryFile(length: number): Descriptor | number;
  /** The layout of kernel-module/uapi/hmm_mirror.h by the C++ compiler: offsets, sizes, constants. For tests. */
  readonly layout: Readonly<Record<string, number>>;
}

export interface LoadedAddon {
  readonly addon: Addon;
  /** Where it was found; the workload program lies beside it. */
  readonly directory: string;
}

let loaded: LoadedAddon | null = null;

/** @throws Error that says why: there is no binary for this machine, or this Node cannot load it */
export function loadAddon(): LoadedAddon {
  if (loaded !== null) return loaded;
  const file = findAddon();
  loaded = { addon: loadFile(file) as Addon, directory: dirname(file) };
  return loaded;
}
