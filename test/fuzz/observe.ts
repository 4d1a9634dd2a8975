/** What can be seen of page tables, as text that is the same on every machine: frames have no numbers here, only equals. */
import { HMM_PFN_ERROR, HMM_PFN_VALID, HMM_PFN_WRITE, hmmPfnToFrame, hmmPfnToOrder, type HmmRange } from 'node-hmm';
import { PAGE, WINDOW } from './program.js';

/** '+0x1000', or where that says nothing the ends of the address space. */
export function place(address: number): string {
  if (address === 0) return 'first';
  if (address === 2 ** 64) return 'last';
  const offset = address - WINDOW;
  return offset < 0 ? `-0x${(-offset).toString(16)}` : `+0x${offset.toString(16)}`;
}

export function span(start: number, end: number): string {
  return `${place(start)}..${place(end)}`;
}

/** A 64-bit entry's upper and lower word. Bigints cost twenty times as much, and there are thousands. */
const VALID_HIGH = Number(HMM_PFN_VALID >> 32n) | 0;
const FLAGS_HIGH = 0xff00_0000 | 0;
const ORDER_HIGH = 0x1f00_0000;

/** One process's page table over the window. */
export class Pages {
  readonly #bytes: Buffer;
  /** As they were when changed() was last asked. */
  readonly #previous: Buffer;
  readonly #words: Int32Array;

  constructor(range: HmmRange) {
    this.#bytes = Buffer.from(range.pfns.buffer, range.pfns.byteOffset, range.pfns.byteLength);
    // Nothing that a page table says.
    this.#previous = Buffer.alloc(this.#bytes.length, 0xff);
    this.#words = new Int32Array(range.pfns.buffer, range.pfns.byteOffset, 2 * range.pfns.length);
  }

  /** How an entry is to the page that is there: ' =', the same frame, ' !', another. A request that no walk reached names frame 0. */
  beside(low: number, high: number, page: number): '' | ' untouched' | ' =' | ' !' {
    if ((high & VALID_HIGH) === 0) return '';
    if (low === 0 && (high & ~FLAGS_HIGH) === 0) return ' untouched';
    const same = this.#words[2 * page] === low && (this.#words[2 * page + 1]! & VALID_HIGH) !== 0;
    return same ? ' =' : ' !';
  }

  /** Whether anything is other than when this was last asked. */
  changed(): boolean {
    if (this.#bytes.equals(this.#previous)) return false;
    this.#bytes.copy(this.#previous);
    return true;
  }

  /** Each valid page's frame, by the lower words: the frames of RAM fit them, and those of private memory, at the end of all addresses, differ in them. */
  count(frames: Map<number, number>): void {
    const words = this.#words;
    for (let at = 0; at < words.length; at += 2) {
      if (((words[at + 1] as number) & VALID_HIGH) === 0) continue;
      const frame = words[at] as number;
      frames.set(frame, (frames.get(frame) ?? 0) + 1);
    }
  }

  /**
   * Runs of equal pages: '0+3 VW' three of them that are no one else's, '8+2 V s4': of the fourth shared frame and
   * the one after it, '8+2 V =4': both of the fourth.
   */
  text(frames: ReadonlyMap<number, number>, names: Map<number, number>): string {
    const words = this.#words;
    const runs: string[] = [];
    for (let at = 0; at < words.length;) {
      const high = words[at + 1] as number;
      const low = words[at] as number;
      const shared = nameOf(low, high, frames, names);
      let next = at + 2;
      let step = 0;
      for (; next < words.length && words[next + 1] === high; next += 2) {
        if ((high & VALID_HIGH) === 0) {
          // Where a hugetlb page is missing each entry has the order, and its offset in the huge page for a frame.
          if (words[next] !== low + ((high & ORDER_HIGH) === 0 ? 0 : (next - at) / 2)) break;
          continue;
        }
        const name = nameOf(words[next] as number, high, frames, names);
        if (shared === 0 || name === 0) {
          if (shared !== name) break;
        } else if (next === at + 2 && (name === shared || name === shared + 1)) step = name - shared;
        else if (name !== shared + (step * (next - at)) / 2) break;
      }
      if (low !== 0 || high !== 0) {
        const count = (next - at) / 2;
        const who = shared === 0 ? '' : count === 1 || step === 1 ? ` s${shared}` : ` =${shared}`;
        runs.push(`${at / 2}${count === 1 ? '' : `+${count}`} ${flagsOf(low, high)}${who}`);
      }
      at = next;
    }
    return runs.join(', ') || 'nothing';
  }
}

/** The number of a frame that several entries have, by first appearance; 0 for all others. */
function nameOf(low: number, high: number, frames: ReadonlyMap<number, number>, names: Map<number, number>): number {
  if ((high & VALID_HIGH) === 0 || frames.get(low) === 1) return 0;
  let name = names.get(low);
  if (name === undefined) {
    name = names.size + 1;
    names.set(low, name);
  }
  return name;
}

function flagsOf(low: number, high: number): string {
  return entryWord((BigInt(high & FLAGS_HIGH) << 32n) | ((high & VALID_HIGH) === 0 ? BigInt(low >>> 0) : 0n));
}

/** V, W, E and the order of an entry; what has none of them, and is not 0, as it is. */
export function entryWord(pfn: bigint): string {
  const entry = BigInt.asUintN(64, pfn);
  if (entry === 0n) return '-';
  const valid = (entry & HMM_PFN_VALID) !== 0n;
  const order = hmmPfnToOrder(entry);
  const letters =
    (valid ? 'V' : '') + ((entry & HMM_PFN_WRITE) === 0n ? '' : 'W') + ((entry & HMM_PFN_ERROR) === 0n ? '' : 'E');
  const frame = valid || hmmPfnToFrame(entry) === 0n ? '' : ' with a frame';
  return `${letters === '' ? '0' : letters}${order === 0 ? '' : ` o${order}`}${frame}`;
}

/**
 * Entries of a range or of a device page table, in runs: each beside the page that the process has there, '=' if it names the
 * same frame, '!' if another.
 * @param first the page of the window of the first entry
 */
export function entriesText(entries: BigUint64Array, first: number, pages: Pages): string {
  const words = new Int32Array(entries.buffer, entries.byteOffset, 2 * entries.length);
  const runs: string[] = [];
  for (let at = 0; at < entries.length;) {
    const high = words[2 * at + 1]!;
    const beside = pages.beside(words[2 * at]!, high, first + at);
    let next = at + 1;
    while (
      next < entries.length &&
      words[2 * next + 1] === high &&
      pages.beside(words[2 * next]!, high, first + next) === beside
    ) {
      next++;
    }
    if (high !== 0 || words[2 * at] !== 0) {
      const count = next - at === 1 ? '' : `+${next - at}`;
      runs.push(`${first + at}${count} ${entryWord(entries[at]!)}${beside}`);
    }
    at = next;
  }
  return runs.join(', ') || 'nothing';
}

/** Bytes as a few of them and a hash, or as one that all are. */
export function bytesText(bytes: Uint8Array): string {
  const first = bytes[0] ?? 0;
  let same = true;
  let hash = 0x811c_9dc5;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (byte !== first) same = false;
    hash = Math.imul(hash ^ byte, 0x0100_0193);
  }
  if (same) return `${bytes.length} x ${first}`;
  const start = [...bytes.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return `${bytes.length} bytes ${start}${bytes.length > 8 ? '…' : ''} ${(hash >>> 0).toString(16)}`;
}

export function pageOf(address: number): number {
  return Math.floor((address - WINDOW) / PAGE);
}
