/** The bytes between here and the workload program: native/workload/protocol.h says what they mean. */
import { MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED, MREMAP_MAYMOVE, PROT_READ, PROT_WRITE } from '../constants.js';
import type { Operation } from '../operations.js';

export const FRAME_RUN = 1;
export const FRAME_FORK = 2;
export const FRAME_EXIT = 3;
export const FRAME_THREAD = 4;

export const RECORD_HELLO = 1;
export const RECORD_DATA = 2;
export const RECORD_RESULT = 3;

const HEADER_BYTES = 24;
const OPERATION_BYTES = 48;
export const RECORD_BYTES = 32;

const NUMBER_OF = {
  mmap: 1,
  munmap: 2,
  mprotect: 3,
  madvise: 4,
  mremap: 5,
  read: 6,
  write: 7,
  truncate: 8,
  punchHole: 9,
} as const;

/** The kernel's SCM_MAX_FD: files that one message may carry. */
export const MAX_FILES = 253;
/** Frames end at the first operation that would make them longer; one operation may still be. */
const MAX_BODY = 64 * 1024 * 1024;

export interface Frame<File> {
  readonly bytes: Uint8Array;
  /** What the operations' file numbers, from 1, count through. */
  readonly files: readonly File[];
  /** How many operations. */
  readonly count: number;
}

/** A frame without operations. `files` says how many go with it. */
export function encodeControl(kind: number, files: number): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  putHeader(new DataView(bytes.buffer), kind, 0, files, 0);
  return bytes;
}

/** The operations as frames, to be sent one after the other. Bytes to write are copied here, so their owner may go on using them. */
export function encodeOperations<File>(operations: readonly Operation<File>[]): Frame<File>[] {
  const frames: Frame<File>[] = [];
  for (let first = 0; first < operations.length;) {
    const files = new Map<File, number>();
    let body = 0;
    let last = first;
    for (; last < operations.length; last++) {
      const operation = operations[last]!;
      const size = OPERATION_BYTES + (operation.op === 'write' ? operation.bytes.length : 0);
      const file = fileOf(operation);
      const isNew = file !== undefined && !files.has(file);
      if (last > first && (body + size > MAX_BODY || (isNew && files.size === MAX_FILES))) break;
      if (isNew) files.set(file, files.size + 1);
      body += size;
    }
    frames.push(encodeFrame(operations.slice(first, last), files, body));
    first = last;
  }
  return frames;
}

function encodeFrame<File>(
  operations: readonly Operation<File>[],
  files: Map<File, number>,
  body: number,
): Frame<File> {
  const bytes = new Uint8Array(HEADER_BYTES + body);
  const view = new DataView(bytes.buffer);
  putHeader(view, FRAME_RUN, operations.length, files.size, body);
  let at = HEADER_BYTES;
  for (const operation of operations) {
    putOperation(view, at, operation, files);
    at += OPERATION_BYTES;
    if (operation.op === 'write') {
      bytes.set(operation.bytes, at);
      at += operation.bytes.length;
    }
  }
  return { bytes, files: [...files.keys()], count: operations.length };
}

function fileOf<File>(operation: Operation<File>): File | undefined {
  return 'file' in operation ? operation.file : undefined;
}

function putHeader(view: DataView, kind: number, count: number, files: number, length: number): void {
  view.setUint32(0, kind, true);
  view.setUint32(4, count, true);
  view.setUint32(8, files, true);
  putU64(view, 16, length);
}

function putOperation<File>(view: DataView, at: number, operation: Operation<File>, files: Map<File, number>): void {
  const file = fileOf(operation);
  const put = (argument: number, flags: number, address: number, length: number, offset: number, target: number) => {
    view.setUint32(at, NUMBER_OF[operation.op], true);
    view.setUint32(at + 4, argument, true);
    view.setUint32(at + 8, flags, true);
    view.setUint32(at + 12, file === undefined ? 0 : files.get(file)!, true);
    putU64(view, at + 16, address);
    putU64(view, at + 24, length);
    putU64(view, at + 32, offset);
    putU64(view, at + 40, target);
  };
  switch (operation.op) {
    case 'mmap': {
      const flags = operation.flags ?? (file === undefined ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED);
      const { address = 0, length, protection = PROT_READ | PROT_WRITE, offset = 0 } = operation;
      return put(protection, flags, address, length, offset, 0);
    }
    case 'munmap':
    case 'read':
      return put(0, 0, operation.address, operation.length, 0, 0);
    case 'write':
      return put(0, 0, operation.address, operation.bytes.length, 0, 0);
    case 'mprotect':
      return put(operation.protection, 0, operation.address, operation.length, 0, 0);
    case 'madvise':
      return put(operation.advice, 0, operation.address, operation.length, 0, 0);
    case 'mremap': {
      const { address, oldLength, newLength, flags = MREMAP_MAYMOVE, newAddress = 0 } = operation;
      return put(0, flags, address, oldLength, newLength, newAddress);
    }
    case 'truncate':
      return put(0, 0, 0, operation.length, 0, 0);
    case 'punchHole':
      return put(0, 0, operation.offset, operation.length, 0, 0);
  }
}

function putU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value, true);
  view.setUint32(at + 4, value / 2 ** 32, true);
}

/** A record of the program's, without the bytes that follow a RECORD_DATA. */
export interface Reply {
  readonly kind: number;
  readonly error: number;
  readonly value: number;
  readonly address: number;
  readonly signal: number;
}

export interface ReplySink {
  record(reply: Reply): void;
  /** Some of the bytes of a RECORD_DATA; valid during the call only. */
  data(bytes: Uint8Array): void;
}

/** Takes the stream apart, however it was cut into pieces. */
export class ReplyReader {
  readonly #sink: ReplySink;
  readonly #header = new Uint8Array(RECORD_BYTES);
  readonly #view = new DataView(this.#header.buffer);
  #have = 0;
  #dataLeft = 0;

  constructor(sink: ReplySink) {
    this.#sink = sink;
  }

  feed(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#dataLeft > 0) {
        const take = Math.min(this.#dataLeft, bytes.length - at);
        this.#dataLeft -= take;
        this.#sink.data(bytes.subarray(at, at + take));
        at += take;
        continue;
      }
      const take = Math.min(RECORD_BYTES - this.#have, bytes.length - at);
      this.#header.set(bytes.subarray(at, at + take), this.#have);
      this.#have += take;
      at += take;
      if (this.#have === RECORD_BYTES) this.#take();
    }
  }

  #take(): void {
    this.#have = 0;
    const view = this.#view;
    const kind = view.getUint32(0, true);
    if (kind === RECORD_DATA) {
      this.#dataLeft = view.getUint32(28, true);
      return;
    }
    this.#sink.record({
      kind,
      error: view.getUint32(4, true),
      value: view.getUint32(8, true) + view.getUint32(12, true) * 2 ** 32,
      address: view.getUint32(16, true) + view.getUint32(20, true) * 2 ** 32,
      signal: view.getUint32(24, true),
    });
  }
}
