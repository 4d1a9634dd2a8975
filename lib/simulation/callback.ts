/** A notifier of a program's own: its callback, which may be asynchronous, and the bound of the wait for it. */
import { Wait } from './engine/engine.js';
import type { Invalidation, InvalidationSink } from '../backend.js';
import type { IntervalNotifier, IntervalNotifierOps, NotifierRange } from './notifiers.js';
import type { Machine } from './mm.js';
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
    if (!outcome) range.refused = true;
    engine.leaveCallback();
    return null;
  }

  *#await(outcome: Promise<boolean>, range: NotifierRange, event: Invalidation): Routine<void> {
    const { engine, callbackTimeout } = this.#machine;
    const wait = new Wait(engine, 'invalidate');
    let answered = false;
    if (!event.blockable) engine.locks?.mustNotSleep(event.event, () => answered);
    void outcome.then((accepted) => {
      answered = true;
      if (!accepted) range.refused = true;
      wait.settle();
      engine.leaveCallback();
    });
    const timer = callbackTimeout === null ? null : setTimeout(() => wait.settle(), callbackTimeout);
    yield wait;
    if (timer !== null) clearTimeout(timer);
    if (!answered) this.#sink.timedOut(event);
  }
}
