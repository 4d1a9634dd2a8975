/** What can be seen of page tables, as text that is the same on every machine: frames have no numbers here, only equals. */
import { HMM_PFN_ERROR, HMM_PFN_VALID, HMM_PFN_WRITE, hmmPfnToFrame, hmmPfnToOrder, type HmmRange } from 'node-hmm';
import { MAX_SPACES, PAGE, WINDOW, WINDOW_LENGTH } from './program.js';

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

/** Twice as many as the pages that all processes of a program have in the window, and a power of 2. */
const SLOT_BITS = Math.ceil(Math.log2((2 * MAX_SPACES * WINDOW_LENGTH) / PAGE));
const SLOTS = 2 ** SLOT_BITS;
/** Words of a slot: the generation that it was filled in, the frame, how many entries have it, and its name or 0. */
const SLOT_WORDS = 4;

/**
 * How many entries have each frame, in all processes that are looked at together, and the names of those that several have. A hash table
 * with open addresses, emptied by counting a generation up: it is filled anew after every step.
 */
class FrameTable {
  readonly #slots = new Int32Array(SLOTS * SLOT_WORDS);
  #generation = 0;
  #names = 0;

  clear(): void {
    this.#generation++;
    this.#names = 0;
  }

  /** One entry more with this frame. @returns where its slot begins, for the others */
  add(frame: number): number {
    const slots = this.#slots;
    // Fibonacci hashing: frames in a row are spread as evenly as can be.
    let slot = Math.imul(frame, 0x9e37_79b1) >>> (32 - SLOT_BITS);
    for (;;) {
      const at = slot * SLOT_WORDS;
      if (slots[at] !== this.#generation) {
        slots[at] = this.#generation;
        slots[at + 1] = frame;
        slots[at + 2] = 1;
        slots[at + 3] = 0;
        return at;
      }
      if (slots[at + 1] === frame) {
        slots[at + 2]!++;
        return at;
      }
      slot = (slot + 1) & (SLOTS - 1);
    }
  }

  /** The number of a frame that several entries have, by first appearance; 0 for all others. */
  name(at: number): number {
    const slots = this.#slots;
    if (slots[at + 2] === 1) return 0;
    return (slots[at + 3] ||= ++this.#names);
  }
}

/** One for all: pages are looked at by one program after the other, and never in two places at once. */
const frames = new FrameTable();

const WINDOW_PAGES = WINDOW_LENGTH / PAGE;
const ENTRY_BYTES = 8;

/** What is kept of a run of pages: the first one, the lower and the upper word of its entry. */
const RUN_WORDS = 3;

/** Pages that are looked at anew together when one of them has changed: those of a page table. */
const BLOCK_PAGES = 512;
/** Runs of a block, at most, and where they end. */
const BLOCK_RUN_WORDS = (BLOCK_PAGES + 1) * RUN_WORDS;

/** One process's page table over the window. One object serves many processes, one after the other. */
export class Pages {
  #bytes!: Buffer;
  #words!: Int32Array;
  /** As they were when changed() was last asked. */
  readonly #previous = Buffer.alloc(WINDOW_PAGES * ENTRY_BYTES);
  /** The runs of each block, and how many there are. */
  readonly #blockRuns = new Int32Array((WINDOW_PAGES / BLOCK_PAGES) * BLOCK_RUN_WORDS);
  readonly #blockRunCounts = new Int32Array(WINDOW_PAGES / BLOCK_PAGES);
  /**
   * The pages, when changed() was last asked, in runs: entries that are the same but for the frame, if they are valid. For the most part of the
   * window there is one and the same thing to say, and nobody need look at its pages again.
   */
  readonly #runs = new Int32Array((WINDOW_PAGES + 1) * RUN_WORDS);
  #runCount = 0;
  /** The slot in the table of frames of each valid page. */
  readonly #slots = new Int32Array(WINDOW_PAGES);

  /** From now on this range, over the whole window, of a process that has not been looked at. */
  begin({ pfns }: HmmRange): this {
    if (pfns.length !== WINDOW_PAGES) throw new Error(`a range of the window has ${WINDOW_PAGES} pages`);
    this.#bytes = Buffer.from(pfns.buffer, pfns.byteOffset, pfns.byteLength);
    this.#words = new Int32Array(pfns.buffer, pfns.byteOffset, 2 * WINDOW_PAGES);
    // Nothing that a page table says.
    this.#previous.fill(0xff);
    return this;
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
    const bytes = this.#bytes;
    const previous = this.#previous;
    if (bytes.equals(previous)) return false;
    const size = BLOCK_PAGES * ENTRY_BYTES;
    for (let from = 0; from < bytes.length; from += size) {
      if (bytes.compare(previous, from, from + size, from, from + size) === 0) continue;
      bytes.copy(previous, from, from, from + size);
      this.#split(from / size);
    }
    this.#join();
    return true;
  }

  /** Finds the runs of a block. */
  #split(block: number): void {
    const words = this.#words;
    const runs = this.#blockRuns;
    const first = block * BLOCK_RUN_WORDS;
    const end = (block + 1) * BLOCK_PAGES;
    let at = first;
    for (let page = end - BLOCK_PAGES; page < end; at += RUN_WORDS) {
      const low = words[2 * page]!;
      const high = words[2 * page + 1]!;
      runs[at] = page;
      runs[at + 1] = low;
      runs[at + 2] = high;
      page++;
      if ((high & VALID_HIGH) !== 0) {
        while (page < end && words[2 * page + 1] === high) page++;
        continue;
      }
      const by = stepOf(high);
      for (let next = low + by; page < end && words[2 * page + 1] === high && words[2 * page] === next; page++)
        next += by;
    }
    this.#blockRunCounts[block] = (at - first) / RUN_WORDS;
  }

  /** Puts the blocks' runs in a row: those that go on over the end of a block are one. */
  #join(): void {
    const runs = this.#runs;
    const from = this.#blockRuns;
    let at = 0;
    for (let block = 0; block < this.#blockRunCounts.length; block++) {
      let next = block * BLOCK_RUN_WORDS;
      const end = next + this.#blockRunCounts[block]! * RUN_WORDS;
      if (at > 0 && goesOn(runs, at - RUN_WORDS, from, next)) next += RUN_WORDS;
      for (; next < end; next++) runs[at++] = from[next]!;
    }
    runs[at] = WINDOW_PAGES;
    this.#runCount = at / RUN_WORDS;
  }

  /** Counts each valid page's frame, by the lower words: the frames of RAM fit them, and those of private memory, at the end of all addresses, differ in them. */
  #count(): void {
    const words = this.#words;
    const runs = this.#runs;
    const slots = this.#slots;
    for (let at = 0; at < this.#runCount * RUN_WORDS; at += RUN_WORDS) {
      if ((runs[at + 2]! & VALID_HIGH) === 0) continue;
      const end = runs[at + RUN_WORDS]!;
      for (let page = runs[at]!; page < end; page++) slots[page] = frames.add(words[2 * page]!);
    }
  }

  /**
   * What processes have, as it was when each was last asked whether it has changed, in runs of equal pages: '0+3 VW' three of them that are no
   * one else's, '8+2 V s4': of the fourth frame that is shared, in all of them, and the one after it, '8+2 V =4': both of the fourth.
   */
  static texts(all: readonly Pages[]): string[] {
    frames.clear();
    for (const pages of all) pages.#count();
    return all.map((pages) => pages.#text());
  }

  #text(): string {
    const runs = this.#runs;
    const slots = this.#slots;
    let text = '';
    for (let at = 0; at < this.#runCount * RUN_WORDS; at += RUN_WORDS) {
      const end = runs[at + RUN_WORDS]!;
      const low = runs[at + 1]!;
      const high = runs[at + 2]!;
      if ((high & VALID_HIGH) === 0) {
        if (low !== 0 || high !== 0) text += runText(text, runs[at]!, end, flagsOf(low, high), '');
        continue;
      }
      const flags = flagsOf(0, high);
      for (let page = runs[at]!; page < end;) {
        const name = frames.name(slots[page]!);
        let next = page + 1;
        let step = 0;
        for (; next < end; next++) {
          const other = frames.name(slots[next]!);
          if (name === 0 || other === 0) {
            if (name !== other) break;
          } else if (next === page + 1 && (other === name || other === name + 1)) step = other - name;
          else if (other !== name + step * (next - page)) break;
        }
        const who = name === 0 ? '' : `${next - page === 1 || step === 1 ? ' s' : ' ='}${name}`;
        text += runText(text, page, next, flags, who);
        page = next;
      }
    }
    return text === '' ? 'nothing' : text;
  }
}

/** By how much the lower words of entries that are not valid grow: where a hugetlb page is missing each has the order, and its offset in the huge page for a frame. */
function stepOf(high: number): number {
  return (high & ORDER_HIGH) === 0 ? 0 : 1;
}

/** Whether the run at `other` is the rest of the one at `at`. */
function goesOn(runs: Int32Array, at: number, others: Int32Array, other: number): boolean {
  const high = runs[at + 2]!;
  if (others[other + 2] !== high) return false;
  return (high & VALID_HIGH) !== 0 || others[other + 1] === runs[at + 1]! + stepOf(high) * (others[other]! - runs[at]!);
}

function runText(before: string, from: number, to: number, flags: string, who: string): string {
  return `${before === '' ? '' : ', '}${from}${to - from === 1 ? '' : `+${to - from}`} ${flags}${who}`;
}

/** Words of entries by their flags: there are few. */
const flagWords = new Map<number, string>();

function flagsOf(low: number, high: number): string {
  const flags = high & FLAGS_HIGH;
  // The frame of one that is not valid is a part of the word.
  if ((high & VALID_HIGH) === 0 && low !== 0) return entryWord((BigInt(flags) << 32n) | BigInt(low >>> 0));
  let word = flagWords.get(flags);
  if (word === undefined) flagWords.set(flags, (word = entryWord(BigInt(flags) << 32n)));
  return word;
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

/** FNV-1a, and its prime to the fourth: what four bytes of 0 do to a hash. */
const FNV_BASIS = 0x811c_9dc5;
const FNV_PRIME = 0x0100_0193;
const FNV_PRIME_4 = Math.imul(Math.imul(FNV_PRIME, FNV_PRIME), Math.imul(FNV_PRIME, FNV_PRIME));

function hashOf(bytes: Uint8Array): number {
  let hash = FNV_BASIS;
  let at = 0;
  if (bytes.byteOffset % 4 === 0) {
    // Most bytes of most pages are 0.
    const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
    for (let index = 0; index < words.length; index++, at += 4) {
      const word = words[index]!;
      if (word === 0) {
        hash = Math.imul(hash, FNV_PRIME_4);
        continue;
      }
      hash = Math.imul(hash ^ (word & 0xff), FNV_PRIME);
      hash = Math.imul(hash ^ ((word >>> 8) & 0xff), FNV_PRIME);
      hash = Math.imul(hash ^ ((word >>> 16) & 0xff), FNV_PRIME);
      hash = Math.imul(hash ^ (word >>> 24), FNV_PRIME);
    }
  }
  for (; at < bytes.length; at++) hash = Math.imul(hash ^ bytes[at]!, FNV_PRIME);
  return hash >>> 0;
}

/** Whether all bytes are the same: each is as the one before it. */
function uniform(bytes: Uint8Array): boolean {
  const last = bytes.length - 1;
  return last < 1 || (bytes[0] === bytes[last] && Buffer.compare(bytes.subarray(0, last), bytes.subarray(1)) === 0);
}

/** Bytes as a few of them and a hash, or as one that all are. */
export function bytesText(bytes: Uint8Array): string {
  if (uniform(bytes)) return `${bytes.length} x ${bytes[0] ?? 0}`;
  let text = `${bytes.length} bytes `;
  const shown = Math.min(8, bytes.length);
  for (let at = 0; at < shown; at++) text += bytes[at]!.toString(16).padStart(2, '0');
  return `${text}${bytes.length > 8 ? '…' : ''} ${hashOf(bytes).toString(16)}`;
}

export function pageOf(address: number): number {
  return Math.floor((address - WINDOW) / PAGE);
}
