/** The page table of a device: HMM_PFN_VALID, HMM_PFN_WRITE, ENTRY_EXCLUSIVE and the frame per page, or 0; sparse, in chunks of 2 MiB. */
import { HIGH_VALID, HIGH_WRITE, highWord, lowWord } from './page-table.js';
import { PAGE, PMD_SIZE, PTES, alignDown, pteIndex } from './layout.js';
import type { ExclusivePage } from './exclusive.js';
import type { SpareMemory } from './spare-memory.js';

/** ENTRY_EXCLUSIVE, in the upper word. */
const HIGH_EXCLUSIVE = 1 << 28;

/** 2 MiB of the page table of a device. */
export class Chunk {
  readonly entries = new BigUint64Array(PTES);
  readonly words = new Int32Array(this.entries.buffer);
  /** Grows with every change, as that of a PTE table does. */
  changes = 0;

  /** As new. */
  reset(): this {
    this.entries.fill(0n);
    this.changes = 0;
    return this;
  }
}

export class DevicePageTable {
  readonly #chunks = new Map<number, Chunk>();
  readonly #spare: SpareMemory | null;
  #exclusive = false;

  /** @param spare where chunks come from, and go when the machine is over */
  constructor(spare: SpareMemory | null) {
    this.#spare = spare;
  }

  /** The frame that the device has for the page at `address`, or 0 if it has none with that permission. */
  frame(address: number, write: boolean): number {
    const chunk = this.#chunks.get(Math.floor(address / PMD_SIZE));
    if (chunk === undefined) return 0;
    const index = pteIndex(address);
    const needed = write ? HIGH_WRITE : HIGH_VALID;
    return (chunk.words[highWord(index)]! & needed) === 0 ? 0 : chunk.words[lowWord(index)]!;
  }

  /** The frame of a page that the device has for itself, or 0. */
  exclusiveFrame(address: number): number {
    const chunk = this.#chunks.get(Math.floor(address / PMD_SIZE));
    if (chunk === undefined) return 0;
    const index = pteIndex(address);
    return (chunk.words[highWord(index)]! & HIGH_EXCLUSIVE) === 0 ? 0 : chunk.words[lowWord(index)]!;
  }

  /**
   * Takes over what a walk found for whole pages from `start`, inside one chunk; without the order of the mapping. An entry that
   * is exclusive stays: only an invalidation ends that, and the walk found the page absent, or saw it before.
   * @returns how many of them are valid
   */
  store(start: number, pfns: BigUint64Array): number {
    const source = new Int32Array(pfns.buffer, pfns.byteOffset, pfns.length * 2);
    const first = pteIndex(start);
    const number = Math.floor(start / PMD_SIZE);
    let chunk = this.#chunks.get(number);
    let valid = 0;
    for (let index = 0; index < pfns.length; index++) {
      const flags = source[highWord(index)]! & (HIGH_VALID | HIGH_WRITE);
      const present = flags < 0;
      if (chunk !== undefined && (chunk.words[highWord(first + index)]! & HIGH_EXCLUSIVE) !== 0) {
        valid++;
        continue;
      }
      if (present) {
        valid++;
        if (chunk === undefined) this.#chunks.set(number, (chunk = this.#newChunk()));
      } else if (chunk === undefined) {
        // A snapshot of nothing costs no memory.
        continue;
      }
      chunk.changes++;
      chunk.words[highWord(first + index)] = present ? flags : 0;
      chunk.words[lowWord(first + index)] = present ? source[lowWord(index)]! : 0;
    }
    return valid;
  }

  /** Entries for the pages, from `start` on and inside one chunk, that have been had exclusively; the others are left as they are. */
  storeExclusive(start: number, pages: readonly ExclusivePage[]): void {
    const number = Math.floor(start / PMD_SIZE);
    const first = pteIndex(start);
    this.#exclusive = true;
    pages.forEach((page, index) => {
      if (typeof page === 'string') return;
      let chunk = this.#chunks.get(number);
      if (chunk === undefined) this.#chunks.set(number, (chunk = this.#newChunk()));
      chunk.changes++;
      chunk.words[highWord(first + index)] = HIGH_VALID | HIGH_WRITE | HIGH_EXCLUSIVE;
      chunk.words[lowWord(first + index)] = page;
    });
  }

  /** One entry per page of [start, end), in `entries`. */
  read(start: number, end: number, entries: BigUint64Array = new BigUint64Array((end - start) / PAGE)): BigUint64Array {
    for (let at = start; at < end; at = alignDown(at, PMD_SIZE) + PMD_SIZE) {
      const chunk = this.#chunks.get(Math.floor(at / PMD_SIZE));
      const first = pteIndex(at);
      const count = Math.min(PTES - first, (end - at) / PAGE);
      const to = (at - start) / PAGE;
      if (chunk === undefined) entries.fill(0n, to, to + count);
      else entries.set(count === PTES ? chunk.entries : chunk.entries.subarray(first, first + count), to);
    }
    return entries;
  }

  /** Empties every page that [start, end) touches; costs what is there, not what is asked for. */
  clear(start: number, end: number): void {
    const first = Math.floor(start / PMD_SIZE);
    const last = Math.ceil(end / PMD_SIZE);
    if (last - first <= this.#chunks.size) {
      for (let number = first; number < last; number++) this.#clearChunk(number, start, end);
    } else {
      for (const number of this.#chunks.keys())
        if (number >= first && number < last) this.#clearChunk(number, start, end);
    }
  }

  /** Whether entries were ever exclusive. */
  get exclusive(): boolean {
    return this.#exclusive;
  }

  /** Whether nothing was ever put into it, or all of that has gone. */
  get empty(): boolean {
    return this.#chunks.size === 0;
  }

  /** Calls visit for each 2 MiB that has been written to, with the number that PageTable has it under, too. */
  eachChunk(visit: (chunk: Chunk, block: number) => void): void {
    for (const [number, chunk] of this.#chunks) visit(chunk, number);
  }

  /** Calls visit for each valid entry. */
  forEach(visit: (address: number, frame: number, write: boolean, exclusive: boolean) => void): void {
    for (const [number, { words }] of this.#chunks) {
      for (let index = 0; index < PTES; index++) {
        const high = words[highWord(index)]!;
        if (high >= 0) continue;
        const address = number * PMD_SIZE + index * PAGE;
        visit(address, words[lowWord(index)]!, (high & HIGH_WRITE) !== 0, (high & HIGH_EXCLUSIVE) !== 0);
      }
    }
  }

  #newChunk(): Chunk {
    return this.#spare === null ? new Chunk() : this.#spare.takeChunk();
  }

  #clearChunk(number: number, start: number, end: number): void {
    const chunk = this.#chunks.get(number);
    if (chunk === undefined) return;
    const base = number * PMD_SIZE;
    const from = Math.max(0, Math.floor((start - base) / PAGE));
    const to = Math.min(PTES, Math.ceil((end - base) / PAGE));
    if (to - from === PTES) {
      this.#chunks.delete(number);
      return;
    }
    chunk.entries.fill(0n, from, to);
    chunk.changes++;
  }
}
