/**
 * The large pieces of one machine's memory, for the next: an exploration makes thousands of machines, one after the other, and making and collecting these
 * arrays would cost more than what is done with them. Resetting costs what was in use.
 */
import { Chunk } from './device-page-table.js';
import { PteTable } from './page-table.js';
import type { FrameArrays, Frames } from './frames.js';
import type { Scheduler } from '../scheduler.js';

/** Under this a scheduler brings the memory that its machines share. */
export const SPARE = Symbol('node-hmm spare memory');

/** Pieces that are kept; an execution with more lets the rest go. */
const LIMIT = 64;

export class SpareMemory {
  readonly #arrays: FrameArrays[] = [];
  readonly #tables: PteTable[] = [];
  readonly #chunks: Chunk[] = [];
  /** What the machines that are running have. */
  #lentFrames: Frames[] = [];
  #lentTables: PteTable[] = [];
  #lentChunks: Chunk[] = [];

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
    const table = this.#tables.pop() ?? new PteTable();
    this.#lentTables.push(table);
    return table;
  }

  takeChunk(): Chunk {
    const chunk = this.#chunks.pop() ?? new Chunk();
    this.#lentChunks.push(chunk);
    return chunk;
  }

  /** Everything that was lent comes back, as new. No machine that has some of it may run any more: its engine is over. */
  reclaim(): void {
    for (const frames of this.#lentFrames) if (this.#arrays.length < LIMIT) this.#arrays.push(frames.surrender());
    for (const table of this.#lentTables) if (this.#tables.length < LIMIT) this.#tables.push(table.reset());
    for (const chunk of this.#lentChunks) if (this.#chunks.length < LIMIT) this.#chunks.push(chunk.reset());
    this.#lentFrames = [];
    this.#lentTables = [];
    this.#lentChunks = [];
  }
}
