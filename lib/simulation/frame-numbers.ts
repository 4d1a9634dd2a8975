/** Which frame numbers are free (mm/page_alloc.c): single ones, and whole naturally aligned blocks of 512 for huge pages. */
import { PTES, alignUp } from './layout.js';

/** The lowest number that is given out; those below belong to the two zero pages. */
export const FIRST_FRAME = 2 * PTES;
/** So many free numbers are looked through for whole blocks when one is needed; the next time, twice as many as were left over. */
const COALESCE_AT = 16 * PTES;

export class FrameNumbers {
  readonly #capacity: number;
  /** Numbers that devices took. */
  #foreign = 0;
  #end = FIRST_FRAME;
  #free: number[] = [];
  /** First numbers of whole free blocks. */
  readonly #freeBlocks: number[] = [];
  #coalesceAt = COALESCE_AT;

  /** @param capacity frames of the system's memory that can be in use at once */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** All numbers that were ever given out are below this. */
  get end(): number {
    return this.#end;
  }

  /** Frames of the system's memory in use. */
  get used(): number {
    return this.#end - FIRST_FRAME - this.#foreign - this.#free.length - this.#freeBlocks.length * PTES;
  }

  /** The one freed last; 0 if there is none. */
  take(): number {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#end - FIRST_FRAME - this.#foreign < this.#capacity) return this.#end++;
    const block = this.#freeBlocks.pop();
    if (block === undefined) return 0;
    for (let frame = block + PTES - 1; frame > block; frame--) this.#free.push(frame);
    return block;
  }

  /** A number for the memory of a device, which does not count against the capacity. */
  takeForeign(): number {
    this.#foreign++;
    return this.#end++;
  }

  /** The first of 512 in a row, naturally aligned; 0 if there are none. */
  takeBlock(): number {
    const free = this.#freeBlocks.pop();
    if (free !== undefined) return free;
    if (this.#free.length >= this.#coalesceAt && this.#coalesce()) return this.#freeBlocks.pop()!;
    const first = alignUp(this.#end, PTES);
    if (first + PTES - FIRST_FRAME - this.#foreign > this.#capacity) {
      return this.#coalesce() ? this.#freeBlocks.pop()! : 0;
    }
    for (let frame = first - 1; frame >= this.#end; frame--) this.#free.push(frame);
    this.#end = first + PTES;
    return first;
  }

  give(frame: number): void {
    this.#free.push(frame);
  }

  giveBlock(first: number): void {
    this.#freeBlocks.push(first);
  }

  /** Finds the blocks all of whose numbers are free. Returns whether there was one. */
  #coalesce(): boolean {
    const counts = new Map<number, number>();
    for (const frame of this.#free) {
      const block = frame - (frame % PTES);
      counts.set(block, (counts.get(block) ?? 0) + 1);
    }
    this.#free = this.#free.filter((frame) => counts.get(frame - (frame % PTES)) !== PTES);
    this.#coalesceAt = Math.max(COALESCE_AT, 2 * this.#free.length);
    for (const [block, count] of counts) if (count === PTES) this.#freeBlocks.push(block);
    return this.#freeBlocks.length > 0;
  }
}
