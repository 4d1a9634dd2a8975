import type { MaybePromise } from './backend.js';

/** What operations may cost, one after the other, before the event loop gets a turn; see `settle`. */
const BUDGET = 2048;

const READY = Promise.resolve();

type Turn = (done: () => void) => void;
const { setImmediate } = globalThis as { setImmediate?: Turn };
const nextTurn: Turn = setImmediate ?? ((done) => setTimeout(done, 0));

/**
 * An operation that could be done at once gives a promise that is resolved already; a program that awaits nothing but such promises in a
 * loop would keep timers, sockets and its own callbacks from ever running. So every so often a promise takes a turn of the event loop.
 */
export class LoopShare {
  #left = BUDGET;

  /**
   * The result, as it is, or after a turn of the event loop.
   * @param cost 1 for the least there is, a system call; a long one is worth a unit for every few pages
   */
  settle<T>(result: MaybePromise<T>, cost = 1): MaybePromise<T> {
    this.#left -= cost;
    if (this.#left > 0 || result instanceof Promise) return result;
    return this.#turn(result);
  }

  #turn<T>(result: T): Promise<T> {
    this.#left = BUDGET;
    return new Promise((resolve) => nextTurn(() => resolve(result)));
  }

  /** The same for a failure. Neither thrown, which costs as much as what was refused, nor rejected before anybody can await it, of which Node would take note. */
  fail(error: unknown): Promise<never> {
    const turn = this.settle(undefined) ?? READY;
    return new Promise((_, reject) => {
      void turn.then(() => reject(error as Error));
    });
  }
}
