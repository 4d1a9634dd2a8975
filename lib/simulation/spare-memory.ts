/**
 * The large pieces of one machine's memory, for the next: an exploration makes thousands of machines, one after the other, and making and collecting these
 * arrays would cost more than what is done with them. Resetting costs what was in use.
 */
import { Chunk } from './device-page-table.js';
import { PmdTable, PteTable, PudTable } from './page-table.js';
import type { FrameArrays, Frames } from './frames.js';
import type { Scheduler } from '../scheduler.js';

/** Under this a scheduler brings the memory that its machines share. */
export const SPARE = Symbol('node-hmm spare memory');

/** Pieces of a kind that are kept; an execution with more lets the rest go. */
const LIMIT = 64;

/** Pieces of one kind. */
class Stock<Piece extends { reset(): Piece }> {
  readonly #make: () => Piece;
  readonly #spare: Piece[] = [];
  /** What the machines that are running have. */
  readonly #lent: Piece[] = [];

  constructor(make: () => Piece) {
    this.#make = make;
  }

  get lends(): boolean {
    return this.#lent.length > 0;
  }

  take(): Piece {
    const piece = this.#spare.pop() ?? this.#make();
    this.#lent.push(piece);
    return piece;
  }

  reclaim(): void {
    for (let piece = this.#lent.pop(); piece !== undefined; piece = this.#lent.pop()) {
      if (this.#spare.length < LIMIT) this.#spare.push(piece.reset());
    }
  }
}

export class SpareMemory {
  readonly #arrays: FrameArrays[] = [];
  #lentFrames: Frames[] = [];
  readonly #tables = new Stock(() => new PteTable());
  readonly #pmdTables = new Stock(() => new PmdTable());
  readonly #pudTables = new Stock(() => new PudTable());
  readonly #chunks = new Stock(() => new Chunk());

  /** That of the scheduler, or null. */
  static of(scheduler: Scheduler | null): SpareMemory | null {
    const brought: unknown = scheduler === null ? null : (scheduler as { [SPARE]?: unknown })[SPARE];
    return brought instanceof SpareMemory ? brought : null;
  }

  takeFrames(): FrameArrays | undefined {
    return this.#arrays.pop();
  }

  lent(frames: Frames): void {
    this.#lentFrames.push(frames);
  }

  takeTable(): PteTable {
    return this.#tables.take();
  }

  takePmdTable(): PmdTable {
    return this.#pmdTables.take();
  }

  takePudTable(): PudTable {
    return this.#pudTables.take();
  }

  takeChunk(): Chunk {
    return this.#chunks.take();
  }

  /** Whether any device of the machines that are running has, or had, an entry in its page table. */
  get lendsChunks(): boolean {
    return this.#chunks.lends;
  }

  /** Everything that was lent comes back, as new. No machine that has some of it may run any more: its engine is over. */
  reclaim(): void {
    for (const frames of this.#lentFrames) if (this.#arrays.length < LIMIT) this.#arrays.push(frames.surrender());
    this.#lentFrames = [];
    this.#tables.reclaim();
    this.#pmdTables.reclaim();
    this.#pudTables.reclaim();
    this.#chunks.reclaim();
  }
}
