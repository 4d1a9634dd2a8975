/** Random walks: a uniform choice at every step, and PCT. Each execution has a seed of its own, so each can be had again. */
import { Xorshift } from './xorshift.js';
import type { Scheduler, TaskView } from '../../scheduler.js';

export class RandomScheduler implements Scheduler {
  readonly #executions: number;
  readonly #seeds: Xorshift;
  readonly #random = new Xorshift(0n);
  #left: number;

  constructor(seed: bigint, executions: number) {
    this.#executions = executions;
    this.#left = executions;
    this.#seeds = new Xorshift(seed);
  }

  newExecution(): boolean {
    if (this.#left === 0) return false;
    this.#left--;
    this.#random.reseed(this.#seeds);
    return true;
  }

  nextTask(runnable: readonly TaskView[]): number {
    return runnable[runnable.length === 1 ? 0 : this.#random.below(runnable.length)]!.id;
  }

  nextU64(): bigint {
    return this.#random.next();
  }

  get executions(): number {
    return this.#executions - this.#left;
  }
}
