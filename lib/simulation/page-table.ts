/**
 * The page table of an mm: four levels, of which the upper three are arrays of references and the lowest is typed
 * arrays. Whether a table *page* exists is itself observable (mprotect's events, the CLEAR at a VMA boundary, the
 * size of the hole that hmm_range_fault sees), so tables are allocated and freed where the kernel does.
 *
 * The entries of a PTE table are kept in the form in which hmm_range_fault hands them out, so that a snapshot
 * of 2 MiB is one copy. All writes go through set(), protect() and clear(), which keep entry and counters together.
 *
 * A swap entry (one that is neither none nor present: device-private, device-exclusive, migration) is an all-zero entry, which is
 * what a snapshot says of it, with a kind in `bits` and its frame in a table beside it that most never need.
 */
import { PTES, blockOf, pteIndex } from './layout.js';
import type { SpareMemory } from './spare-memory.js';

/** Accessed by the CPU for writing (_PAGE_DIRTY). */
export const PTE_DIRTY = 1 << 0;
/** pte_mkspecial: no reference to the frame is held; here only the zero page. */
export const PTE_SPECIAL = 1 << 1;
/** _PAGE_PROTNONE, or an execute-only protection key: for the kernel present, for the process's loads and stores not. */
export const PTE_NO_ACCESS = 1 << 2;

/*
 * In the bits of an entry that is not present: which swap entry it is (include/linux/swapops.h), and, except in the
 * last, whether what takes its place may be written to. PTE_DIRTY is part of a migration entry too.
 */
/** The page is in memory that the CPU cannot address. */
export const SWAP_DEVICE_PRIVATE = 1 << 4;
/** A device has the page for itself, for atomics; the entry holds a reference, but is no mapping. */
export const SWAP_EXCLUSIVE = 1 << 5;
/** The page is being moved, and is locked as long; the entry is no mapping and holds no reference. */
export const SWAP_MIGRATION = 1 << 6;
export const SWAP_WRITE = 1 << 7;
/** Of a migration entry: the page was PG_anon_exclusive, and will be again. */
export const SWAP_ANON_EXCLUSIVE = 1 << 3;

/** In the upper word of an entry, as an Int32Array has it: HMM_PFN_VALID (the sign, so that valid is `< 0`) and HMM_PFN_WRITE. */
export const HIGH_VALID = 1 << 31;
export const HIGH_WRITE = 1 << 30;
/** ... and the map order of a page inside a PMD leaf, 9. */
export const HIGH_PMD_ORDER = 9 << 24;

// Which 32-bit half of a 64-bit element holds its upper bits; the tables below are read by halves.
const HIGH = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 1 : 0;
const LOW = 1 - HIGH;

/** Index, in an Int32Array over 64-bit entries, of the half of entry `index` that holds the flags. */
export function highWord(index: number): number {
  return 2 * index + HIGH;
}

/** ... and of the half that holds the frame number (all frames here fit 31 bits). */
export function lowWord(index: number): number {
  return 2 * index + LOW;
}

/** A PTE table: 512 pages, 2 MiB. */
export class PteTable {
  /** HMM_PFN_VALID | HMM_PFN_WRITE | frame, or 0 for an entry that is not present. */
  readonly entries: BigUint64Array;
  readonly words: Int32Array;
  readonly bits: Uint8Array;
  present = 0;
  writable = 0;
  /** Swap entries. */
  swapped = 0;
  /** Grows with every change of an entry: who has looked at the table need not do so again as long as it is the same. */
  changes = 0;
  #swapFrames: Int32Array | null = null;

  constructor() {
    const buffer = new ArrayBuffer(PTES * 9);
    this.entries = new BigUint64Array(buffer, 0, PTES);
    this.words = new Int32Array(buffer, 0, PTES * 2);
    this.bits = new Uint8Array(buffer, PTES * 8, PTES);
  }

  /** As new. */
  reset(): this {
    this.entries.fill(0n);
    this.bits.fill(0);
    this.present = 0;
    this.writable = 0;
    this.swapped = 0;
    return this;
  }

  isPresent(index: number): boolean {
    return this.words[highWord(index)] !== 0;
  }

  /** pte_none */
  isNone(index: number): boolean {
    return this.words[highWord(index)] === 0 && this.bits[index] === 0;
  }

  /** SWAP_* of an entry that is not present; 0 if it is present, or none. */
  swap(index: number): number {
    return this.words[highWord(index)] === 0 ? this.bits[index]! : 0;
  }

  /** The frame of a swap entry. */
  swapFrame(index: number): number {
    return this.#swapFrames![index]!;
  }

  /** @param bits one of SWAP_DEVICE_PRIVATE, SWAP_EXCLUSIVE and SWAP_MIGRATION, and what qualifies it */
  setSwap(index: number, frame: number, bits: number): void {
    this.clear(index);
    this.#swapFrames ??= new Int32Array(PTES);
    this.#swapFrames[index] = frame;
    this.bits[index] = bits;
    this.swapped++;
    this.changes++;
  }

  isWritable(index: number): boolean {
    return (this.words[highWord(index)]! & HIGH_WRITE) !== 0;
  }

  frame(index: number): number {
    return this.words[lowWord(index)]!;
  }

  set(index: number, frame: number, write: boolean, bits: number): void {
    const at = highWord(index);
    const old = this.words[at]!;
    if (old === 0) {
      this.present++;
      if (this.bits[index] !== 0) this.swapped--;
    }
    this.writable += (write ? 1 : 0) - ((old & HIGH_WRITE) !== 0 ? 1 : 0);
    this.words[at] = write ? HIGH_VALID | HIGH_WRITE : HIGH_VALID;
    this.words[lowWord(index)] = frame;
    this.bits[index] = bits;
    this.changes++;
  }

  /** Changes only the permission of a present entry. */
  protect(index: number, write: boolean): void {
    const at = highWord(index);
    this.writable += (write ? 1 : 0) - ((this.words[at]! & HIGH_WRITE) !== 0 ? 1 : 0);
    this.words[at] = write ? HIGH_VALID | HIGH_WRITE : HIGH_VALID;
    this.changes++;
  }

  clear(index: number): void {
    const at = highWord(index);
    const old = this.words[at]!;
    this.changes++;
    if (old === 0) {
      if (this.bits[index] === 0) return;
      this.swapped--;
      this.bits[index] = 0;
      return;
    }
    this.present--;
    if ((old & HIGH_WRITE) !== 0) this.writable--;
    this.words[at] = 0;
    this.words[lowWord(index)] = 0;
    this.bits[index] = 0;
  }
}

/** A leaf at the PMD level: 512 frames in a row, of a transparent huge page, the huge zero page or a hugetlb page. */
export class HugePmd {
  /** @param bits PTE_DIRTY, PTE_NO_ACCESS; PTE_SPECIAL is the huge zero page, whose mappings nobody counts */
  constructor(
    /** The first of the 512. */
    readonly frame: number,
    public write: boolean,
    public bits: number,
  ) {}

  get isZero(): boolean {
    return (this.bits & PTE_SPECIAL) !== 0;
  }
}

/** What an entry of a PMD table can be. */
export type PmdEntry = PteTable | HugePmd | null;

export class PmdTable {
  readonly entries: PmdEntry[] = new Array<PmdEntry>(PTES).fill(null);
  /** Entries that are not none. */
  populated = 0;

  /** As new. */
  reset(): this {
    this.entries.fill(null);
    this.populated = 0;
    return this;
  }
}

export class PudTable {
  readonly entries: (PmdTable | null)[] = new Array<PmdTable | null>(PTES).fill(null);

  /** As new. */
  reset(): this {
    this.entries.fill(null);
    return this;
  }
}

export class PageTable {
  /** One per 512 GiB slice of user space. */
  readonly slices: (PudTable | null)[] = new Array<PudTable | null>(256).fill(null);
  #cachedBlock = -1;
  #cachedTable: PteTable | null = null;
  readonly #spare: SpareMemory | null;

  /** @param spare where tables come from, and go when the machine is over */
  constructor(spare: SpareMemory | null = null) {
    this.#spare = spare;
  }

  /** The PTE table of a block, or null if it has a huge page, or nothing, or if any level above is missing. */
  table(block: number): PteTable | null {
    if (block === this.#cachedBlock) return this.#cachedTable;
    const entry = this.entry(block);
    if (!(entry instanceof PteTable)) return null;
    this.#cachedBlock = block;
    this.#cachedTable = entry;
    return entry;
  }

  /** The PMD entry of a block; null also if any level above is missing. */
  entry(block: number): PmdEntry {
    return this.pmdTable(block)?.entries[block & 511] ?? null;
  }

  /** The huge page of a block, if that is what it has. */
  huge(block: number): HugePmd | null {
    if (block === this.#cachedBlock) return null;
    const entry = this.entry(block);
    return entry instanceof HugePmd ? entry : null;
  }

  tableOf(address: number): PteTable | null {
    return this.table(blockOf(address));
  }

  /** The PMD table over a block: null exactly if the PUD entry is none. */
  pmdTable(block: number): PmdTable | null {
    return this.slices[block >>> 18]?.entries[(block >>> 9) & 511] ?? null;
  }

  /** p4d_alloc, pud_alloc. */
  ensurePudTable(block: number): PudTable {
    return (this.slices[block >>> 18] ??= this.#spare === null ? new PudTable() : this.#spare.takePudTable());
  }

  /** p4d_alloc, pud_alloc, pmd_alloc. */
  ensurePmdTable(block: number): PmdTable {
    const { entries } = this.ensurePudTable(block);
    return (entries[(block >>> 9) & 511] ??= this.#spare === null ? new PmdTable() : this.#spare.takePmdTable());
  }

  /** ... and pte_alloc. */
  ensureTable(block: number): PteTable {
    if (block === this.#cachedBlock) return this.#cachedTable!;
    const pmd = this.ensurePmdTable(block);
    let table = pmd.entries[block & 511]!;
    if (table instanceof HugePmd) throw new Error('a huge page has to be split before its block gets a PTE table');
    if (table === null) {
      table = this.#spare === null ? new PteTable() : this.#spare.takeTable();
      pmd.entries[block & 511] = table;
      pmd.populated++;
    }
    this.#cachedBlock = block;
    this.#cachedTable = table;
    return table;
  }

  /** pmd_clear, pmd_populate, set_pmd_at: puts a whole PTE table, a huge page or none under a block whose PMD table exists. */
  replaceEntry(block: number, entry: PmdEntry): void {
    const pmd = this.pmdTable(block)!;
    pmd.populated += (entry === null ? 0 : 1) - (pmd.entries[block & 511] === null ? 0 : 1);
    pmd.entries[block & 511] = entry;
    this.forget();
  }

  /** pud_clear and pud_populate, the same one level up. */
  replacePmdTable(block: number, table: PmdTable | null): void {
    this.slices[block >>> 18]!.entries[(block >>> 9) & 511] = table;
    this.forget();
  }

  dropSlice(slice: number): void {
    this.slices[slice] = null;
    this.forget();
  }

  /** Drops the cached walk; whoever unlinks a table must. */
  forget(): void {
    this.#cachedBlock = -1;
    this.#cachedTable = null;
  }

  /** Calls visit for each PTE table in [start, end), as {@link eachEntry} does for all entries. */
  eachTable(
    start: number,
    end: number,
    visit: (table: PteTable, from: number, to: number, block: number) => void,
  ): void {
    this.eachEntry(start, end, (entry, from, to, block) => {
      if (entry instanceof PteTable) visit(entry, from, to, block);
    });
  }

  /**
   * Calls visit for each PTE table and each huge page in [start, end), with the pages [from, to) of it that lie inside.
   * Cost: the entries that exist, and 512 tests for each PMD table.
   */
  eachEntry(
    start: number,
    end: number,
    visit: (entry: PteTable | HugePmd, from: number, to: number, block: number) => void,
  ): void {
    if (start >= end) return;
    const last = blockOf(end - 1);
    for (let block = this.nextEntry(blockOf(start), last); block >= 0; block = this.nextEntry(block + 1, last)) {
      visit(this.entry(block)!, firstPage(block, start), endPage(block, end), block);
    }
  }

  /** The first block in [block, last] whose PMD entry is not none, or -1. For loops that sleep between blocks. */
  nextEntry(block: number, last: number): number {
    for (let at = block; at <= last;) {
      const pud = this.slices[at >>> 18];
      if (pud == null) {
        at = ((at >>> 18) + 1) << 18;
        continue;
      }
      const pmd = pud.entries[(at >>> 9) & 511]!;
      const end = Math.min(last, at | 511);
      if (pmd !== null && pmd.populated > 0) {
        for (; at <= end; at++) if (pmd.entries[at & 511] !== null) return at;
      }
      at = end + 1;
    }
    return -1;
  }
}

/** Which pages of a block lie in [start, end): from this one ... */
export function firstPage(block: number, start: number): number {
  return block === blockOf(start) ? pteIndex(start) : 0;
}

/** ... up to this one, which is not among them. */
export function endPage(block: number, end: number): number {
  return block === blockOf(end - 1) ? pteIndex(end - 1) + 1 : PTES;
}
