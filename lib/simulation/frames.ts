/**
 * Physical memory: struct page as a structure of arrays, and the bytes of a frame only once something other than
 * zero has been stored in it. A frame number is stable while anything refers to the frame; a freed one is given
 * out again, the last freed first, as the per-CPU lists of the page allocator do.
 */
import { PAGE } from './layout.js';

export const PAGE_ANON = 1 << 0;
/** PG_anon_exclusive: this mapping is the only one, and may write without asking. */
export const PAGE_ANON_EXCLUSIVE = 1 << 1;
/** In the page cache of a file, which holds a reference of its own. */
export const PAGE_CACHED = 1 << 2;
/** Made by MADV_FREE: anonymous, and not PG_swapbacked any more. */
export const PAGE_LAZYFREE = 1 << 3;
/** PG_dirty: a device wrote to it. The dirty bit of a PTE is separate. */
export const PAGE_DIRTY = 1 << 4;

/** ZERO_PAGE(0): mapped by read faults of anonymous memory, never counted, never freed. */
export const ZERO_FRAME = 1;

const SLAB_PAGES = 256;

export class Frames {
  /** PTEs that map the frame, in all address spaces (_mapcount + 1). */
  mapcount: Int32Array = new Int32Array(1024);
  flags: Uint8Array = new Uint8Array(1024);
  /** Where the bytes are: slab * SLAB_PAGES + page of it, or -1 for a frame that is all zero. */
  #slot: Int32Array = new Int32Array(1024).fill(-1);
  readonly #capacity: number;
  #end = ZERO_FRAME + 1;
  readonly #free: number[] = [];
  readonly #slabs: Uint8Array[] = [];
  readonly #freeSlots: number[] = [];

  /** @param capacity frames that can be in use at once */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Frames in use, the zero page not counted. */
  get used(): number {
    return this.#end - (ZERO_FRAME + 1) - this.#free.length;
  }

  /** Bytes of content that are stored, in pages. */
  get stored(): number {
    return this.#slabs.length * SLAB_PAGES - this.#freeSlots.length;
  }

  /** @returns a zero-filled frame that nothing maps yet, or 0 if there is none left */
  allocate(flags: number): number {
    const reused = this.#free.pop();
    if (reused !== undefined) {
      this.flags[reused] = flags;
      return reused;
    }
    if (this.#end - (ZERO_FRAME + 1) >= this.#capacity) return 0;
    if (this.#end === this.flags.length) this.#grow();
    const frame = this.#end++;
    this.flags[frame] = flags;
    return frame;
  }

  map(frame: number): void {
    this.mapcount[frame]!++;
  }

  /** folio_remove_rmap_pte, and folio_put: the last mapping of a page that no file caches frees it. */
  unmap(frame: number): void {
    if (--this.mapcount[frame]! === 0 && (this.flags[frame]! & PAGE_CACHED) === 0) this.#release(frame);
  }

  /** The page cache lets go: freed now, or when the last mapping goes. */
  uncache(frame: number): void {
    this.flags[frame]! &= ~PAGE_CACHED;
    if (this.mapcount[frame] === 0) this.#release(frame);
  }

  read(frame: number, offset: number, target: Uint8Array, at: number, length: number): void {
    const slot = this.#slot[frame]!;
    if (slot < 0) {
      target.fill(0, at, at + length);
      return;
    }
    const from = (slot % SLAB_PAGES) * PAGE + offset;
    target.set(this.#slabs[Math.floor(slot / SLAB_PAGES)]!.subarray(from, from + length), at);
  }

  write(frame: number, offset: number, source: Uint8Array, at: number, length: number): void {
    const bytes = this.#bytes(frame);
    bytes.set(length === source.length ? source : source.subarray(at, at + length), offset);
  }

  copy(from: number, to: number): void {
    if (this.#slot[from]! < 0) return;
    this.#bytes(to).set(this.#bytes(from));
  }

  /** Zeroes [from, to) of the frame. */
  clear(frame: number, from: number, to: number): void {
    if (this.#slot[frame]! >= 0) this.#bytes(frame).fill(0, from, to);
  }

  #bytes(frame: number): Uint8Array {
    let slot = this.#slot[frame]!;
    if (slot < 0) {
      const free = this.#freeSlots.pop();
      if (free === undefined) {
        slot = this.#slabs.length * SLAB_PAGES;
        this.#slabs.push(new Uint8Array(SLAB_PAGES * PAGE));
        for (let page = SLAB_PAGES - 1; page > 0; page--) this.#freeSlots.push(slot + page);
      } else {
        slot = free;
      }
      this.#slot[frame] = slot;
    }
    const from = (slot % SLAB_PAGES) * PAGE;
    return this.#slabs[Math.floor(slot / SLAB_PAGES)]!.subarray(from, from + PAGE);
  }

  #release(frame: number): void {
    const slot = this.#slot[frame]!;
    if (slot >= 0) {
      // Zeroed here, so that a slot that is handed out is zero like a fresh slab.
      this.#bytes(frame).fill(0);
      this.#freeSlots.push(slot);
      this.#slot[frame] = -1;
    }
    this.flags[frame] = 0;
    this.#free.push(frame);
  }

  #grow(): void {
    const length = Math.min(this.flags.length * 2, this.#capacity + ZERO_FRAME + 1);
    const mapcount = new Int32Array(length);
    mapcount.set(this.mapcount);
    this.mapcount = mapcount;
    const flags = new Uint8Array(length);
    flags.set(this.flags);
    this.flags = flags;
    const slot = new Int32Array(length).fill(-1);
    slot.set(this.#slot);
    this.#slot = slot;
  }
}
