/**
 * The page table of an mm: four levels, of which the upper three are arrays of references and the lowest is typed
 * arrays. Whether a table *page* exists is itself observable (mprotect's events, the CLEAR at a VMA boundary, the
 * size of the hole that hmm_range_fault sees), so tables are allocated and freed where the kernel does.
 *
 * The entries of a PTE table are kept in the form in which hmm_range_fault hands them out, so that a snapshot
 * of 2 MiB is one copy. All writes go through set(), protect() and clear(), which keep entry and counters together.
 *
 * Room for what does not exist yet: a PMD leaf is another kind of {@link PmdEntry}; a non-present entry that is not
 * none (device-private, exclusive, migration) is an all-zero entry, which is what a snapshot says of it, with a
 * kind and a payload in `bits` and beside it.
 */
import { PTES, blockOf } from './layout.js';

/** Accessed by the CPU for writing (_PAGE_DIRTY). */
export const PTE_DIRTY = 1 << 0;
/** pte_mkspecial: no reference to the frame is held; here only the zero page. */
export const PTE_SPECIAL = 1 << 1;
/** _PAGE_PROTNONE, or an execute-only protection key: for the kernel present, for the process's loads and stores not. */
export const PTE_NO_ACCESS = 1 << 2;

/** In the upper word of an entry, as an Int32Array has it: HMM_PFN_VALID (the sign, so that valid is `< 0`) and HMM_PFN_WRITE. */
export const HIGH_VALID = 1 << 31;
export const HIGH_WRITE = 1 << 30;

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

  constructor() {
    const buffer = new ArrayBuffer(PTES * 9);
    this.entries = new BigUint64Array(buffer, 0, PTES);
    this.words = new Int32Array(buffer, 0, PTES * 2);
    this.bits = new Uint8Array(buffer, PTES * 8, PTES);
  }

  isPresent(index: number): boolean {
    return this.words[highWord(index)] !== 0;
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
    if (old === 0) this.present++;
    this.writable += (write ? 1 : 0) - ((old & HIGH_WRITE) !== 0 ? 1 : 0);
    this.words[at] = write ? HIGH_VALID | HIGH_WRITE : HIGH_VALID;
    this.words[lowWord(index)] = frame;
    this.bits[index] = bits;
  }

  /** Changes only the permission of a present entry. */
  protect(index: number, write: boolean): void {
    const at = highWord(index);
    this.writable += (write ? 1 : 0) - ((this.words[at]! & HIGH_WRITE) !== 0 ? 1 : 0);
    this.words[at] = write ? HIGH_VALID | HIGH_WRITE : HIGH_VALID;
  }

  clear(index: number): void {
    const at = highWord(index);
    const old = this.words[at]!;
    if (old === 0) return;
    this.present--;
    if ((old & HIGH_WRITE) !== 0) this.writable--;
    this.words[at] = 0;
    this.words[lowWord(index)] = 0;
    this.bits[index] = 0;
  }
}

/** What an entry of a PMD table can be. */
export type PmdEntry = PteTable | null;

export class PmdTable {
  readonly entries: PmdEntry[] = new Array<PmdEntry>(PTES).fill(null);
  /** Entries that are not none. */
  populated = 0;
}

export class PudTable {
  readonly entries: (PmdTable | null)[] = new Array<PmdTable | null>(PTES).fill(null);
}

export class PageTable {
  /** One per 512 GiB slice of user space. */
  readonly slices: (PudTable | null)[] = new Array<PudTable | null>(256).fill(null);
  #cachedBlock = -1;
  #cachedTable: PteTable | null = null;

  /** The PTE table of a block, or null if any level above it is missing. */
  table(block: number): PteTable | null {
    if (block === this.#cachedBlock) return this.#cachedTable;
    const table = this.pmdTable(block)?.entries[block & 511] ?? null;
    if (table !== null) {
      this.#cachedBlock = block;
      this.#cachedTable = table;
    }
    return table;
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
    return (this.slices[block >>> 18] ??= new PudTable());
  }

  /** p4d_alloc, pud_alloc, pmd_alloc. */
  ensurePmdTable(block: number): PmdTable {
    return (this.ensurePudTable(block).entries[(block >>> 9) & 511] ??= new PmdTable());
  }

  /** ... and pte_alloc. */
  ensureTable(block: number): PteTable {
    if (block === this.#cachedBlock) return this.#cachedTable!;
    const pmd = this.ensurePmdTable(block);
    let table = pmd.entries[block & 511]!;
    if (table === null) {
      table = new PteTable();
      pmd.entries[block & 511] = table;
      pmd.populated++;
    }
    this.#cachedBlock = block;
    this.#cachedTable = table;
    return table;
  }

  /** pmd_clear and pmd_populate: puts a whole PTE table (or none) under a block whose PMD table exists. */
  replaceTable(block: number, table: PteTable | null): void {
    const pmd = this.pmdTable(block)!;
    pmd.populated += (table === null ? 0 : 1) - (pmd.entries[block & 511] === null ? 0 : 1);
    pmd.entries[block & 511] = table;
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

  /**
   * Calls visit for each PTE table that exists in [start, end), with the entries [from, to) of it that lie inside.
   * Cost: the tables that exist, and 512 tests for each PMD table.
   */
  eachTable(
    start: number,
    end: number,
    visit: (table: PteTable, from: number, to: number, block: number) => void,
  ): void {
    if (start >= end) return;
    const first = blockOf(start);
    const last = blockOf(end - 1);
    for (let slice = first >>> 18; slice <= last >>> 18; slice++) {
      const pud = this.slices[slice];
      if (pud == null) continue;
      const firstPud = slice === first >>> 18 ? (first >>> 9) & 511 : 0;
      const lastPud = slice === last >>> 18 ? (last >>> 9) & 511 : 511;
      for (let p = firstPud; p <= lastPud; p++) {
        const pmd = pud.entries[p]!;
        if (pmd === null || pmd.populated === 0) continue;
        const base = (slice << 18) | (p << 9);
        for (let block = Math.max(first, base); block <= Math.min(last, base + 511); block++) {
          const table = pmd.entries[block & 511]!;
          if (table === null) continue;
          const from = block === first ? Math.floor(start / 4096) % PTES : 0;
          const to = block === last ? (Math.floor((end - 1) / 4096) % PTES) + 1 : PTES;
          visit(table, from, to, block);
        }
      }
    }
  }
}
