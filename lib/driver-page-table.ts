import { HMM_PFN_VALID } from './constants.js';
import { checkEntries, checkInteger } from './validate.js';

const PAGES_PER_TABLE = 512;

/**
 * The page table of a device whose driver is written in TypeScript: what `invalidate()` empties and the retry
 * loop fills, both with the driver's update lock held. It holds page frame entries in the kernel's encoding, sparsely, in tables of 2 MiB.
 */
export class DriverPageTable {
  readonly #pageSize: number;
  readonly #tables = new Map<number, BigUint64Array>();

  constructor(pageSize = 4096) {
    this.#pageSize = checkInteger(pageSize, 'pageSize', 1);
  }

  /** Entries of consecutive pages from `start`, as a range's `pfns` has them; one that is not HMM_PFN_VALID clears its page. */
  update(start: number, pfns: BigUint64Array): void {
    let page = this.#pageOf(start, 'start');
    for (const entry of checkEntries(pfns, 'pfns')) {
      const index = Math.floor(page / PAGES_PER_TABLE);
      let table = this.#tables.get(index);
      const value = (entry & HMM_PFN_VALID) !== 0n ? entry : 0n;
      if (table === undefined && value !== 0n) {
        table = new BigUint64Array(PAGES_PER_TABLE);
        this.#tables.set(index, table);
      }
      if (table !== undefined) table[page % PAGES_PER_TABLE] = value;
      page++;
    }
  }

  /** Clears every page that [start, end) touches. An end beyond all addresses, as of 'release', clears all from start. */
  invalidate(start: number, end: number): void {
    const first = Math.floor(start / this.#pageSize);
    const last = Math.ceil(end / this.#pageSize);
    for (const [index, table] of this.#tables) {
      const base = index * PAGES_PER_TABLE;
      if (base >= last || base + PAGES_PER_TABLE <= first) continue;
      const from = Math.max(0, first - base);
      const to = Math.min(PAGES_PER_TABLE, last - base);
      if (from === 0 && to === PAGES_PER_TABLE) this.#tables.delete(index);
      else table.fill(0n, from, to);
    }
  }

  /** The entry of the page at `address`, or 0n. */
  get(address: number): bigint {
    const page = Math.floor(checkInteger(address, 'address') / this.#pageSize);
    return this.#tables.get(Math.floor(page / PAGES_PER_TABLE))?.[page % PAGES_PER_TABLE] ?? 0n;
  }

  /** The entries of every page that the `length` bytes from `address` touch, as `device.read` takes them. */
  entries(address: number, length: number): BigUint64Array {
    checkInteger(address, 'address');
    checkInteger(length, 'length');
    const first = Math.floor(address / this.#pageSize);
    const last = length === 0 ? first : Math.floor((address + length - 1) / this.#pageSize) + 1;
    return BigUint64Array.from({ length: last - first }, (_, page) => this.get((first + page) * this.#pageSize));
  }

  #pageOf(address: number, name: string): number {
    if (checkInteger(address, name) % this.#pageSize !== 0) {
      throw new RangeError(`${name} must be a multiple of the page size, not ${address}`);
    }
    return address / this.#pageSize;
  }
}
