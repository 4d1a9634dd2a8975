/**
 * What a device loads through a mirror's page table: a few pages at once and as fast as a call can be, more of them in one request, and
 * many in pieces, so that the event loop gets its turns.
 */
import { setImmediate } from 'node:timers/promises';

import type { MaybePromise } from '../backend.js';
import { MAX_RANGE_PAGES } from '../constants.js';
import { lengthOf } from '../array-length.js';
import { ERRNO, errorOfErrno } from '../errors.js';
import { ACCESS, ACCESS_BOUND, getNumber, putNumber } from './abi.js';
import type { Context, Reply } from './addon.js';
import { SMALL_READ, pieceFor, smallRead } from './read-buffers.js';
import { accessError, prefix, uninitialized } from './replies.js';

/** What is read in one go before anybody looks at the clock: 16 MiB are some milliseconds of copying. */
const PIECE_PAGES = 4096;
/** Milliseconds for which a long read goes on before the event loop gets a turn. */
const SLICE = 16;

const SYSCALL = 'device_read';

/** What the reads need of the context whose part they are. */
export interface ReadContext {
  readonly native: Context;
  readonly pageSize: number;
  /** Begins a request about a notifier: ERR_HMM_CLOSED if the context has been closed. */
  head(syscall: string, id: number): void;
  post(work: Promise<Reply>): Promise<Reply>;
}

export class DeviceReads {
  readonly #context: ReadContext;
  readonly #native: Context;
  readonly #words: Uint32Array;
  readonly #bound: Float64Array;
  /** What readBound() reads into. */
  #boundPiece: Uint8Array | null = null;
  /** The array that the last small read was given, and the part of it that was filled. */
  #lastInto: Uint8Array | null = null;
  #lastView: Uint8Array = new Uint8Array(0);

  constructor(context: ReadContext) {
    this.#context = context;
    this.#native = context.native;
    this.#words = context.native.request;
    this.#bound = context.native.access;
  }

  /** @param into at least `length` bytes; default: an array of that length */
  read(id: number, address: number, length: number, into?: Uint8Array): MaybePromise<Uint8Array> {
    if (length > SMALL_READ) return this.#readLarge(id, address, length, into);
    const bytes = into === undefined ? this.#cut(length) : this.#firstOf(into, length);
    const bound = this.#bound;
    bound[ACCESS_BOUND.id] = id;
    bound[ACCESS_BOUND.address] = address;
    bound[ACCESS_BOUND.length] = length;
    const errno = this.#native.readBound();
    if (errno === undefined) return bytes;
    if (errno === ERRNO.EAGAIN) return this.#readPooled(id, address, bytes);
    // A context that has been closed has no file any more: said in our words.
    this.#context.head(SYSCALL, id);
    throw accessError(errno, SYSCALL, address, bound[ACCESS_BOUND.done]!);
  }

  #readLarge(id: number, address: number, length: number, into?: Uint8Array): MaybePromise<Uint8Array> {
    this.#context.head(SYSCALL, id);
    // In the module's words; said here, before anything is allocated for it.
    if (length > MAX_RANGE_PAGES * this.#context.pageSize) throw errorOfErrno(ERRNO.EINVAL, SYSCALL);
    const bytes = into === undefined ? uninitialized(length) : prefix(into, length);
    if (length > PIECE_PAGES * this.#context.pageSize) return this.#readInPieces(id, address, bytes);
    return this.#readAtOnce(id, address, bytes) ? bytes : this.#readPooled(id, address, bytes);
  }

  /** False: it would have to sleep. */
  #readAtOnce(id: number, address: number, bytes: Uint8Array): boolean {
    this.#argument(id, address, bytes.length);
    const errno = this.#native.read(bytes);
    if (errno === undefined) return true;
    if (errno === ERRNO.EAGAIN) return false;
    throw accessError(errno, SYSCALL, address, getNumber(this.#words, ACCESS.done));
  }

  /** On the thread pool, into memory of its own, because an array of JavaScript's could be taken away meanwhile. */
  async #readPooled(id: number, address: number, bytes: Uint8Array): Promise<Uint8Array> {
    this.#argument(id, address, bytes.length);
    const { errno, request, memory } = await this.#context.post(this.#native.readAsync());
    if (errno !== 0) throw accessError(errno, SYSCALL, address, getNumber(request, ACCESS.done));
    bytes.set(new Uint8Array(memory[0]!));
    return bytes;
  }

  /** A long read, piece by piece, and between the pieces whatever else this thread has to do. */
  async #readInPieces(id: number, address: number, bytes: Uint8Array): Promise<Uint8Array> {
    const step = PIECE_PAGES * this.#context.pageSize;
    let since = performance.now();
    for (let at = 0; at < bytes.length; at += step) {
      const piece = bytes.subarray(at, at + step);
      if (!this.#readAtOnce(id, address + at, piece)) await this.#readPooled(id, address + at, piece);
      if (performance.now() - since < SLICE) continue;
      await setImmediate();
      since = performance.now();
    }
    return bytes;
  }

  /** An array for a read of this length, and readBound() made to read into it. */
  #cut(length: number): Uint8Array {
    const piece = pieceFor(length);
    if (piece !== this.#boundPiece) this.#native.bindPiece((this.#boundPiece = piece));
    const bytes = smallRead(length);
    this.#bound[ACCESS_BOUND.offset] = bytes.byteOffset;
    return bytes;
  }

  /** readBound() made to read into an array of the caller's, which is likely to be the one of the last time. */
  #firstOf(into: Uint8Array, length: number): Uint8Array {
    if (into !== this.#boundPiece) this.#native.bindPiece((this.#boundPiece = into));
    this.#bound[ACCESS_BOUND.offset] = 0;
    // Making a view takes as long as reading a page. One whose array was detached has no length any more.
    if (into !== this.#lastInto || lengthOf(this.#lastView) !== length) {
      this.#lastInto = into;
      this.#lastView = prefix(into, length);
    }
    return this.#lastView;
  }

  #argument(id: number, address: number, length: number): void {
    this.#context.head(SYSCALL, id);
    putNumber(this.#words, ACCESS.address, address);
    putNumber(this.#words, ACCESS.length, length);
    putNumber(this.#words, ACCESS.done, 0);
  }
}
