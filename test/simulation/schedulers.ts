/** Schedulers that stage what a test is about: one meeting of two operations, or any order at all. */
import type { Scheduler, TaskView } from '../../lib/scheduler.js';

/** One execution, with no choice but of tasks; who stood where when chosen is written down. */
abstract class Staged implements Scheduler {
  readonly seen: string[] = [];
  constructor(
    protected readonly name: string,
    protected readonly at: string,
  ) {}
  protected abstract choose(runnable: readonly TaskView[]): TaskView;
  newExecution(): boolean {
    return true;
  }
  nextTask(runnable: readonly TaskView[]): number {
    const chosen = this.choose(runnable);
    this.seen.push(`${chosen.name}@${chosen.at}`);
    return chosen.id;
  }
  nextU64(): bigint {
    return 0n;
  }
  protected named(runnable: readonly TaskView[]): TaskView | undefined {
    return runnable.find(({ name }) => name === this.name);
  }
  protected other(runnable: readonly TaskView[]): TaskView | undefined {
    return runnable.find(({ name }) => name !== this.name);
  }
}

/** Lets the operation of that name run until it stands at a point, then another to its end, then whoever is left. */
export class RunUntil extends Staged {
  protected choose(runnable: readonly TaskView[]): TaskView {
    const [first, other] = [this.named(runnable), this.other(runnable)];
    return first !== undefined && (other === undefined || first.at !== this.at) ? first : (other ?? runnable[0]!);
  }
}

/** Holds the operation of that name at a point until nobody else can go on. */
export class Hold extends Staged {
  protected choose(runnable: readonly TaskView[]): TaskView {
    const held = runnable.find(({ name, at }) => name === this.name && at === this.at);
    // What is to be held goes first until it gets there: the others are to meet it in that state.
    const [first, other] = [this.named(runnable), this.other(runnable)];
    return held === undefined ? (first ?? other!) : (other ?? held);
  }
}

/** Every choice from a seeded generator. */
export class Random implements Scheduler {
  constructor(private state: number) {}
  newExecution(): boolean {
    return true;
  }
  nextTask(runnable: readonly TaskView[]): number {
    return runnable[this.below(runnable.length)]!.id;
  }
  nextU64(): bigint {
    return BigInt(this.below(2 ** 32));
  }
  /** An integer from 0 to limit - 1. */
  below(limit: number): number {
    this.state = (Math.imul(this.state, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.state / 2 ** 32) * limit);
  }
}
