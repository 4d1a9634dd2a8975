/**
 * When the scenario's own code has had its turn, so that the next decision can be made. There are two ways to know.
 *
 * `Linear` counts *windows*: one opens when a result is handed to the scenario, a task of it begins, or a callback of it is called; it
 * closes with the next call of that code, the task's end, or the callback's. When none is open, everybody stands at a preemption point, and no look at
 * the microtask queue is needed. That holds as long as each task makes one call after the other; the first one that does not
 * (Promise.all, a call that nobody awaits) closes a window that is not open, and the exploration begins anew with `Quiescent`, which
 * waits at every turn until no microtask is left.
 */
import { afterMicrotasks, afterThisJob } from '../simulation/engine/host.js';
import type { Conductor, Engine } from '../simulation/engine/engine.js';

/** What an execution is told by its conductor. */
export interface Watcher {
  idle(): void;
  failed(error: unknown): void;
  /** Linear only: the scenario does not make one call after the other. */
  notLinear(): void;
}

abstract class Base implements Conductor {
  protected armed = false;
  /** Nothing more is decided: the execution is over. */
  protected halted = false;

  constructor(
    protected readonly engine: Engine,
    protected readonly watcher: Watcher,
  ) {}

  /** Turns that the scenario's code has had. */
  activity = 0;

  get waitsForTurn(): boolean {
    return this.armed && !this.halted;
  }

  abstract readonly busy: boolean;
  abstract enterHost(): void;
  abstract leaveHost(): void;
  abstract woken(): void;

  idle(): void {
    if (!this.halted) this.watcher.idle();
  }

  failed(error: unknown): boolean {
    this.watcher.failed(error);
    return true;
  }

  halt(): void {
    this.halted = true;
  }
}

export type ExploreConductor = Base;

export class Linear extends Base {
  #open = 0;
  readonly #decide = (): void => {
    this.armed = false;
    if (this.#open === 0 && !this.halted) this.engine.schedule();
  };

  get busy(): boolean {
    return this.#open !== 0 || this.armed || this.halted;
  }

  enterHost(): void {
    this.#open++;
  }

  leaveHost(): void {
    if (this.halted) return;
    if (--this.#open > 0) return;
    if (this.#open < 0) {
      this.watcher.notLinear();
      return;
    }
    if (this.armed) return;
    this.armed = true;
    this.activity++;
    // Not at once: the code that made the call may do more before it awaits.
    afterThisJob(this.#decide);
  }

  woken(): void {
    // By code in a window, which closes in its own time.
  }
}

export class Quiescent extends Base {
  readonly #decide = (): void => {
    this.armed = false;
    if (!this.halted) this.engine.schedule();
  };

  get busy(): boolean {
    return this.armed || this.halted;
  }

  enterHost(): void {
    this.#arm();
  }

  leaveHost(): void {
    this.#arm();
  }

  woken(): void {
    this.#arm();
  }

  #arm(): void {
    if (this.armed || this.halted) return;
    this.armed = true;
    this.activity++;
    afterMicrotasks(this.#decide);
  }
}
