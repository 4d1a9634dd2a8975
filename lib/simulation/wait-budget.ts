/** The bound of an invalidation's waits for the program (kernel-module/waits.c): one for all notifiers that it hits. */

/** What an invalidation has waited for the program so far. */
export interface WaitBudget {
  /** Milliseconds. */
  waited: number;
}

export class BoundedWait {
  readonly #budget: WaitBudget;
  readonly #began = performance.now();

  constructor(budget: WaitBudget) {
    this.#budget = budget;
  }

  /** @returns milliseconds for which the invalidation may still wait, with a bound of `timeout` in all; 0: no longer */
  left(timeout: number): number {
    return Math.max(timeout - this.#budget.waited, 0);
  }

  /** To be called once, when the wait has ended. */
  end(): void {
    this.#budget.waited += performance.now() - this.#began;
  }
}
