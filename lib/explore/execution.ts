/** One execution of a scenario under one scheduler's choices. */
import { ENGINE, Engine, type Task } from '../simulation/engine/engine.js';
import { HOST, MEMORY, reads, writes } from '../simulation/engine/touch.js';
import { Linear, Quiescent, type ExploreConductor, type Watcher } from './conductor.js';
import { LockOrder, type LockGraph } from './lock-order.js';
import { Oracle } from './oracle.js';
import { Recorder } from './recorder.js';
import { RedundantExecution } from './schedulers/exhaustive.js';
import { SPARE, type SpareMemory } from '../simulation/spare-memory.js';
import { ScenarioWorld, type MachineScheduler, type Scenario, type TaskBody, type WorldOwner } from './world.js';
import { Trace } from './trace.js';
import { ViolationError, type Violation } from './violation.js';
import { dependent, footprint } from './dependency.js';
import type { Schedule } from './schedule.js';
import type { Scheduler, StepView, TaskView } from '../scheduler.js';

export interface ExecutionOptions {
  /** Steps of one execution. */
  readonly maxSteps: number;
  /** Calls without progress: no task ended, no invalidation began or ended. */
  readonly livelockCalls: number;
  readonly locks: LockGraph;
  /** Whether the oracle looks after every step. */
  readonly oracle: boolean;
  readonly trace: boolean;
  readonly linear: boolean;
  /** Memory of the executions before. */
  readonly spare: SpareMemory;
}

export type ExecutionEnd =
  | { readonly kind: 'passed'; readonly outcome: unknown }
  | { readonly kind: 'failed'; readonly violation: Violation }
  /** Equivalent to one that has been seen. */
  | { readonly kind: 'redundant' }
  /** maxSteps, while there was progress. */
  | { readonly kind: 'too-long' }
  | { readonly kind: 'not-linear' }
  /** The scenario, or its schedule, cannot be explored: what is thrown to the caller. */
  | { readonly kind: 'invalid'; readonly error: unknown };

interface Thread {
  readonly name: string;
  ended: boolean;
}

/** Is the scheduler of its engine: it asks the strategy, and looks at every step. */
export class Execution implements WorldOwner, Watcher, Scheduler {
  readonly engine: Engine;
  readonly oracle: Oracle;
  readonly trace: Trace | null;
  steps = 0;
  readonly #recorder = new Recorder();
  readonly #strategy: Scheduler;
  readonly #options: ExecutionOptions;
  readonly #conductor: ExploreConductor;
  readonly #threads: Thread[] = [];
  #resolve!: (end: ExecutionEnd) => void;
  #end: ExecutionEnd | null = null;
  /** Calls that have ended since the last progress. */
  #calls = 0;
  #parallel: { resolve: (results: Record<string, unknown>) => void; reject: (error: unknown) => void } | null = null;
  readonly #results: Record<string, unknown> = {};
  /** Tasks of the scenario that have not ended. */
  #running = 0;
  #parallelCalled = false;
  /** Seen by an observer in the middle of a step; the execution ends when that is made. */
  #violation: Violation | null = null;
  #before: readonly Schedule[] = [];
  #failure: { error: unknown } | null = null;
  #lockOrder: LockOrder | null = null;

  constructor(strategy: Scheduler, options: ExecutionOptions) {
    this.#strategy = strategy;
    this.#options = options;
    const engine = new Engine(this, (made) => (options.linear ? new Linear(made, this) : new Quiescent(made, this)));
    this.engine = engine;
    engine.preemptive = false;
    this.#conductor = engine.conductor as ExploreConductor;
    this.oracle = new Oracle(engine.machines, options.spare);
    this.trace = options.trace ? new Trace(this.oracle) : null;
  }

  /** Asked for by a scenario that opens a simulation; one that does not has no locks to be watched either. */
  get scheduler(): MachineScheduler {
    const { engine } = this;
    if (this.#options.oracle) {
      engine.locks = this.#lockOrder ??= new LockOrder(this.#options.locks, {
        thread: () => engine.thread,
        describe: () => `'${this.#nameOf(engine.thread)}' in ${engine.current?.name ?? 'its own code'}`,
        schedule: () => this.schedule,
        report: (violation, before) => {
          if (this.#violation !== null) return;
          if (isForbidden(violation.cause)) {
            this.#finish({ kind: 'invalid', error: violation.cause });
            return;
          }
          this.#violation = violation;
          this.#before = before;
        },
      });
    }
    return {
      [ENGINE]: engine,
      [SPARE]: this.#options.spare,
      newExecution: () => true,
      nextTask: (runnable) => runnable[0]!.id,
      nextU64: () => this.random(),
    };
  }

  get schedule(): Schedule {
    return this.#recorder.schedule;
  }

  /** Other executions without which the violation is not seen. */
  get before(): readonly Schedule[] {
    return this.#before;
  }

  get preemptions(): number {
    return this.#recorder.preemptions;
  }

  get threadNames(): readonly string[] {
    return this.#threads.map(({ name }) => name);
  }

  run(scenario: Scenario): Promise<ExecutionEnd> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
      let result: unknown;
      try {
        result = scenario(new ScenarioWorld(this));
      } catch (error) {
        this.#threw(error);
        return;
      }
      Promise.resolve(result).then(
        (outcome) => {
          // Seen after the last step, or without one.
          if (this.#violation !== null) this.failed(new ViolationError(this.#violation));
          else this.#finish({ kind: 'passed', outcome });
        },
        (error: unknown) => this.#threw(error),
      );
    });
  }

  /** Nothing of the scenario moves, and nothing ever will: for the caller, who has watched the event loop. */
  stalled(): void {
    if (this.#end !== null) return;
    if (this.#options.linear) this.notLinear();
    else this.#deadlock();
  }

  /** Nobody looks at it any more: what it had is the next one's. */
  dispose(): void {
    this.engine.stop();
    this.#options.spare.reclaim();
  }

  get ended(): boolean {
    return this.#end !== null;
  }

  /** Grows whenever anything of the scenario moves. */
  get activity(): number {
    return this.#conductor.activity;
  }

  /** It goes on by itself at the next turn of the event loop. */
  get waitsForTurn(): boolean {
    return this.#conductor.waitsForTurn;
  }

  parallel(tasks: Record<string, TaskBody>): Promise<Record<string, unknown>> {
    if (this.#parallelCalled) return Promise.reject(new TypeError('a scenario calls parallel() once'));
    this.#parallelCalled = true;
    const { engine } = this;
    engine.preemptive = true;
    if (this.#options.oracle) this.oracle.check();
    this.trace?.begin();
    const names = Object.keys(tasks);
    this.#running = names.length;
    return new Promise((resolve, reject) => {
      this.#parallel = { resolve, reject };
      if (names.length === 0) {
        this.#joined();
        return;
      }
      // One window for the caller's own, so that the first decision is made when all stand at their start.
      for (let each = 0; each < names.length; each++) this.#conductor.enterHost();
      for (let index = 0; index < names.length; index++) this.#startThread(index, names[index]!, tasks[names[index]!]!);
    });
  }

  newExecution(): boolean {
    return true;
  }

  nextU64(): bigint {
    return this.random();
  }

  random(): bigint {
    const value = this.#strategy.nextU64();
    this.#recorder.drew(value);
    return value;
  }

  idle(): void {
    if (this.#end !== null || this.#parallel === null) return;
    if (this.#running === 0) {
      this.#joined();
      return;
    }
    // In linear mode every window is closed, so every thread sleeps in a call. Else one may wait for a promise of the scenario's own, or a timer's.
    if (this.#options.linear) this.#deadlock();
  }

  failed(error: unknown): void {
    if (error instanceof ViolationError) this.#finish({ kind: 'failed', violation: error.violation });
    else if (error instanceof RedundantExecution) this.#finish({ kind: 'redundant' });
    else if (error instanceof StepLimit) this.#finish({ kind: 'too-long' });
    else this.#finish({ kind: 'invalid', error });
  }

  notLinear(): void {
    this.#finish({ kind: 'not-linear' });
  }

  #startThread(index: number, name: string, body: TaskBody): void {
    const thread: Thread = { name, ended: false };
    this.#threads.push(thread);
    this.engine.spawn(index, () => {
      let result: unknown;
      try {
        result = body();
      } catch (error) {
        this.#ended(thread, undefined, { error });
        return;
      }
      Promise.resolve(result).then(
        (value) => this.#ended(thread, value, null),
        (error: unknown) => this.#ended(thread, undefined, { error }),
      );
    });
  }

  #ended(thread: Thread, value: unknown, failure: { error: unknown } | null): void {
    if (failure === null) this.#results[thread.name] = value;
    else this.#failure ??= failure;
    thread.ended = true;
    this.#running--;
    this.#calls = 0;
    this.#conductor.leaveHost();
  }

  #joined(): void {
    const parallel = this.#parallel!;
    this.#parallel = null;
    this.engine.preemptive = false;
    this.engine.thread = -1;
    if (this.#failure === null) parallel.resolve(this.#results);
    else parallel.reject(this.#failure.error);
  }

  nextTask(runnable: readonly TaskView[], current: TaskView | null): number {
    if (this.steps >= this.#options.maxSteps) throw new StepLimit();
    const id = this.#strategy.nextTask(runnable, current);
    this.#recorder.chose(runnable, current, id);
    return id;
  }

  stepped(step: StepView): void {
    this.steps++;
    const violation = this.#look(step);
    this.#strategy.stepped?.(step);
    this.trace?.add(step, this.#nameOf(step.task.thread));
    if (violation !== null) throw violation;
    if (step.from === 'mmu_notifier_invalidate_range_start' || step.from === 'mmu_notifier_invalidate_range_end') {
      this.#calls = 0;
    } else if (step.outcome === 'ended' && ++this.#calls > this.#options.livelockCalls) {
      this.#livelock();
    }
  }

  /** What the oracle, or an observer in the middle of the step, has found. */
  #look(step: StepView): ViolationError | null {
    this.#lockOrder?.stepped();
    if (this.#violation !== null) return new ViolationError(this.#violation);
    // What reads cannot break anything that held before.
    if (!this.#options.oracle || this.engine.machines.length === 0) return null;
    if (!dependent(footprint(step), reads(MEMORY | HOST))) return null;
    const violation = this.oracle.check();
    // A driver's own table is memory that the oracle looks at.
    if (this.oracle.changed) this.engine.touch(writes(MEMORY));
    return violation;
  }

  #threw(error: unknown): void {
    // A failed callback is thrown by the next call on its notifier too; what it did was seen first.
    if (this.#violation !== null) {
      this.failed(new ViolationError(this.#violation));
      return;
    }
    if (error instanceof ViolationError) {
      this.failed(error);
      return;
    }
    if (isForbidden(error)) {
      this.#finish({ kind: 'invalid', error });
      return;
    }
    const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    this.#finish({ kind: 'failed', violation: { kind: 'error', message, cause: error } });
  }

  #deadlock(): void {
    const asleep = this.engine.asleep();
    const stuck = this.#threads.map(({ name, ended }, thread) => {
      if (ended) return null;
      const where = asleep.filter((task: Task) => task.thread === thread);
      if (where.length === 0) return `'${name}' waits for something that is not the library’s`;
      return `'${name}' sleeps in ${where.map((task) => `${task.name} at ${task.at}`).join(' and in ')}`;
    });
    const message = `no task can go on: ${stuck.filter((each) => each !== null).join('; ')}`;
    this.#finish({ kind: 'failed', violation: { kind: 'deadlock', message } });
  }

  #livelock(): void {
    const message =
      `${this.#options.livelockCalls} calls, and no task of the scenario ended, no invalidation began or ended: ` +
      `somebody goes round in circles, last ${this.#nameOf(this.#recorder.thread)}`;
    throw new ViolationError({ kind: 'livelock', message });
  }

  #finish(end: ExecutionEnd): void {
    if (this.#end !== null) return;
    this.#end = end;
    this.#conductor.halt();
    this.#resolve(end);
  }

  #nameOf(thread: number): string {
    return this.#threads[thread]?.name ?? 'setup';
  }
}

class StepLimit extends Error {}

function isForbidden(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) if (at.name === 'ForbiddenError') return true;
  return false;
}
