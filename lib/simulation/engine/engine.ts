/**
 * Tasks: every operation is a generator, driven here. It yields a *label* where the kernel could be preempted, or a
 * {@link Wait} where the kernel sleeps.
 *
 * Without a Scheduler a task runs on until it sleeps, so an operation that meets no contention returns its value
 * synchronously, and routines skip their labels altogether (`engine.preemptive` is false). With a Scheduler every label
 * is a decision: nextTask() picks who goes on. Nothing here is concurrent in the sense of memory; what can change
 * under a task is exactly what other tasks do between two of its yields.
 */
import type { MaybePromise } from '../../backend.js';
import type { Scheduler, TaskView } from '../../scheduler.js';

export type Step = string | Wait;
export type Routine<T> = Generator<Step, T, undefined>;

/** Something that one task sleeps on. `at` names the kernel function that sleeps. */
export class Wait {
  settled = false;
  task: Task | null = null;
  readonly #engine: Engine;

  constructor(
    engine: Engine,
    readonly at: string,
  ) {
    this.#engine = engine;
  }

  settle(): void {
    if (this.settled) return;
    this.settled = true;
    if (this.task !== null) this.#engine.wake(this.task);
  }
}

export class Task implements TaskView {
  at = 'start';
  done = false;
  value: unknown = undefined;
  error: Error | null = null;
  /** Set once somebody holds a promise of the outcome. */
  settle: (() => void) | null = null;

  constructor(
    readonly id: number,
    public name: string,
    readonly routine: Routine<unknown>,
  ) {}
}

type Host = { setImmediate?: (callback: () => void) => unknown };

/** After every microtask that is queued now: whatever the caller's code does in answer to a result has been done then. */
function afterMicrotasks(callback: () => void): void {
  const { setImmediate } = globalThis as Host;
  if (setImmediate !== undefined) setImmediate(callback);
  else setTimeout(callback, 0);
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error('a task threw something that is no Error', { cause: thrown });
}

export class Engine {
  readonly #scheduler: Scheduler | null;
  /** Whether labels must be yielded at all. */
  readonly preemptive: boolean;
  /** The task that is making a step, for those who name it after the operation under way. */
  current: Task | null = null;
  #nextId = 1;
  /** Without a scheduler: woken tasks, in the order of waking. With one: all that can go on, ascending by id. */
  #runnable: Task[] = [];
  #depth = 0;
  #armed = false;
  #pause = false;
  #last: Task | null = null;

  constructor(scheduler: Scheduler | null) {
    this.#scheduler = scheduler;
    this.preemptive = scheduler !== null;
  }

  /** Starts a task. Its value, or a promise of it when it had to wait (always, with a scheduler); failures throw or reject. */
  start<T>(name: string, routine: Routine<T>): MaybePromise<T> {
    const task = new Task(this.#nextId++, name, routine);
    if (this.#scheduler !== null) {
      this.#insert(task);
      this.#arm();
      return this.#promise<T>(task);
    }
    this.#advance(task);
    if (this.#depth === 0) this.#drain();
    if (!task.done) return this.#promise<T>(task);
    if (task.error !== null) throw task.error;
    return task.value as T;
  }

  wake(task: Task): void {
    if (this.#scheduler !== null) {
      this.#insert(task);
      this.#arm();
      return;
    }
    this.#runnable.push(task);
    if (this.#depth === 0) this.#drain();
  }

  /** With a scheduler: lets the program's own code run before the next decision, because a promise of its is awaited. */
  pauseForHost(): void {
    this.#pause = true;
  }

  #promise<T>(task: Task): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      task.settle = () => {
        if (task.error !== null) reject(task.error);
        else resolve(task.value as T);
      };
    });
  }

  /** Runs the task until it ends or sleeps (or, with a scheduler, to its next label). */
  #advance(task: Task): boolean {
    const outer = this.current;
    this.current = task;
    this.#depth++;
    try {
      for (;;) {
        const { done, value } = task.routine.next();
        if (done === true) {
          this.#finish(task, value, null);
          return false;
        }
        if (typeof value === 'string') {
          task.at = value;
          if (this.preemptive) return true;
          continue;
        }
        task.at = value.at;
        if (value.settled) {
          if (this.preemptive) return true;
          continue;
        }
        value.task = task;
        return false;
      }
    } catch (error) {
      this.#finish(task, undefined, asError(error));
      return false;
    } finally {
      this.#depth--;
      this.current = outer;
    }
  }

  #finish(task: Task, value: unknown, error: Error | null): void {
    task.done = true;
    task.value = value;
    task.error = error;
    task.settle?.();
    this.#pause = true;
  }

  #drain(): void {
    for (let task = this.#runnable.shift(); task !== undefined; task = this.#runnable.shift()) this.#advance(task);
  }

  #insert(task: Task): void {
    let at = this.#runnable.length;
    while (at > 0 && this.#runnable[at - 1]!.id > task.id) at--;
    this.#runnable.splice(at, 0, task);
  }

  #arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    afterMicrotasks(() => {
      this.#armed = false;
      this.#schedule();
    });
  }

  /** Makes the scheduler's decisions until nobody can go on, or until the program's own code has to be let in. */
  #schedule(): void {
    const scheduler = this.#scheduler!;
    this.#pause = false;
    while (this.#runnable.length > 0) {
      let task: Task | undefined;
      try {
        const id = scheduler.nextTask(this.#runnable, this.#last);
        task = this.#runnable.find((candidate) => candidate.id === id);
        if (task === undefined)
          throw new RangeError(`nextTask() answered ${id}, which is not the id of a runnable task`);
      } catch (error) {
        // Without decisions nothing can go on: whoever waits for one of these tasks learns why.
        for (const stuck of this.#runnable.splice(0)) this.#finish(stuck, undefined, asError(error));
        return;
      }
      const goesOn = this.#advance(task);
      this.#last = goesOn ? task : null;
      if (!goesOn) this.#runnable.splice(this.#runnable.indexOf(task), 1);
      if (this.#pause) {
        this.#arm();
        return;
      }
    }
  }
}
