/**
 * Physical memory: struct page as a structure of arrays, and the bytes of a frame only once something other than
 * zero has been stored in it. A frame number is stable while anything refers to the frame; a freed one is given
 * out again, the last freed first, as the per-CPU lists of the page allocator do.
 */
import { FIRST_FRAME, FrameNumbers } from './frame-numbers.js';
import { PAGE, PTES } from './layout.js';
import type { AnonVma } from './anon-vma.js';

export const PAGE_ANON = 1 << 0;
/** PG_anon_exclusive: this mapping is the only one, and may write without asking. */
export const PAGE_ANON_EXCLUSIVE = 1 << 1;
/** In the page cache of a file, which holds a reference of its own. */
export const PAGE_CACHED = 1 << 2;
/** Made by MADV_FREE: anonymous, and not PG_swapbacked any more. */
export const PAGE_LAZYFREE = 1 << 3;
/** PG_dirty: a device wrote to it. The dirty bit of a PTE is separate. */
export const PAGE_DIRTY = 1 << 4;

/** Of a large folio: 512 frames in a row, naturally aligned, which are allocated and freed as one. */
export const PAGE_LARGE = 1 << 7;

/** ZERO_PAGE(0): mapped by read faults of anonymous memory, never counted, never freed. */
export const ZERO_FRAME = 1;
/** The huge zero page: the same for read faults of a whole PMD. */
export const HUGE_ZERO_FRAME = PTES;
/** What is counted of a large folio as a whole. */
export interface LargeFolio {
  /** Of a hugetlb page: told when the page is free again. */
  readonly pool: { released(): void } | null;
  /** PMDs that map all of it (_entire_mapcount + 1). */
  entire: number;
  /** ... together with the PTEs that map one page of it (folio_mapcount). */
  mappings: number;
}

const SLAB_PAGES = 256;
/** Frames that there is room for at first. */
const FIRST_FRAMES = 2048;
/** The first slab is small, and each four times the one before: a machine that is made for a moment costs little. */
const FIRST_SLAB_PAGES = 4;

/** The arrays of a machine that is over, all zero again, for the next one (spare-memory.ts). */
export interface FrameArrays {
  readonly mapcount: Int32Array;
  readonly flags: Uint8Array;
  readonly held: Int32Array;
  readonly zone: Uint8Array;
  readonly anonVma: (AnonVma | null)[];
  readonly slot: Int32Array;
  readonly slabs: Uint8Array[];
  readonly slabPages: number;
  readonly freeSlots: number[];
}

/** dev_pagemap_ops, as far as frames have to do with it. */
export interface DeviceZone {
  /** page_free: nothing refers to the frame any more. */
  pageFree(frame: number): void;
}

export class Frames {
  /** PTEs that map the frame, in all address spaces (_mapcount + 1). */
  mapcount: Int32Array;
  flags: Uint8Array;
  /** References other than those of mappings and of the page cache: a page that is being migrated, copied or exclusive to a device. */
  held: Int32Array;
  /** Whose memory a frame is: 0 for the system's, else 1 + the id of the device (page->pgmap). */
  zone: Uint8Array;
  /** page->mapping of an anonymous page: where the reverse map finds what maps it. Stale in a frame that is free. */
  readonly anonVma: (AnonVma | null)[];
  /** Where the bytes are: slab * SLAB_PAGES + page of it, or -1 for a frame that is all zero. */
  #slot: Int32Array;
  readonly #numbers: FrameNumbers;
  readonly #devices = new Map<number, DeviceZone>();
  /** By first frame. */
  readonly #folios = new Map<number, LargeFolio>();
  readonly #slabs: Uint8Array[];
  /** Pages in all slabs. */
  #slabPages: number;
  readonly #freeSlots: number[];

  /**
   * @param capacity frames that can be in use at once
   * @param arrays of a machine before
   */
  constructor(capacity: number, arrays: FrameArrays = newArrays()) {
    this.#numbers = new FrameNumbers(capacity);
    this.mapcount = arrays.mapcount;
    this.flags = arrays.flags;
    this.held = arrays.held;
    this.zone = arrays.zone;
    this.anonVma = arrays.anonVma;
    this.#slot = arrays.slot;
    this.#slabs = arrays.slabs;
    this.#slabPages = arrays.slabPages;
    this.#freeSlots = arrays.freeSlots;
  }

  /** The arrays, as new; costs what was in use. Nothing may use this object any more. */
  surrender(): FrameArrays {
    const end = Math.min(this.#numbers.end, this.flags.length);
    for (let frame = FIRST_FRAME; frame < end; frame++) if (this.#slot[frame]! >= 0) this.#wipe(frame);
    return {
      mapcount: this.mapcount.fill(0, 0, end),
      flags: this.flags.fill(0, 0, end),
      held: this.held.fill(0, 0, end),
      zone: this.zone.fill(0, 0, end),
      // The zero pages, which are below, have none.
      anonVma: this.anonVma.fill(null, FIRST_FRAME, end),
      slot: this.#slot,
      slabs: this.#slabs,
      slabPages: this.#slabPages,
      freeSlots: this.#freeSlots,
    };
  }

  /** Frames in use, the zero page not counted. */
  get used(): number {
    return this.#numbers.used;
  }

  /** Bytes of content that are stored, in pages. */
  get stored(): number {
    return this.#slabPages - this.#freeSlots.length;
  }

  /** @returns a zero-filled frame that nothing maps yet, or 0 if there is none left */
  allocate(flags: number): number {
    const frame = this.#numbers.take();
    if (frame === 0) return 0;
    this.#reach(frame);
    this.flags[frame] = flags;
    return frame;
  }

  /**
   * A large folio of zero-filled frames, which nothing maps yet.
   * @returns the first of its 512 frames, or 0 if no 512 in a row are free
   */
  allocateLarge(flags: number, pool: LargeFolio['pool'] = null): number {
    const head = this.#numbers.takeBlock();
    if (head === 0) return 0;
    this.#reach(head + PTES - 1);
    this.flags.fill(flags | PAGE_LARGE, head, head + PTES);
    this.#folios.set(head, { pool, entire: 0, mappings: 0 });
    return head;
  }

  /** memremap_pages: the numbers that takeFor() gives out are the memory of a device, which is told when one is free again. */
  addDevice(device: number, zone: DeviceZone): void {
    this.#devices.set(device, zone);
  }

  /** A frame number more for the memory of a device. */
  takeFor(device: number): number {
    const frame = this.#numbers.takeForeign();
    this.#reach(frame);
    this.zone[frame] = 1 + device;
    return frame;
  }

  /** The large folio that a frame belongs to; asked only for frames with PAGE_LARGE. */
  folio(frame: number): LargeFolio {
    return this.#folios.get(this.head(frame))!;
  }

  /** compound_head: the frame that references are counted at. */
  head(frame: number): number {
    return (this.flags[frame]! & PAGE_LARGE) === 0 ? frame : frame - (frame % PTES);
  }

  /** folio_test_hugetlb */
  isHugetlb(frame: number): boolean {
    return (this.flags[frame]! & PAGE_LARGE) !== 0 && this.folio(frame).pool !== null;
  }

  /** folio_mapcount: how many PTEs and PMDs map the page, or, of a large folio, pages of it. */
  mappings(frame: number): number {
    return (this.flags[frame]! & PAGE_LARGE) === 0 ? this.mapcount[frame]! : this.folio(frame).mappings;
  }

  /** folio_get */
  get(frame: number): void {
    this.held[this.head(frame)]!++;
  }

  /** folio_put */
  put(frame: number): void {
    const head = this.head(frame);
    this.held[head]!--;
    this.#releaseIfUnused(head);
  }

  /** Whether somebody other than mappings and page cache has a reference: the page can neither move nor be reused in place. */
  isHeld(frame: number): boolean {
    return this.held[this.head(frame)]! > 0;
  }

  map(frame: number): void {
    this.mapcount[frame]!++;
    if ((this.flags[frame]! & PAGE_LARGE) !== 0) this.folio(frame).mappings++;
  }

  /** folio_remove_rmap_pte, and folio_put: the last mapping of a page that no file caches frees it. */
  unmap(frame: number): void {
    this.mapcount[frame]!--;
    if ((this.flags[frame]! & PAGE_LARGE) !== 0) this.folio(frame).mappings--;
    this.#releaseIfUnused(frame);
  }

  /** A PMD maps the large folio that begins at `head`. */
  mapLarge(head: number): void {
    const folio = this.folio(head);
    folio.entire++;
    folio.mappings++;
  }

  /** folio_remove_rmap_pmd, and folio_put */
  unmapLarge(head: number): void {
    const folio = this.folio(head);
    folio.entire--;
    folio.mappings--;
    this.#releaseIfUnused(head);
  }

  /** __split_huge_page: of a large folio that only PTEs map each page goes on alone; those that nothing maps are freed. */
  breakUp(head: number): void {
    if (this.folio(head).entire !== 0) throw new Error('a PMD maps the folio that is to be split');
    this.#folios.delete(head);
    for (let frame = head; frame < head + PTES; frame++) {
      this.flags[frame]! &= ~PAGE_LARGE;
      this.anonVma[frame] = this.anonVma[head]!;
      this.#releaseIfUnused(frame);
    }
  }

  /** The page cache lets go: freed now, or when the last mapping goes. */
  uncache(frame: number): void {
    this.flags[frame]! &= ~PAGE_CACHED;
    this.#releaseIfUnused(frame);
  }

  /** pages_identical(page, ZERO_PAGE(0)) */
  isZeroFilled(frame: number): boolean {
    return this.#slot[frame]! < 0 || this.#bytes(frame).every((byte) => byte === 0);
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

  /** Gives the content of a frame that nobody can look at any more to one that was allocated just now. */
  moveContent(from: number, to: number): void {
    this.#slot[to] = this.#slot[from]!;
    this.#slot[from] = -1;
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
        const pages = Math.min(SLAB_PAGES, FIRST_SLAB_PAGES * 4 ** this.#slabs.length);
        this.#slabs.push(new Uint8Array(pages * PAGE));
        this.#slabPages += pages;
        for (let page = pages - 1; page > 0; page--) this.#freeSlots.push(slot + page);
      } else {
        slot = free;
      }
      this.#slot[frame] = slot;
    }
    const from = (slot % SLAB_PAGES) * PAGE;
    return this.#slabs[Math.floor(slot / SLAB_PAGES)]!.subarray(from, from + PAGE);
  }

  #releaseIfUnused(frame: number): void {
    const head = this.head(frame);
    if (this.held[head] !== 0 || (this.flags[head]! & PAGE_CACHED) !== 0 || this.mappings(head) !== 0) return;
    if ((this.flags[head]! & PAGE_LARGE) === 0) this.#release(head);
    else this.#releaseLarge(head);
  }

  #release(frame: number): void {
    this.#wipe(frame);
    const zone = this.zone[frame]!;
    if (zone === 0) this.#numbers.give(frame);
    else this.#devices.get(zone - 1)!.pageFree(frame);
  }

  #releaseLarge(head: number): void {
    const { pool } = this.folio(head);
    this.#folios.delete(head);
    for (let frame = head; frame < head + PTES; frame++) this.#wipe(frame);
    this.#numbers.giveBlock(head);
    pool?.released();
  }

  /** Content and flags of a frame that becomes free. */
  #wipe(frame: number): void {
    const slot = this.#slot[frame]!;
    if (slot >= 0) {
      // Zeroed here, so that a slot that is handed out is zero like a fresh slab.
      this.#bytes(frame).fill(0);
      this.#freeSlots.push(slot);
      this.#slot[frame] = -1;
    }
    this.flags[frame] = 0;
  }

  /** Makes room for a frame number. */
  #reach(frame: number): void {
    while (frame >= this.flags.length) this.#grow();
    while (frame >= this.anonVma.length) this.anonVma.push(null);
  }

  #grow(): void {
    const length = this.flags.length * 2;
    const mapcount = new Int32Array(length);
    mapcount.set(this.mapcount);
    this.mapcount = mapcount;
    const flags = new Uint8Array(length);
    flags.set(this.flags);
    this.flags = flags;
    const held = new Int32Array(length);
    held.set(this.held);
    this.held = held;
    const zone = new Uint8Array(length);
    zone.set(this.zone);
    this.zone = zone;
    const slot = new Int32Array(length).fill(-1);
    slot.set(this.#slot);
    this.#slot = slot;
  }
}

function newArrays(): FrameArrays {
  return {
    mapcount: new Int32Array(FIRST_FRAMES),
    flags: new Uint8Array(FIRST_FRAMES),
    held: new Int32Array(FIRST_FRAMES),
    zone: new Uint8Array(FIRST_FRAMES),
    anonVma: new Array<AnonVma | null>(FIRST_FRAMES).fill(null),
    slot: new Int32Array(FIRST_FRAMES).fill(-1),
    slabs: [],
    slabPages: 0,
    freeSlots: [],
  };
}
