/** The results of a batch of operations, as its replies come in. */
import type { BackendFile, OperationResult } from '../backend.js';
import { HmmError, errorOfErrno } from '../errors.js';
import type { Operation } from '../operations.js';
import { RECORD_RESULT, type Reply, type ReplySink } from './protocol.js';

const SIGBUS = 7;

const SYSCALL_OF: { readonly [op in Operation['op']]: string } = {
  mmap: 'mmap',
  munmap: 'munmap',
  mprotect: 'mprotect',
  madvise: 'madvise',
  mremap: 'mremap',
  read: 'read',
  write: 'write',
  truncate: 'ftruncate',
  punchHole: 'fallocate',
};

const DONE: OperationResult = Object.freeze({});

/** What is allocated for a read before its bytes begin to come. */
const FIRST_ALLOCATION = 1 << 20;

export class Batch implements ReplySink {
  readonly results: OperationResult[] = [];
  readonly #operations: readonly Operation<BackendFile>[];
  /** What the read that is being answered has so far, in front of room for more. */
  #bytes = NO_BYTES;
  #received = 0;
  #outOfMemory: HmmError | null = null;

  constructor(operations: readonly Operation<BackendFile>[]) {
    this.#operations = operations;
  }

  get complete(): boolean {
    return this.results.length === this.#operations.length;
  }

  data(bytes: Uint8Array): void {
    const operation = this.#operations[this.results.length];
    if (operation?.op !== 'read' || this.#received + bytes.length > operation.length) {
      throw new Error('the workload program sent bytes that nobody asked for');
    }
    if (this.#outOfMemory !== null) return;
    if (this.#received + bytes.length > this.#bytes.length && !this.#grow(operation.length, bytes.length)) return;
    this.#bytes.set(bytes, this.#received);
    this.#received += bytes.length;
  }

  record(reply: Reply): void {
    const operation = this.#operations[this.results.length];
    if (operation === undefined || reply.kind !== RECORD_RESULT) {
      throw new Error(`the workload program sent an unexpected record of kind ${reply.kind}`);
    }
    this.results.push(this.#result(operation, reply));
    this.#bytes = NO_BYTES;
    this.#received = 0;
    this.#outOfMemory = null;
  }

  #result(operation: Operation<BackendFile>, reply: Reply): OperationResult {
    if (reply.error !== 0) return { error: failure(operation, reply) };
    if (operation.op === 'mmap' || operation.op === 'mremap') return { value: reply.value };
    if (operation.op !== 'read') return DONE;
    return this.#outOfMemory !== null ? { error: this.#outOfMemory } : { value: this.#bytes };
  }

  /**
   * Makes room, in the end for exactly `length` bytes. Never much more than has come: a long read may fail at its first byte,
   * and the kernel refuses to fork a process with one mapping that is larger than the machine's memory.
   */
  #grow(length: number, more: number): boolean {
    const wanted = Math.max(FIRST_ALLOCATION, 2 * (this.#received + more));
    // Nor shall more than half of the last array be for nothing.
    const size = wanted * 2 > length ? length : wanted;
    try {
      const grown = new Uint8Array(size);
      grown.set(this.#bytes.subarray(0, this.#received));
      this.#bytes = grown;
      return true;
    } catch (cause) {
      this.#outOfMemory = new HmmError('ENOMEM', 'read', `no array can hold ${length} bytes`, { cause });
      this.#bytes = NO_BYTES;
      return false;
    }
  }
}

const NO_BYTES = new Uint8Array(0);

function failure(operation: Operation<BackendFile>, reply: Reply): HmmError {
  const syscall = SYSCALL_OF[operation.op];
  if (reply.signal === 0) return errorOfErrno(reply.error, syscall);
  return errorOfErrno(reply.error, syscall, {
    address: reply.address,
    signal: reply.signal === SIGBUS ? 'SIGBUS' : 'SIGSEGV',
    done: reply.value,
  });
}
