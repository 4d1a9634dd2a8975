import type { BackendLock } from './backend.js';

/**
 * The update lock of a driver: taken inside `invalidate()`, and around `readRetry` and the update of the page
 * table that it vouches for. First come, first served, and not recursive. Its waiting is the backend's, so that on the
 * simulation a Scheduler decides who goes on.
 */
export class Lock {
  readonly #backend: BackendLock;

  /** @internal */
  constructor(backend: BackendLock) {
    this.#backend = backend;
  }

  /** Resolves when the lock is held; `using held = await lock.acquire()` releases it at the end of the block. */
  async acquire(): Promise<Disposable> {
    await this.#backend.acquire();
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        this.#backend.release();
      },
    };
  }

  /**
   * @throws {HmmError} EINVAL if it is not held; ETIMEDOUT if it is a Mirror's and an invalidation, having waited for its
   * bound, took the lock away: what was done under it may have raced
   */
  release(): void {
    this.#backend.release();
  }

  /** Runs `critical` with the lock held, and releases whatever becomes of it. */
  async run<T>(critical: () => T | Promise<T>): Promise<T> {
    if (typeof critical !== 'function') throw new TypeError('critical must be a function');
    await this.#backend.acquire();
    try {
      return await critical();
    } finally {
      this.#backend.release();
    }
  }
}
