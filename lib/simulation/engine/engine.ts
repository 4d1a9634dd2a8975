/**
 * Tasks: every operation is a generator, driven here. It yields a *label* where the kernel could be preempted, a
 * {@link Wait} where the kernel sleeps, or a {@link Stepper}, which has the next labels.
 *
 * Without a Scheduler a task runs on until it sleeps, so an operation that meets no contention returns its value
 * synchronously, and routines skip their labels altogether (`engine.preemptive` is false). With a Scheduler every label
 * is a decision: nextTask() picks who goes on. Nothing here is concurrent in the sense of memory; what can change
 * under a task is exactly what other tasks do between two of its yields.
 *
 * Between two decisions the program's own code may have to run, in microtasks. When it has done so is the business of a
 * {@link Conductor}; by default, when no microtask is left.
 */
import { HmmError } from '../../errors.js';
import { StepRecord, Task, Wait } from './task.js';
import { KERNEL, type Touched } from './touch.js';
import { fairly } from './host.js';
import type { MaybePromise } from '../../backend.js';
import type { Routine, Step, Stepper } from './task.js';
import type { Scheduler } from '../../scheduler.js';

export { Wait, Task } from './task.js';
export type { Routine, Step, Stepper } from './task.js';

/** A scheduler may bring the engine that it decides for, and share it between simulations. */
export const ENGINE = Symbol('node-hmm engine');

/** Knows when the program's own code has had its turn, and when an execution is over. */
export interface Conductor {
  /** The program's code is about to run, or may: a result that it awaits is there, or a callback of its begins. */
  enterHost(): void;
  /** It has come back with a call, or a callback of its has returned. Calls engine.schedule() when all of it has. */
  leaveHost(): void;
  /** Code of the program's, not a task, made a task runnable: it has released a lock, say. */
  woken(): void;
  /** Whether the next decision has to wait for the program's code. */
  readonly busy: boolean;
  /** No task can go on, and the program's code has had its turn. */
  idle(): void;
  /** The scheduler failed. Returns whether that has been dealt with; if not, every runnable task fails with the error. */
  failed(error: unknown): boolean;
}

/** Told which thread takes which lock, and sleeps where it must not. A lock is whatever object stands for it. */
export interface LockObserver {
  created(lock: object, kind: string): void;
  /** Before it waits, if it has to. */
  acquiring(lock: object, kind: string): void;
  acquired(lock: object, kind: string): void;
  /** Taken without waiting (mutex_trylock): whoever takes a lock so never waits for its holder. */
  tried(lock: object, kind: string): void;
  released(lock: object): void;
  /**
   * The callback of an invalidation that is not blockable has returned a promise.
   * @param settled whether the promise has settled by now; it must before anything else makes a step
   */
  mustNotSleep(event: string, settled: () => boolean): void;
  /** A callback threw, rejected, or refused what cannot be refused. */
  callbackFailed(failure: Error): void;
}

/** The conductor of a program that is nobody's experiment: it gets a turn after each result, and timers too now and then. */
class Turns implements Conductor {
  readonly #turn = fairly();
  readonly #schedule: () => void;
  #armed = false;

  constructor(engine: Engine) {
    this.#schedule = () => {
      this.#armed = false;
      engine.schedule();
    };
  }

  get busy(): boolean {
    return this.#armed;
  }

  enterHost(): void {
    this.leaveHost();
  }

  leaveHost(): void {
    if (this.#armed) return;
    this.#armed = true;
    this.#turn(this.#schedule);
  }

  woken(): void {
    this.leaveHost();
  }

  idle(): void {
    // Whatever comes next, a call of the program's makes it.
  }

  failed(): boolean {
    return false;
  }
}

function newTurns(engine: Engine): Conductor {
  return new Turns(engine);
}

const NEVER = new Promise<never>(() => undefined);

type Executor<T> = (resolve: (value: T | PromiseLike<T>) => void, reject: (error: unknown) => void) => void;

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error('a task threw something that is no Error', { cause: thrown });
}

function outcomeOf<T>(task: Task): T {
  if (task.error !== null) throw task.error;
  return task.value as T;
}

/** What the routine yields next; null when it has returned, with its value in the task. */
function next(task: Task, routine: Routine<unknown>): Step | null {
  const result = routine.next();
  if (result.done !== true) return result.value;
  task.value = result.value;
  return null;
}

/** The stepper's next label, or what the routine yields after it. */
function nextOf(task: Task, stepper: Stepper, routine: Routine<unknown>): Step | null {
  let label: string | null;
  try {
    label = stepper.step();
  } catch (error) {
    task.stepper = null;
    // Through the routine, which has locks to release.
    const result = routine.throw(error);
    if (result.done !== true) return result.value;
    task.value = result.value;
    return null;
  }
  if (label !== null) return label;
  task.stepper = null;
  return next(task, routine);
}

export class Engine {
  readonly #scheduler: Scheduler | null;
  /** Whether labels must be yielded at all. Changes only while no task is under way. */
  preemptive: boolean;
  /** The task that is making a step, for those who name it after the operation under way. */
  current: Task | null = null;
  /** The thread of the program whose code runs now: what it starts is done for it. */
  thread = -1;
  /** Steps made under the scheduler. */
  steps = 0;
  #over = false;
  readonly conductor: Conductor;
  /** Who is told of locks: an observer of their order. */
  locks: LockObserver | null = null;
  /** The simulations that run on it, for those who look into them. */
  readonly machines: object[] = [];
  readonly #asleep: Task[] = [];
  #nextId = 1;
  /** Without a scheduler: woken tasks, in the order of waking. With one: all that can go on, ascending by id. */
  #runnable: Task[] = [];
  #depth = 0;
  #last: Task | null = null;
  readonly #step = new StepRecord();
  /** One executor for all promises, instead of a closure for each: whose promise it is. */
  #promised!: Task;
  readonly #capture = (resolve: (value: unknown) => void, reject: (error: Error) => void): void => {
    this.#promised.resolve = resolve;
    this.#promised.reject = reject;
  };
  /** Whether the scheduler has been told of the last step. */
  #told = true;

  /** @param conducted by whom; default: somebody who lets the program and the event loop have their turns */
  constructor(scheduler: Scheduler | null, conducted: (engine: Engine) => Conductor = newTurns) {
    this.#scheduler = scheduler;
    this.preemptive = scheduler !== null;
    this.conductor = conducted(this);
  }

  /** The engine that the scheduler brings, or a new one for it. */
  static of(scheduler: Scheduler | null): Engine {
    const brought: unknown = scheduler === null ? null : (scheduler as { [ENGINE]?: unknown })[ENGINE];
    return brought instanceof Engine ? brought : new Engine(scheduler);
  }

  /**
   * Starts a task. Its value, or a promise of it when it had to wait (with a scheduler: when it has a preemption point); failures throw or reject.
   * With a scheduler it runs up to the first preemption point at once, as a part of the code that started it.
   * @param routine fails by throwing, or by returning the HmmError: on its way through routines that are inside each other an exception costs as much as a hundred steps
   * @param touched what it touches up to there
   */
  start<T>(name: string, routine: Routine<T | HmmError>, touched: Touched = KERNEL): MaybePromise<T> {
    if (this.#over) return NEVER;
    const task = new Task(this.#nextId++, name, routine, 'start', this.thread);
    if (this.preemptive) return this.#submit<T>(task, touched);
    this.#advance(task);
    if (this.#depth === 0) this.#drain();
    return task.done ? outcomeOf<T>(task) : this.#promise<T>(task);
  }

  /** A preemption point of the program's own. */
  point(name: string): Promise<void> {
    if (this.#over) return NEVER;
    const task = new Task(this.#nextId++, name, null, name, this.thread);
    task.since = this.steps;
    this.#insert(task);
    const promise = this.#promise<void>(task);
    this.conductor.leaveHost();
    return promise;
  }

  /** A thread of the program's own, which `begin` begins when it is chosen: without a promise that somebody would await. */
  spawn(thread: number, begin: () => void): void {
    if (this.#over) return;
    const task = new Task(this.#nextId++, 'start', null, 'start', thread);
    task.resolve = begin;
    task.since = this.steps;
    this.#insert(task);
    this.conductor.leaveHost();
  }

  /** Code of the program's reads or changes something of the simulation's without a task. */
  touch(touched: Touched): void {
    this.#step.touched |= touched;
  }

  wake(task: Task): void {
    if (this.preemptive) {
      task.since = this.steps;
      const asleep = this.#asleep.indexOf(task);
      if (asleep >= 0) this.#asleep.splice(asleep, 1);
      this.#insert(task);
      if (this.#depth === 0) this.conductor.woken();
      return;
    }
    this.#runnable.push(task);
    if (this.#depth === 0) this.#drain();
  }

  /** From now on nothing moves, and what is still called never comes back: the memory of its machines serves another engine's. */
  stop(): void {
    this.#over = true;
    // What could be done at once, without a task, must not be either.
    this.preemptive = true;
  }

  /** Tasks that wait for something, under a scheduler. */
  asleep(): readonly Task[] {
    return this.#asleep;
  }

  /** A callback of the program's begins: what it does is part of this step. */
  enterCallback(): void {
    this.#step.host = true;
    if (this.preemptive) this.conductor.enterHost();
  }

  /** It has returned; if it gave a promise, then when that has settled and its task has been woken. */
  leaveCallback(): void {
    if (this.preemptive) this.conductor.leaveHost();
  }

  /** Makes the scheduler's decisions until nobody can go on, or until the program's own code has to be let in. */
  schedule(): void {
    const scheduler = this.#scheduler!;
    const runnable = this.#runnable;
    for (;;) {
      if (!this.#told && !this.#tell(scheduler)) return;
      if (runnable.length === 0) break;
      let task: Task;
      try {
        task = this.#chosen(scheduler.nextTask(runnable, this.#last));
      } catch (error) {
        this.#fail(error);
        return;
      }
      this.thread = task.thread;
      const step = this.#step;
      step.task = task;
      step.from = task.at;
      step.point = task.routine === null;
      step.host = false;
      step.touched = 0;
      this.#told = false;
      this.steps++;
      const goesOn = this.#advance(task);
      this.#last = goesOn ? task : null;
      if (!goesOn) {
        this.#remove(task);
        if (!task.done) this.#asleep.push(task);
      }
      step.to = task.at;
      step.outcome = goesOn ? 'runnable' : task.done ? 'ended' : 'asleep';
      if (this.conductor.busy) return;
    }
    this.conductor.idle();
  }

  #chosen(id: number): Task {
    const runnable = this.#runnable;
    for (let index = 0; index < runnable.length; index++) if (runnable[index]!.id === id) return runnable[index]!;
    throw new RangeError(`nextTask() answered ${id}, which is not the id of a runnable task`);
  }

  /** The last step, with what the program's code has done in answer to it, is over. */
  #tell(scheduler: Scheduler): boolean {
    this.#told = true;
    if (scheduler.stepped === undefined) return true;
    try {
      scheduler.stepped(this.#step);
      return true;
    } catch (error) {
      this.#fail(error);
      return false;
    }
  }

  /** Without decisions nothing can go on: whoever waits for one of the tasks learns why. */
  #fail(error: unknown): void {
    if (this.conductor.failed(error)) return;
    for (const stuck of this.#runnable.splice(0)) this.#finish(stuck, undefined, asError(error));
  }

  #submit<T>(task: Task, touched: Touched): MaybePromise<T> {
    this.touch(touched);
    task.since = this.steps;
    const goesOn = this.#advance(task);
    if (task.done) return outcomeOf<T>(task);
    if (goesOn) this.#insert(task);
    else this.#asleep.push(task);
    const promise = this.#promise<T>(task);
    this.conductor.leaveHost();
    return promise;
  }

  #promise<T>(task: Task): Promise<T> {
    this.#promised = task;
    return new Promise<T>(this.#capture as Executor<T>);
  }

  /** Runs the task until it ends or sleeps (or, with a scheduler, to its next label). */
  #advance(task: Task): boolean {
    const { routine } = task;
    if (routine === null) {
      this.#finish(task, undefined, null);
      return false;
    }
    const outer = this.current;
    this.current = task;
    this.#depth++;
    try {
      for (;;) {
        const value = task.stepper === null ? next(task, routine) : nextOf(task, task.stepper, routine);
        if (typeof value === 'string') {
          task.at = value;
          if (this.preemptive) return true;
          continue;
        }
        if (value === null) {
          const outcome = task.value;
          if (outcome instanceof HmmError) this.#finish(task, undefined, outcome);
          else this.#finish(task, outcome, null);
          return false;
        }
        if (!(value instanceof Wait)) {
          task.stepper = value;
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
    if (task.resolve === null) return;
    this.#step.host = true;
    if (this.preemptive) this.conductor.enterHost();
    if (error === null) task.resolve(value);
    else task.reject!(error);
  }

  #drain(): void {
    for (let task = this.#runnable.shift(); task !== undefined; task = this.#runnable.shift()) this.#advance(task);
  }

  /** By hand: there are two or three of them, and splice() makes an array of what it takes out. */
  #remove(task: Task): void {
    const runnable = this.#runnable;
    const last = runnable.length - 1;
    let at = last;
    while (runnable[at] !== task) at--;
    for (; at < last; at++) runnable[at] = runnable[at + 1]!;
    runnable.pop();
  }

  #insert(task: Task): void {
    let at = this.#runnable.length;
    if (at === 0 || this.#runnable[at - 1]!.id < task.id) {
      this.#runnable.push(task);
      return;
    }
    while (at > 0 && this.#runnable[at - 1]!.id > task.id) at--;
    this.#runnable.splice(at, 0, task);
  }
}
