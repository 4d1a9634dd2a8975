/**
 * The requests of one open device file that move pages to a device and back, or make them the device's alone. All of them
 * invalidate, and an invalidation may wait for a callback on this thread: so they run on the thread pool.
 */
import type { MaybePromise, MigrateResult } from '../backend.js';
import { ERRNO, errorOfErrno, type HmmError } from '../errors.js';
import { ATOMIC, DEVICE_INFO, EVICT, INFO, PAGES, getBigint, getNumber, putBigint, putNumber } from './abi.js';
import type { Context, Reply } from './addon.js';
import { check, pagesError } from './replies.js';

/** What the context does for all of its requests. */
export interface RequestQueue {
  readonly native: Context;
  readonly pageSize: number;
  /** Writes the first two words, unless the context is closed: then it throws. */
  head(syscall: string, id: number): void;
  /** Keeps the request among those in flight, and tells of its end. */
  post(work: Promise<Reply>): Promise<Reply>;
}

const ATOMIC_SYSCALL = 'device_atomic';

export class DeviceMemory {
  readonly #queue: RequestQueue;

  constructor(queue: RequestQueue) {
    this.#queue = queue;
  }

  async migrateToDevice(id: number, start: number, end: number): Promise<MigrateResult> {
    const syscall = 'migrate_to_device';
    this.#pages(syscall, id, start, end);
    return { migrated: await this.#done(syscall, this.#queue.native.migrateToDeviceAsync()) };
  }

  async migrateToSystem(id: number, start: number, end: number): Promise<MigrateResult> {
    const syscall = 'migrate_to_system';
    this.#pages(syscall, id, start, end);
    return { migrated: await this.#done(syscall, this.#queue.native.migrateToSystemAsync()) };
  }

  async makeExclusive(id: number, start: number, end: number): Promise<{ pages: number }> {
    const syscall = 'make_device_exclusive_range';
    this.#pages(syscall, id, start, end);
    return { pages: await this.#done(syscall, this.#queue.native.makeExclusiveAsync()) };
  }

  /** At once where the device has the page for itself already. */
  atomicAdd(id: number, address: number, value: bigint): MaybePromise<bigint> {
    const { native } = this.#queue;
    const words = native.request;
    this.#queue.head(ATOMIC_SYSCALL, id);
    putNumber(words, ATOMIC.address, address);
    putBigint(words, ATOMIC.value, BigInt.asUintN(64, value));
    putNumber(words, ATOMIC.old, 0);
    putNumber(words, ATOMIC.retries, 0);
    // EAGAIN has added nothing, so the second attempt is not a second addition.
    const errno = native.atomicAdd();
    if (errno === undefined) return getBigint(words, ATOMIC.old);
    if (errno !== ERRNO.EAGAIN) throw errorOfErrno(errno, ATOMIC_SYSCALL);
    putNumber(words, ATOMIC.retries, 0);
    return this.#queue.post(native.atomicAddAsync()).then((reply) => {
      if (reply.errno !== 0) throw this.#atomicError(reply.errno, address);
      return getBigint(reply.request, ATOMIC.old);
    });
  }

  /** Pages of the device's memory that are in use. */
  usage(device: number): number {
    const info = new Uint32Array(INFO.words);
    check(this.#queue.native.info(info), 'device_usage');
    return getNumber(info, INFO.devices + device * DEVICE_INFO.words + DEVICE_INFO.used);
  }

  async evict(device: number): Promise<MigrateResult> {
    const syscall = 'migrate_device_range';
    this.#queue.head(syscall, device);
    putNumber(this.#queue.native.request, EVICT.pages, 0);
    const { errno, request } = await this.#queue.post(this.#queue.native.evictAsync());
    const migrated = getNumber(request, EVICT.pages);
    if (errno !== 0) throw errorOfErrno(errno, syscall, migrated > 0 ? { done: migrated } : {});
    return { migrated };
  }

  #pages(syscall: string, id: number, start: number, end: number): void {
    const words = this.#queue.native.request;
    this.#queue.head(syscall, id);
    putNumber(words, PAGES.start, start);
    putNumber(words, PAGES.end, end);
    putNumber(words, PAGES.pages, 0);
    putNumber(words, PAGES.address, 0);
    putNumber(words, PAGES.retries, 0);
  }

  async #done(syscall: string, work: Promise<Reply>): Promise<number> {
    const { errno, request } = await this.#queue.post(work);
    if (errno !== 0) throw pagesError(errno, syscall, request);
    return getNumber(request, PAGES.pages);
  }

  /**
   * What cannot be had is a page, as of makeExclusive. EOPNOTSUPP is of this page too: a kernel that never can says so to
   * the attempt on this thread already.
   */
  #atomicError(errno: number, address: number): HmmError {
    const ofPage = errno === ERRNO.EFAULT || errno === ERRNO.EOPNOTSUPP || errno === ERRNO.EBUSY;
    return errorOfErrno(errno, ATOMIC_SYSCALL, ofPage ? { address: address - (address % this.#queue.pageSize) } : {});
  }
}
