import type { BackendFile } from './backend.js';
import type { PublicOperation } from './check-operation.js';
import { BACKEND, SESSION, type Session } from './session.js';

/** A file in memory (memfd, tmpfs): what `mmap` takes for file-backed and shared mappings. Made by AddressSpace.createFile. */
export class MemoryFile {
  /** @internal */
  readonly [SESSION]: Session;
  /** @internal */
  readonly [BACKEND]: BackendFile;
  readonly #run: (operation: PublicOperation) => Promise<void>;

  /** @internal */
  constructor(session: Session, backend: BackendFile, run: (operation: PublicOperation) => Promise<void>) {
    this[SESSION] = session;
    this[BACKEND] = backend;
    this.#run = run;
  }

  /** Bytes. */
  get length(): number {
    return this[BACKEND].length;
  }

  /** ftruncate(2), by the process that created the file: unmaps what lies beyond from every process that maps it. */
  truncate(length: number): Promise<void> {
    return this.#run({ op: 'truncate', file: this, length });
  }

  /** fallocate(2) with FALLOC_FL_PUNCH_HOLE: the whole pages inside become holes, unmapped from every process. */
  punchHole(offset: number, length: number): Promise<void> {
    return this.#run({ op: 'punchHole', file: this, offset, length });
  }
}
