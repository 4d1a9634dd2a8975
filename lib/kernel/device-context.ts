/**
 * One open device file, request by request: small ones at once, on this thread, and on the thread pool what is large or
 * what the module says it might have to sleep for (EAGAIN).
 */
import { withoutExclusive } from '../backend.js';
import type { BackendRange, MaybePromise, MirrorPages, PopulateOptions, PopulateResult } from '../backend.js';
import { HMM_PFN_REQ_FAULT, HMM_PFN_REQ_WRITE, MAX_RANGE_PAGES } from '../constants.js';
import { lengthOf } from '../array-length.js';
import { ERRNO, HmmError, errorOfErrno } from '../errors.js';
import {
  ACCESS,
  ACK,
  DEVICE_ACCESS,
  HEAD,
  INSERT,
  NO_DEVICE,
  POPULATE,
  QUERY,
  RANGE,
  SEQUENCE,
  SNAPSHOT,
  WRITABLE,
  getNumber,
  putBigint,
  putNumber,
} from './abi.js';
import type { Context, Descriptor, Reply } from './addon.js';
import { DeviceMemory } from './device-memory.js';
import { DeviceReads } from './device-reads.js';
import { accessError, asPages, check, deviceError, populated } from './replies.js';

/** What is tried at once: 4 MiB are some 0.2 ms of copying. */
const INLINE_PAGES = 1024;
/** The same of a walk that only looks: half a millisecond. */
const INLINE_WALK_PAGES = 65536;

export interface NotifierRequest {
  readonly start: number;
  readonly length: number;
  readonly flags: number;
  readonly device: number;
  /** Milliseconds; 0: the module's default. */
  readonly timeout: number;
}

export class DeviceContext {
  /** Migration, exclusive access and atomics. */
  readonly memory: DeviceMemory;
  readonly #native: Context;
  /** The argument of the next request; every method writes all fields that its request has. */
  readonly #words: Uint32Array;
  /** The argument of the next rangeFaultBound(), and what stands in it. */
  readonly #rangeWords: Uint32Array;
  #boundRange: BackendRange | null = null;
  #boundRevision = 0;
  #boundSequence = -1;
  #boundPages = 0;
  /** Whether it is tried on this thread first. */
  #boundInline = false;
  readonly #reads: DeviceReads;
  readonly #pageSize: number;
  readonly #inFlight = new Set<Promise<Reply>>();
  readonly #settled: () => void;
  #closing: Promise<void> | null = null;

  /** @param settled called after each request that slept, before its promise resolves: it may have caused invalidations */
  constructor(native: Context, pageSize: number, settled: () => void) {
    this.#native = native;
    this.#words = native.request;
    this.#rangeWords = native.range;
    this.#pageSize = pageSize;
    this.#settled = settled;
    this.#reads = new DeviceReads({
      native,
      pageSize,
      head: (syscall, id) => this.#head(syscall, id, 0),
      post: (work) => this.#post(work),
    });
    this.memory = new DeviceMemory({
      native,
      pageSize,
      head: (syscall, id) => this.#head(syscall, id, 0),
      post: (work) => this.#post(work),
    });
  }

  get closed(): boolean {
    return this.#closing !== null;
  }

  /** The file, for the process that is to bind itself; the caller closes it. */
  descriptor(): Descriptor {
    return this.#native.descriptor();
  }

  watch(callback: () => void): void {
    this.#native.watch((events) => {
      if (events < 0) throw errorOfErrno(-events, 'poll');
      callback();
    });
  }

  /** Whole event records: bytes, or -errno. */
  readEvents(bytes: Uint8Array): number {
    return this.#native.readEvents(bytes);
  }

  /** Waits until no request is in flight. */
  async idle(): Promise<void> {
    while (this.#inFlight.size > 0) await Promise.allSettled(this.#inFlight);
  }

  /** Closes the file; its notifiers go with it. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#native.close();
    return this.#closing;
  }

  /** @returns the notifier's id */
  async insert(notifier: NotifierRequest): Promise<number> {
    const syscall = 'mmu_interval_notifier_insert';
    this.#begin(syscall);
    const words = this.#words;
    putNumber(words, INSERT.start, notifier.start);
    putNumber(words, INSERT.length, notifier.length);
    words[INSERT.flags] = notifier.flags;
    words[INSERT.device] = notifier.device;
    words[INSERT.timeout] = notifier.timeout;
    words[INSERT.id] = 0;
    const reply = await this.#post(this.#native.insertAsync());
    check(reply.errno, syscall);
    return reply.request[INSERT.id]!;
  }

  async remove(id: number): Promise<void> {
    this.#head('mmu_interval_notifier_remove', id, 0);
    const { errno } = await this.#post(this.#native.removeAsync());
    check(errno, 'mmu_interval_notifier_remove');
  }

  readBegin(id: number): MaybePromise<number> {
    const syscall = 'mmu_interval_read_begin';
    this.#sequence(syscall, id, 0);
    const errno = this.#native.readBegin();
    if (errno === undefined) return getNumber(this.#words, SEQUENCE.sequence);
    if (errno !== ERRNO.EAGAIN) throw errorOfErrno(errno, syscall);
    return this.#post(this.#native.readBeginAsync()).then((reply) => {
      check(reply.errno, syscall);
      return getNumber(reply.request, SEQUENCE.sequence);
    });
  }

  readRetry(id: number, sequence: number): boolean {
    this.#sequence('mmu_interval_read_retry', id, sequence);
    check(this.#native.readRetry(), 'mmu_interval_read_retry');
    return this.#words[SEQUENCE.retry] !== 0;
  }

  rangeFault(id: number, range: BackendRange): MaybePromise<void> {
    if (this.#closing !== null) this.#begin('hmm_range_fault');
    const { pfns, notifierSequence } = range;
    const same = range === this.#boundRange && range.revision === this.#boundRevision;
    if (!same || lengthOf(pfns) !== this.#boundPages) this.#bindRange(id, range);
    if (notifierSequence !== this.#boundSequence) {
      putNumber(this.#rangeWords, RANGE.sequence, (this.#boundSequence = notifierSequence));
    }
    if (this.#boundInline) {
      const errno = this.#native.rangeFaultBound();
      if (errno === undefined) return;
      if (errno !== ERRNO.EAGAIN) throw errorOfErrno(errno, 'hmm_range_fault');
    }
    return this.#rangeFaultPooled(pfns);
  }

  async #rangeFaultPooled(pfns: BigUint64Array): Promise<void> {
    this.#words.set(this.#rangeWords);
    this.#words[HEAD.flags] = 0;
    const { errno } = await this.#post(this.#native.rangeFaultAsync(pfns));
    check(errno, 'hmm_range_fault');
  }

  populate(id: number, start: number, end: number, options: PopulateOptions): MaybePromise<PopulateResult> {
    const words = this.#words;
    this.#head('populate', id, (options.write ? WRITABLE : 0) | (options.snapshot ? SNAPSHOT : 0));
    putNumber(words, POPULATE.start, start);
    putNumber(words, POPULATE.end, end);
    putNumber(words, POPULATE.pages, 0);
    putNumber(words, POPULATE.retries, 0);
    if (end - start <= INLINE_PAGES * this.#pageSize) {
      const errno = this.#native.populate();
      if (errno === undefined) return populated(words);
      if (errno !== ERRNO.EAGAIN) throw errorOfErrno(errno, 'populate');
      // What it did before is done again: the counts are of one call.
      putNumber(words, POPULATE.pages, 0);
      putNumber(words, POPULATE.retries, 0);
    }
    return this.#post(this.#native.populateAsync()).then(({ errno, request }) => {
      check(errno, 'populate');
      return populated(request);
    });
  }

  /** @param into at least `length` bytes; default: an array of that length */
  read(id: number, address: number, length: number, into?: Uint8Array): MaybePromise<Uint8Array> {
    return this.#reads.read(id, address, length, into);
  }

  write(id: number, address: number, bytes: Uint8Array): MaybePromise<void> {
    const words = this.#words;
    let before = 0;
    const length = lengthOf(bytes);
    this.#access('device_write', id, address, length);
    if (length <= INLINE_PAGES * this.#pageSize) {
      const errno = this.#native.write(bytes);
      if (errno === undefined) return;
      // What was stored is not stored again: the process may have changed it since.
      before = getNumber(words, ACCESS.done);
      if (errno !== ERRNO.EAGAIN) throw accessError(errno, 'device_write', address, before);
      this.#access('device_write', id, address + before, length - before);
    }
    return this.#post(this.#native.writeAsync(bytes.subarray(before))).then(({ errno, request }) => {
      if (errno !== 0) throw accessError(errno, 'device_write', address, before + getNumber(request, ACCESS.done));
    });
  }

  query(id: number, start: number, end: number): MaybePromise<MirrorPages> {
    const syscall = 'snapshot';
    const pages = this.#query(syscall, id, start, end);
    if (pages <= INLINE_PAGES) {
      const pfns = new BigUint64Array(pages);
      const entries = new BigUint64Array(pages);
      const locations = new Uint8Array(pages);
      const errno = this.#native.query(pfns, entries, locations);
      if (errno === undefined) return { pfns, entries, locations };
      if (errno !== ERRNO.EAGAIN) throw errorOfErrno(errno, syscall);
    }
    return this.#post(this.#native.queryAsync(true)).then(({ errno, memory }) => {
      check(errno, syscall);
      return asPages(memory);
    });
  }

  entries(id: number, start: number, end: number, into?: BigUint64Array): MaybePromise<BigUint64Array> {
    const syscall = 'device page table';
    const pages = this.#query(syscall, id, start, end);
    if (pages <= INLINE_PAGES) {
      const entries = into ?? new BigUint64Array(pages);
      const errno = this.#native.query(null, entries);
      if (errno === undefined) return withoutExclusive(entries);
      if (errno !== ERRNO.EAGAIN) throw errorOfErrno(errno, syscall);
    }
    return this.#post(this.#native.queryAsync(false)).then(({ errno, memory }) => {
      check(errno, syscall);
      const entries = withoutExclusive(new BigUint64Array(memory[0]!));
      if (into === undefined) return entries;
      into.set(entries);
      return into;
    });
  }

  lock(id: number): MaybePromise<void> {
    this.#head('lock', id, 0);
    const errno = this.#native.lock();
    if (errno === undefined) return;
    if (errno !== ERRNO.EAGAIN) throw errorOfErrno(errno, 'lock');
    return this.#post(this.#native.lockAsync()).then((reply) => check(reply.errno, 'lock'));
  }

  /** False: it is not free, or an invalidation has the mutex under it at this moment. */
  tryLock(id: number): boolean {
    this.#head('lock', id, 0);
    const errno = this.#native.lock();
    if (errno === ERRNO.EAGAIN) return false;
    check(errno, 'lock');
    return true;
  }

  unlock(id: number): void {
    this.#head('unlock', id, 0);
    check(this.#native.unlock(), 'unlock');
  }

  async deviceRead(device: number, address: number, length: number, entries: BigUint64Array): Promise<Uint8Array> {
    this.#deviceAccess('device_read', device, address, length);
    const { errno, request, memory } = await this.#post(this.#native.deviceReadAsync(entries));
    if (errno !== 0) throw deviceError(errno, 'device_read', address, request);
    return new Uint8Array(memory[0]!);
  }

  async deviceWrite(device: number, address: number, bytes: Uint8Array, entries: BigUint64Array): Promise<void> {
    this.#deviceAccess('device_write', device, address, lengthOf(bytes));
    const { errno, request } = await this.#post(this.#native.deviceWriteAsync(entries, bytes));
    if (errno !== 0) throw deviceError(errno, 'device_write', address, request);
  }

  /** @returns a positive errno, or undefined: ENOENT is not always an error */
  ack(ticket: number): number | undefined {
    putNumber(this.#words, ACK.ticket, ticket);
    this.#words[ACK.result] = 0;
    this.#words[ACK.reserved] = 0;
    return this.#native.ack();
  }

  /** The argument of a query. @returns its pages */
  #query(syscall: string, id: number, start: number, end: number): number {
    this.#head(syscall, id, 0);
    putNumber(this.#words, QUERY.start, start);
    putNumber(this.#words, QUERY.end, end);
    // In the module's words; said here, before anything is allocated for it.
    const pages = Math.max(0, Math.floor((end - start) / this.#pageSize));
    if (pages > MAX_RANGE_PAGES) throw errorOfErrno(ERRNO.EINVAL, syscall);
    return pages;
  }

  /** Writes what does not change from call to call, and binds the array. */
  #bindRange(id: number, range: BackendRange): void {
    const words = this.#rangeWords;
    const { pfns } = range;
    this.#boundRange = range;
    this.#boundRevision = range.revision;
    this.#boundPages = lengthOf(pfns);
    words[HEAD.id] = id;
    words[HEAD.flags] = 0;
    putNumber(words, RANGE.start, range.start);
    putNumber(words, RANGE.end, range.end);
    putBigint(words, RANGE.defaultFlags, range.defaultFlags);
    putBigint(words, RANGE.pfnFlagsMask, range.pfnFlagsMask);
    words[RANGE.owner] = range.owner ?? NO_DEVICE;
    words[RANGE.reserved] = 0;
    // A look is quick, and for requests it is a guess that the pages are there. By page they are never tried without
    // sleeping: the module would only say so.
    const looks = (range.defaultFlags & HMM_PFN_REQ_FAULT) === 0n;
    const requests = looks ? HMM_PFN_REQ_FAULT : HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE;
    const byPage = (range.pfnFlagsMask & requests) !== 0n;
    this.#boundInline = !byPage && this.#boundPages <= (looks ? INLINE_WALK_PAGES : INLINE_PAGES);
    // A longer one is only read on the thread pool, and need not be kept.
    if (this.#boundPages <= INLINE_WALK_PAGES) this.#native.bindPfns(pfns);
  }

  #begin(syscall: string): void {
    if (this.#closing !== null) throw new HmmError('ERR_HMM_CLOSED', syscall);
  }

  #head(syscall: string, id: number, flags: number): void {
    this.#begin(syscall);
    this.#words[HEAD.id] = id;
    this.#words[HEAD.flags] = flags;
  }

  #sequence(syscall: string, id: number, sequence: number): void {
    this.#head(syscall, id, 0);
    putNumber(this.#words, SEQUENCE.sequence, sequence);
    this.#words[SEQUENCE.retry] = 0;
    this.#words[SEQUENCE.reserved] = 0;
  }

  #access(syscall: string, id: number, address: number, length: number): void {
    this.#head(syscall, id, 0);
    this.#checkLength(syscall, length);
    putNumber(this.#words, ACCESS.address, address);
    putNumber(this.#words, ACCESS.length, length);
    putNumber(this.#words, ACCESS.done, 0);
  }

  #deviceAccess(syscall: string, device: number, address: number, length: number): void {
    this.#head(syscall, device, 0);
    this.#checkLength(syscall, length);
    putNumber(this.#words, DEVICE_ACCESS.address, address);
    putNumber(this.#words, DEVICE_ACCESS.length, length);
    putNumber(this.#words, DEVICE_ACCESS.done, 0);
    putNumber(this.#words, DEVICE_ACCESS.staleAddress, 0);
  }

  /** As in #query. */
  #checkLength(syscall: string, length: number): void {
    if (length > MAX_RANGE_PAGES * this.#pageSize) throw errorOfErrno(ERRNO.EINVAL, syscall);
  }

  async #post(work: Promise<Reply>): Promise<Reply> {
    this.#inFlight.add(work);
    try {
      return await work;
    } finally {
      this.#inFlight.delete(work);
      this.#settled();
    }
  }
}
