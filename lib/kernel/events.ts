/** The events of one context: from records to the notifiers that they belong to, and the answers back. */
import type { EventSink, Invalidation, InvalidationSink } from '../backend.js';
import { ERRNO, errorOfErrno } from '../errors.js';
import { EVENT, EVENT_BLOCKABLE, EVENT_NAMES, EVENT_TIMED_OUT, NO_DEVICE, getNumber } from './abi.js';
import type { DeviceContext } from './device-context.js';

const RECORDS_PER_READ = 64;

interface EventRecord {
  readonly notifier: number;
  /** 0: nobody waits for an answer. */
  readonly ticket: number;
  readonly timedOut: boolean;
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
  /** Tickets whose wait ran out before they were answered. */
  readonly #expired = new Set<number>();
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
    // Noted before anything is delivered: the answer to the event itself may be next, and then has to know.
    if (timedOut) this.#expired.add(ticket);
    return {
      notifier: words[at + EVENT.notifier]!,
      ticket,
      timedOut,
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
      else if (record.ticket !== 0 && !record.timedOut) this.#answer(record.ticket);
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

  #invalidate(sink: InvalidationSink, { event, ticket }: EventRecord): void {
    const answer = sink.invalidate(event);
    // Without a ticket nobody waits: not blockable, and refused already.
    if (ticket === 0) return;
    if (typeof answer === 'boolean') this.#answer(ticket);
    else void answer.then(() => this.#answer(ticket));
  }

  #answer(ticket: number): void {
    if (this.#context.closed) return;
    const errno = this.#context.ack(ticket);
    if (errno === undefined) return;
    // The wait is over. Only running out, or the end of the process that waited, ends it without an answer, and either
    // leaves a record, queued before the ticket became invalid; unless the queue was full.
    if (errno === ERRNO.ENOENT) {
      if (!this.#expired.has(ticket)) this.drain();
      if (this.#expired.delete(ticket) || this.#lost > 0) return;
    }
    throw errorOfErrno(errno, 'ack');
  }
}
