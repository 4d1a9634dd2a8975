/** What the engine runs: routines, and what they sleep on. */
import type { StepView, TaskView } from '../../scheduler.js';

/** A label, where the kernel could be preempted, a {@link Wait}, where it sleeps, or a {@link Stepper}, to be asked for labels from here on. */
export type Step = string | Wait | Stepper;
export type Routine<T> = Generator<Step, T, undefined>;

/**
 * A loop that stands at one preemption point after the other, without a generator: a routine that is inside others is resumed through all of them, a stepper costs
 * a call. Yielded where there are labels at all (`engine.preemptive`); the routine goes on when it has come to its end.
 */
export interface Stepper {
  /** Runs to the next label, and answers it; null: the routine goes on, at once. What it throws the routine throws. */
  step(): string | null;
}

/** Who runs a task that can go on again. */
export interface Waker {
  wake(task: Task): void;
}

/** Something that one task sleeps on. `at` names the kernel function that sleeps. */
export class Wait {
  settled = false;
  task: Task | null = null;
  readonly #waker: Waker;

  constructor(
    waker: Waker,
    readonly at: string,
  ) {
    this.#waker = waker;
  }

  settle(): void {
    if (this.settled) return;
    this.settled = true;
    if (this.task !== null) this.#waker.wake(this.task);
  }
}

export class Task implements TaskView {
  done = false;
  value: unknown = undefined;
  error: Error | null = null;
  /** Of the promise of the outcome, once somebody holds it. */
  resolve: ((value: unknown) => void) | null = null;
  reject: ((error: Error) => void) | null = null;
  since = 0;
  /** What makes its next step instead of the routine, which has yielded it. */
  stepper: Stepper | null = null;

  constructor(
    readonly id: number,
    public name: string,
    /** null: a point in the program's own code, with nothing to do but to go on. */
    readonly routine: Routine<unknown> | null,
    public at: string,
    readonly thread: number,
  ) {}
}

/** The one StepView of an engine. */
export class StepRecord implements StepView {
  task!: Task;
  from = '';
  to = '';
  point = false;
  outcome: StepView['outcome'] = 'runnable';
  host = false;
  touched = 0;
}
