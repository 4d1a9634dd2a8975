/** Locks of drivers: one in JavaScript alone, and one on top of it that the module's invalidations see. */
import type { BackendLock } from '../backend.js';
import { HmmError } from '../errors.js';

/** First come, first served. */
export class FairLock implements BackendLock {
  #held = false;
  readonly #waiting: (() => void)[] = [];

  acquire(): Promise<void> {
    if (!this.#held) {
      this.#held = true;
      return Promise.resolve();
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  tryAcquire(): boolean {
    if (this.#held) return false;
    this.#held = true;
    return true;
  }

  /** Hands the lock to the one that has waited longest, if any: nobody can get in between. */
  release(): void {
    if (!this.#held) throw new HmmError('EINVAL', 'unlock', 'the lock is not held');
    const next = this.#waiting.shift();
    if (next === undefined) this.#held = false;
    else next();
  }
}

/**
 * The update lock of a mirror, which is the module's. Acquirers of this program wait for each other in JavaScript: in the
 * module each would take a thread, and the module has no order among them.
 */
export class UpdateLock implements BackendLock {
  readonly #queue = new FairLock();
  readonly #lock: () => Promise<void>;
  readonly #tryLock: () => boolean;
  readonly #unlock: () => void;
  #held = false;

  /** @param tryLock false: the module's lock is not free */
  constructor(lock: () => Promise<void>, tryLock: () => boolean, unlock: () => void) {
    this.#lock = lock;
    this.#tryLock = tryLock;
    this.#unlock = unlock;
  }

  get held(): boolean {
    return this.#held;
  }

  async acquire(): Promise<void> {
    await this.#queue.acquire();
    try {
      await this.#lock();
    } catch (error) {
      this.#queue.release();
      throw error;
    }
    this.#held = true;
  }

  tryAcquire(): boolean {
    if (!this.#queue.tryAcquire()) return false;
    try {
      this.#held = this.#tryLock();
    } finally {
      if (!this.#held) this.#queue.release();
    }
    return this.#held;
  }

  release(): void {
    if (!this.#held) throw new HmmError('EINVAL', 'unlock', 'the lock is not held');
    this.#held = false;
    try {
      this.#unlock();
    } finally {
      this.#queue.release();
    }
  }
}
