/** A notifier of a program's own: its callback, which may be asynchronous, and the bound of the wait for it. */
import { Wait } from './engine/engine.js';
import type { Invalidation, InvalidationSink } from '../backend.js';
import type { IntervalNotifier, IntervalNotifierOps, NotifierRange } from './notifiers.js';
import type { Machine } from './mm.js';
import { BoundedWait } from './wait-budget.js';
import type { Routine } from './engine/engine.js';

/** What a sink is told of an event. */
export function invalidationOf(range: NotifierRange, sequence: number, timestamp: bigint): Invalidation {
  const { start, end, event, owner, blockable } = range;
  return { start, end, event, blockable: blockable !== false, owner, sequence, timestamp };
}

export class CallbackOps implements IntervalNotifierOps {
  notifier: IntervalNotifier | null = null;
  readonly #machine: Machine;
  readonly #sink: InvalidationSink;

  constructor(machine: Machine, sink: InvalidationSink) {
    this.#machine = machine;
    this.#sink = sink;
  }

  invalidate(range: NotifierRange, sequence: number): Routine<void> | null {
    // Before the program hears of it: whatever it does, its next readRetry sees the event.
    this.notifier!.setSequence(sequence);
    const event = invalidationOf(range, sequence, this.#machine.tick());
    const { engine } = this.#machine;
    engine.enterCallback();
    const outcome = this.#sink.invalidate(event);
    if (typeof outcome !== 'boolean') return this.#await(outcome, range, event);
    // The real kernel would not have waited, not even for an answer that comes at once.
    if (event.blockable && this.#boundHasRunOut(range)) this.#sink.timedOut(event);
    // A blockable one goes on, with a warning that the sink has given.
    if (!outcome && !event.blockable) range.refused = true;
    this.#look();
    engine.leaveCallback();
    return null;
  }

  #boundHasRunOut({ budget }: NotifierRange): boolean {
    const { callbackTimeout } = this.#machine;
    return callbackTimeout !== null && budget !== undefined && budget.waited >= callbackTimeout;
  }

  #look(): void {
    const { failure } = this.#sink;
    if (failure != null) this.#machine.engine.locks?.callbackFailed(failure);
  }

  *#await(outcome: Promise<boolean>, range: NotifierRange, event: Invalidation): Routine<void> {
    const { engine, callbackTimeout } = this.#machine;
    const wait = new Wait(engine, 'invalidate');
    let answered = false;
    if (!event.blockable) engine.locks?.mustNotSleep(event.event, () => answered);
    void outcome.then((accepted) => {
      answered = true;
      this.#look();
      if (!accepted && !event.blockable) range.refused = true;
      wait.settle();
      engine.leaveCallback();
    });
    if (callbackTimeout === null) {
      yield wait;
      return;
    }
    const bounded = new BoundedWait((range.budget ??= { waited: 0 }));
    const left = bounded.left(callbackTimeout);
    // The bound has run out for another notifier: the invalidation goes on at once.
    if (left > 0) {
      const timer = setTimeout(() => wait.settle(), left);
      yield wait;
      clearTimeout(timer);
      bounded.end();
    }
    if (!answered) this.#sink.timedOut(event);
  }
}
