/** Requests to one thread of a workload process and their replies, in order, over one socket. */
import { ERRNO } from '../errors.js';
import type { Channel, Descriptor } from './addon.js';
import { ReplyReader, type Reply, type ReplySink } from './protocol.js';

/** UV_READABLE, UV_WRITABLE. */
const READABLE = 1;
const WRITABLE = 2;

const RECEIVE_BYTES = 64 * 1024;
/** Pieces to take before the event loop gets its turn: a long read must not keep it from answering invalidations. */
const RECEIVES_PER_TURN = 16;

interface Pending {
  readonly sink: ReplySink & { readonly complete: boolean };
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  readonly syscall: string;
}

interface Outgoing {
  readonly bytes: Uint8Array;
  sent: number;
  descriptors: readonly Descriptor[];
}

/** What happens to a channel, told to the process that it belongs to. */
export interface ChannelOwner {
  /** The other end is closed: the process has gone, or is about to. Called once. */
  ended(): void;
  /** The error for a request that the process did not live to answer. */
  goneError(syscall: string): Promise<Error>;
}

// All channels of a thread of JavaScript take turns with it.
const receiveBuffer = new Uint8Array(RECEIVE_BYTES);

export class RequestChannel {
  readonly #native: Channel;
  readonly #owner: ChannelOwner;
  readonly #outgoing: Outgoing[] = [];
  readonly #pending: Pending[] = [];
  readonly #reader: ReplyReader;
  #watchingWritable = false;
  #open = true;

  constructor(native: Channel, owner: ChannelOwner) {
    this.#native = native;
    this.#owner = owner;
    this.#reader = new ReplyReader({
      record: (reply: Reply) => this.#record(reply),
      data: (bytes: Uint8Array) => this.#first().sink.data(bytes),
    });
    native.watch((events) => this.#ready(events));
  }

  get open(): boolean {
    return this.#open;
  }

  /**
   * Sends the frame, if there is one, and resolves when the sink is complete. The descriptors may be closed then, or
   * when it has rejected.
   */
  request(
    syscall: string,
    sink: Pending['sink'],
    frame: Uint8Array | null,
    descriptors: readonly Descriptor[] = [],
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const pending = { sink, resolve, reject, syscall };
      if (!this.#open) {
        this.#fail(pending);
        return;
      }
      // An operation in flight keeps the event loop alive; an idle process does not.
      if (this.#pending.push(pending) === 1) this.#native.ref();
      if (frame !== null) this.#post({ bytes: frame, sent: 0, descriptors });
    });
  }

  /** Sends a frame that has no reply. */
  send(frame: Uint8Array): void {
    if (this.#open) this.#post({ bytes: frame, sent: 0, descriptors: [] });
  }

  /** Keeps the event loop alive until the other end is closed. */
  awaitEnd(): void {
    if (this.#open) this.#native.ref();
  }

  /** Whatever is pending fails as if the process had gone. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#native.close();
    this.#outgoing.length = 0;
    for (const pending of this.#pending.splice(0)) this.#fail(pending);
  }

  #first(): Pending {
    const pending = this.#pending[0];
    if (pending === undefined) throw new Error('the workload program answered what nobody asked');
    return pending;
  }

  #record(reply: Reply): void {
    const pending = this.#first();
    pending.sink.record(reply);
    if (!pending.sink.complete) return;
    this.#pending.shift();
    if (this.#pending.length === 0) this.#native.unref();
    pending.resolve();
  }

  #fail({ syscall, reject }: Pending): void {
    this.#owner.goneError(syscall).then(reject, reject);
  }

  #post(outgoing: Outgoing): void {
    this.#outgoing.push(outgoing);
    if (this.#outgoing.length === 1) this.#flush();
  }

  #flush(): void {
    for (let next = this.#outgoing[0]; next !== undefined; next = this.#outgoing[0]) {
      const sent = this.#native.send(next.bytes, next.sent, next.descriptors);
      if (sent < 0) {
        if (sent === -ERRNO.EAGAIN) this.#watchWritable(true);
        // Too many files under way in sockets (ETOOMANYREFS) would be told here; EPIPE and ECONNRESET mean that the
        // process has gone, which the end of the stream tells, after the replies that it still sent.
        else if (sent !== -EPIPE && sent !== -ECONNRESET) this.#break(new Error(`sendmsg failed with errno ${-sent}`));
        return;
      }
      next.sent += sent;
      // They travel with the first byte.
      next.descriptors = [];
      if (next.sent === next.bytes.length) this.#outgoing.shift();
    }
    this.#watchWritable(false);
  }

  #watchWritable(enabled: boolean): void {
    if (this.#watchingWritable === enabled) return;
    this.#watchingWritable = enabled;
    this.#native.watchWritable(enabled);
  }

  #ready(events: number): void {
    // libuv says EBADF of any error state of a file, and stops watching. The only one of a local socket is that the other
    // end was closed with bytes unread, and what it had sent before can still be received.
    if (events < 0) return this.#receive(Infinity);
    if ((events & WRITABLE) !== 0) this.#flush();
    if ((events & READABLE) !== 0) this.#receive(RECEIVES_PER_TURN);
  }

  #receive(limit: number): void {
    for (let turn = 0; this.#open && turn < limit; turn++) {
      const received = this.#native.receive(receiveBuffer);
      if (received === -ERRNO.EAGAIN && limit !== Infinity) return;
      if (received === 0 || received === -ECONNRESET) {
        this.close();
        this.#owner.ended();
        return;
      }
      if (received < 0) return this.#break(new Error(`recv failed with errno ${-received}`));
      // The buffer is shared, but no reply's handler runs while it is being read: promises resolve later.
      this.#reader.feed(receiveBuffer.subarray(0, received));
    }
  }

  /** A failure of the socket itself, which no process can cause: what is pending fails with it. */
  #break(error: Error): void {
    const pending = this.#pending.splice(0);
    this.close();
    for (const each of pending) each.reject(error);
    this.#owner.ended();
  }
}

const EPIPE = 32;
const ECONNRESET = 104;
