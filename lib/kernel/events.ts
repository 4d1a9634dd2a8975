/** The events of one context: from records to the notifiers that they belong to, and the answers back. */
import type { EventSink, Invalidation, InvalidationSink } from '../backend.js';
import { ERRNO, errorOfErrno } from '../errors.js';
import {
  EVENT,
  EVENT_BLOCKABLE,
  EVENT_NAMES,
  EVENT_NOT_AWAITED,
  EVENT_TIMED_OUT,
  NO_DEVICE,
  getNumber,
} from './abi.js';
import type { DeviceContext } from './device-context.js';

const RECORDS_PER_READ = 64;

interface EventRecord {
  readonly notifier: number;
  /** 0: nobody waits for an answer. */
  readonly ticket: number;
  /** The wait for an earlier event, the one with this ticket, has run out. */
  readonly timedOut: boolean;
  /** The operation has gone on without an answer. */
  readonly notAwaited: boolean;
  readonly lost: number;
  readonly event: Invalidation;
}

/** Where the events of one notifier go. */
export type Target =
  { readonly kind: 'sync'; readonly sink: InvalidationSink } | { readonly kind: 'events'; readonly sink: EventSink };

/**
 * Delivers in the order of the queue. It may be entered again from a sink: then the inner call delivers what is left,
 * so that whoever drains can rely on everything that had happened being delivered when it returns.
 */
export class EventPump {
  readonly #context: DeviceContext;
  readonly #bytes = new Uint8Array(RECORDS_PER_READ * EVENT.words * 4);
  readonly #words = new Uint32Array(this.#bytes.buffer);
  readonly #bigs = new BigUint64Array(this.#bytes.buffer);
  readonly #targets = new Map<number, Target>();
  readonly #queue: EventRecord[] = [];
  /** Events of notifiers that the kernel has and that insert() has not been told of yet. */
  #early: EventRecord[] = [];
  #inserting = 0;
  /** Tickets that were read and not answered yet; true: the wait for the answer has run out. */
  readonly #unanswered = new Map<number, boolean>();
  /** Events dropped by the module that no sink was told of yet. */
  #lost = 0;

  constructor(context: DeviceContext) {
    this.#context = context;
    context.watch(() => this.drain());
  }

  get hasTargets(): boolean {
    return this.#targets.size > 0;
  }

  /**
   * Inserts a notifier, whose callbacks may run before its id is known here.
   * @param insert issues the request and resolves to the id
   */
  async insert(target: Target, insert: () => Promise<number>): Promise<number> {
    this.#inserting++;
    try {
      const id = await insert();
      this.#targets.set(id, target);
      return id;
    } finally {
      this.#inserting--;
      this.#queue.unshift(...this.#early);
      this.#early = [];
      this.drain();
    }
  }

  /** No event of the notifier is delivered from now on; what is still waited for is let go. */
  forget(id: number): void {
    this.#targets.delete(id);
  }

  /** Delivers every event that is there. */
  drain(): void {
    for (;;) {
      for (let record = this.#queue.shift(); record !== undefined; record = this.#queue.shift()) this.#deliver(record);
      if (this.#context.closed) return;
      const bytes = this.#context.readEvents(this.#bytes);
      if (bytes === -ERRNO.EAGAIN) return;
      if (bytes < 0) throw errorOfErrno(-bytes, 'read');
      for (let at = 0; at < bytes / 4; at += EVENT.words) this.#queue.push(this.#parse(at));
    }
  }

  #parse(at: number): EventRecord {
    const words = this.#words;
    const flags = words[at + EVENT.flags]!;
    const owner = words[at + EVENT.owner]!;
    const event = EVENT_NAMES[words[at + EVENT.event]!];
    if (event === undefined) throw new Error(`the module sent an event of type ${words[at + EVENT.event]}`);
    const ticket = getNumber(words, at + EVENT.ticket);
    const timedOut = (flags & EVENT_TIMED_OUT) !== 0;
    // Noted before anything is delivered: the answer to the event itself may be next, and must find it.
    if (ticket !== 0 && (!timedOut || this.#unanswered.has(ticket))) this.#unanswered.set(ticket, timedOut);
    return {
      notifier: words[at + EVENT.notifier]!,
      ticket,
      timedOut,
      notAwaited: (flags & EVENT_NOT_AWAITED) !== 0,
      lost: words[at + EVENT.lost]!,
      event: {
        start: getNumber(words, at + EVENT.start),
        end: getNumber(words, at + EVENT.end),
        event,
        blockable: (flags & EVENT_BLOCKABLE) !== 0,
        owner: owner === NO_DEVICE ? null : owner,
        sequence: getNumber(words, at + EVENT.sequence),
        timestamp: this.#bigs[(at + EVENT.timestamp) / 2]!,
      },
    };
  }

  #deliver(record: EventRecord): void {
    const target = this.#targets.get(record.notifier);
    this.#lost += record.lost;
    if (target === undefined) {
      if (this.#inserting > 0) this.#early.push({ ...record, lost: 0 });
      else if (record.ticket !== 0 && !record.timedOut) this.#answer(record, null);
      return;
    }
    if (target.kind === 'events') {
      const lost = this.#lost;
      this.#lost = 0;
      target.sink.event(record.event, lost);
    } else if (record.timedOut) {
      target.sink.timedOut(record.event);
    } else {
      this.#invalidate(target.sink, record);
    }
  }

  #invalidate(sink: InvalidationSink, record: EventRecord): void {
    const answer = sink.invalidate(record.event);
    if (record.notAwaited) sink.timedOut(record.event);
    // Without a ticket nobody waits: the event is not blockable and refused already, or was not awaited.
    if (record.ticket === 0) return;
    if (typeof answer === 'boolean') this.#answer(record, sink);
    else void answer.then(() => this.#answer(record, sink));
  }

  /** @param sink null: its notifier has been forgotten */
  #answer({ ticket, event }: EventRecord, sink: InvalidationSink | null): void {
    if (this.#context.closed) return;
    const errno = this.#context.ack(ticket);
    if (errno === ERRNO.ENOENT) {
      // The wait is over without an answer: its bound ran out, or its process was killed. Either leaves a record, queued
      // before the ticket became invalid. A full queue has lost it: then this is how the notifier is told.
      if (this.#unanswered.get(ticket) === false) this.drain();
      if (this.#unanswered.get(ticket) === false) sink?.timedOut(event);
    } else if (errno !== undefined) {
      throw errorOfErrno(errno, 'ack');
    }
    this.#unanswered.delete(ticket);
  }
}
