/**
 * Runs executions one after the other. All of that happens in microtasks, so whatever else the event loop has to do comes when the search lets it; and if it comes
 * without having been let, then nothing of the execution that is under way can move: it waits for something that is not the library's.
 */
import { Execution, type ExecutionEnd, type ExecutionOptions } from './execution.js';
import { ForbiddenError } from './errors.js';
import { Guard } from './guard.js';
import { SpareMemory } from '../simulation/spare-memory.js';
import type { Scenario } from './world.js';
import type { Scheduler } from '../scheduler.js';
import { copyLocks, type LockGraph } from './lock-order.js';
import type { Settings } from './options.js';

type Turn = (callback: () => void) => void;

// Taken before any guard is on.
const globals = globalThis as { setImmediate?: Turn };
const later: (callback: () => void, milliseconds: number) => unknown = setTimeout;
const turn: Turn = globals.setImmediate ?? ((callback) => void later(callback, 0));
const clock = performance.now.bind(performance);

/** For how long the event loop waits, ms, and how many executions go by before the clock is asked. */
const BURST = 20;
const EXECUTIONS_PER_LOOK = 16;
/** What does not come in this time, ms, is taken never to come. */
const PATIENCE = 100;

/** One search at a time: the guards are the program's, and an event loop that gets its turn must mean one thing. */
let underWay: Promise<void> = Promise.resolve();

export interface Finished {
  readonly execution: Execution;
  readonly end: Exclude<ExecutionEnd, { kind: 'not-linear' | 'invalid' }>;
}

export class Search {
  readonly #scenario: Scenario;
  readonly #options: Omit<ExecutionOptions, 'linear' | 'spare'>;
  readonly #spare = new SpareMemory();
  readonly #guard: Guard;
  #linear = true;
  #current: Execution | null = null;
  #breath: (() => void) | null = null;
  #armed = false;
  /** It stood still, and nobody knows yet whether for ever. */
  #suspect: Execution | null = null;

  constructor(scenario: Scenario, options: Omit<ExecutionOptions, 'linear' | 'spare'>) {
    this.#scenario = scenario;
    this.#options = options;
    this.#guard = new Guard(options.trace);
  }

  /**
   * Makes executions with the scheduler that `strategy` gives, until there is none left or `each` returns false. If one turns out not to be linear (conductor.ts), all
   * begins anew with another scheduler, after `restart`, which forgets what `each` has seen.
   * @throws ForbiddenError, NondeterminismError, ScheduleMismatchError
   */
  async run<S extends Scheduler>(
    strategy: () => S,
    each: (finished: Finished, scheduler: S) => boolean,
    restart: () => void = nothing,
  ): Promise<S> {
    const before = underWay;
    let done!: () => void;
    underWay = new Promise((resolve) => (done = resolve));
    await before;
    this.#guard.on();
    try {
      return await this.#run(strategy, each, restart);
    } finally {
      this.#guard.off();
      this.#current = null;
      this.#suspect = null;
      done();
    }
  }

  async #run<S extends Scheduler>(
    strategy: () => S,
    each: (finished: Finished, scheduler: S) => boolean,
    restart: () => void = nothing,
  ): Promise<S> {
    let scheduler = strategy();
    const { locks } = this.#options;
    const locksBefore = copyLocks(locks);
    let options: ExecutionOptions = { ...this.#options, linear: this.#linear, spare: this.#spare };
    let count = 0;
    let since = clock();
    while (scheduler.newExecution()) {
      this.#watch();
      const execution = new Execution(scheduler, options);
      this.#current = execution;
      const end = await execution.run(this.#scenario);
      if (end.kind === 'not-linear') {
        execution.dispose();
        this.#linear = false;
        options = { ...options, linear: false };
        scheduler = strategy();
        locks.clear();
        for (const [held, wanted] of copyLocks(locksBefore)) locks.set(held, wanted);
        restart();
        continue;
      }
      if (this.#suspect === execution) throw new ForbiddenError(OUTSIDE);
      if (end.kind === 'invalid') throw end.error;
      const goesOn = each({ execution, end }, scheduler);
      execution.dispose();
      if (!goesOn) break;
      if (++count % EXECUTIONS_PER_LOOK === 0 && clock() - since > BURST) {
        await this.#breathe();
        since = clock();
      }
    }
    return scheduler;
  }

  #watch(): void {
    if (this.#armed) return;
    this.#armed = true;
    turn(() => {
      this.#armed = false;
      if (this.#breath !== null) this.#breath();
      else if (this.#current !== null && !this.#current.ended) this.#stall(this.#current);
    });
  }

  async #breathe(): Promise<void> {
    this.#guard.off();
    await new Promise<void>((resolve) => {
      this.#breath = resolve;
      this.#watch();
    });
    this.#breath = null;
    this.#guard.on();
  }

  #stall(execution: Execution): void {
    if (execution.waitsForTurn) {
      this.#watch();
      return;
    }
    if (this.#linear) {
      execution.stalled();
      return;
    }
    // Whatever moves it now comes from elsewhere, in its own time.
    const before = execution.activity;
    this.#suspect = execution;
    this.#guard.off();
    later(() => {
      if (this.#suspect !== execution) return;
      this.#guard.on();
      if (execution.activity !== before || execution.ended) return;
      this.#suspect = null;
      execution.stalled();
    }, PATIENCE);
  }
}

/** A search as the options say. @param trace whether executions record their steps */
export function newSearch(
  scenario: Scenario,
  { maxSteps, livelockCalls, oracle }: Settings,
  trace: boolean,
  locks: LockGraph = new Map(),
): Search {
  return new Search(scenario, { maxSteps, livelockCalls, oracle, trace, locks });
}

function nothing(): void {
  // There is nothing to forget.
}

const OUTSIDE =
  'the scenario waited for something that is not the library’s and came in its own time, a timer or I/O: no execution could be repeated. ' +
  'Read what it needs before explore()';
