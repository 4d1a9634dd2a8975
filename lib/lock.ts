import type { BackendLock } from './backend.js';

export interface LockOptions {
  /** What reports of the explorer call it. Default 'driver lock'. */
  readonly name?: string;
}

/** A lock that the caller holds. Disposing of it releases it: `using held = await lock.acquire()`. */
export interface Held extends Disposable {
  /**
   * Releases the lock the first time; later calls do nothing.
   * @throws {HmmError} as Lock.release()
   */
  release(): void;
}

/**
 * The update lock of a driver: taken inside `invalidate()`, and around `readRetry` and the update of the page
 * table that it vouches for. First come, first served, and not recursive. Its waiting is the backend's, so that on the
 * simulation a Scheduler decides who goes on.
 */
export class Lock {
  /** What reports of the explorer call it. */
  readonly name: string;
  readonly #backend: BackendLock;
  readonly #check: () => void;

  /**
   * @internal
   * @param check throws if the lock may not be taken any more
   */
  constructor(backend: BackendLock, name: string, check: () => void = () => undefined) {
    this.#backend = backend;
    this.name = name;
    this.#check = check;
  }

  /**
   * Waits until the caller holds the lock (mutex_lock).
   * @throws {HmmError} of a Mirror's lock: ERR_HMM_CLOSED if the mirror has been removed, ENOENT if it is removed while the
   * call waits
   */
  async acquire(): Promise<Held> {
    this.#check();
    await this.#backend.acquire();
    return this.#held();
  }

  /**
   * Takes the lock if nobody holds it, and never waits (mutex_trylock). An `invalidate()` whose range is not blockable
   * takes its lock in this way, and returns false if it does not get it.
   * @returns null if the lock is not free
   * @throws {HmmError} of a Mirror's lock: ERR_HMM_CLOSED if the mirror has been removed
   */
  tryAcquire(): Held | null {
    this.#check();
    return this.#backend.tryAcquire() ? this.#held() : null;
  }

  /**
   * @throws {HmmError} EINVAL if it is not held; ETIMEDOUT if it is a Mirror's and an invalidation, having waited for its
   * bound, took the lock away: what was done under it may have raced
   */
  release(): void {
    this.#backend.release();
  }

  /**
   * Runs `critical` with the lock held, and releases it even if `critical` throws.
   * @returns what `critical` returned
   * @throws {HmmError} as acquire() and release()
   */
  async run<T>(critical: () => T | Promise<T>): Promise<T> {
    if (typeof critical !== 'function') throw new TypeError('critical must be a function');
    this.#check();
    await this.#backend.acquire();
    try {
      return await critical();
    } finally {
      this.#backend.release();
    }
  }

  #held(): Held {
    let held = true;
    const release = (): void => {
      if (!held) return;
      held = false;
      this.#backend.release();
    };
    return { release, [Symbol.dispose]: release };
  }
}
