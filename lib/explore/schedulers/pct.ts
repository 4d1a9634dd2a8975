/**
 * Probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte, ASPLOS 2010): threads have random priorities, the highest that can go on goes
 * on, and at depth - 1 random steps whoever goes on drops below all others. A bug that takes `depth` ordered steps is met with a probability
 * of at least 1 / (n * k^(depth-1)) in each execution, n threads and k steps.
 */
import { Xorshift } from './xorshift.js';
import type { Scheduler, TaskView } from '../../scheduler.js';

export class PctScheduler implements Scheduler {
  readonly #seeds: Xorshift;
  readonly #depth: number;
  readonly #random = new Xorshift(0n);
  #left: number;
  /** By thread; the higher goes first. */
  readonly #priorities = new Map<number, number>();
  readonly #changes = new Set<number>();
  #step = 0;
  /** The longest execution so far: where changes of priority may fall. The first one only measures. */
  #longest = 0;
  #lowest = 0;

  constructor(seed: bigint, executions: number, depth: number) {
    this.#seeds = new Xorshift(seed);
    this.#left = executions;
    this.#depth = depth;
  }

  newExecution(): boolean {
    this.#longest = Math.max(this.#longest, this.#step);
    if (this.#left === 0) return false;
    this.#left--;
    this.#random.reseed(this.#seeds);
    this.#priorities.clear();
    this.#changes.clear();
    this.#lowest = 0;
    this.#step = 0;
    for (let change = 1; change < this.#depth && this.#longest > 0; change++) {
      this.#changes.add(this.#random.below(this.#longest));
    }
    return true;
  }

  nextTask(runnable: readonly TaskView[]): number {
    let chosen = this.#highest(runnable);
    if (this.#changes.has(this.#step++)) {
      this.#priorities.set(chosen.thread, --this.#lowest);
      chosen = this.#highest(runnable);
    }
    return chosen.id;
  }

  nextU64(): bigint {
    return this.#random.next();
  }

  #highest(runnable: readonly TaskView[]): TaskView {
    let best = runnable[0]!;
    for (const task of runnable) if (this.#priority(task) > this.#priority(best)) best = task;
    return best;
  }

  #priority({ thread }: TaskView): number {
    let priority = this.#priorities.get(thread);
    if (priority === undefined) this.#priorities.set(thread, (priority = 1 + this.#random.next32()));
    return priority;
  }
}
