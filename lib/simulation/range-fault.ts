/**
 * hmm_range_fault (mm/hmm.c) over walk_page_range (mm/pagewalk.c). mmap_lock is held for reading.
 *
 * The walk goes by *stretches*: a gap between VMAs, a VMA that cannot be read, a hole at the level of the table that is
 * missing, or the part of one PTE table. Outputs are written stretch by stretch; the first page that needs a fault has the
 * rest of its stretch faulted, and the walk begins again there, if the notifier has not been hit meanwhile.
 */
import { HMM_PFN_ERROR, HMM_PFN_REQ_FAULT, HMM_PFN_REQ_WRITE } from '../constants.js';
import {
  HIGH_PMD_ORDER,
  HIGH_VALID,
  HIGH_WRITE,
  SWAP_DEVICE_PRIVATE,
  SWAP_MIGRATION,
  SWAP_WRITE,
  highWord,
  lowWord,
} from './page-table.js';
import { HmmError } from '../errors.js';
import { PAGE, PGD_SIZE, PMD_SIZE, PTES, PUD_SIZE, VM_READ, VM_WRITE, alignDown, blockOf, pteIndex } from './layout.js';
import { finishFault, tryFault } from './fault.js';
import { isHugetlb } from './hugetlb.js';
import type { IntervalNotifier } from './notifiers.js';
import type { Mm } from './mm.js';
import type { HugePmd, PteTable } from './page-table.js';
import type { FaultResult } from './fault.js';
import type { Routine, Stepper } from './engine/engine.js';
import type { Vma } from './vma.js';

/** struct hmm_range. */
export interface WalkRange {
  readonly start: number;
  readonly end: number;
  readonly notifierSequence: number;
  readonly defaultFlags: bigint;
  readonly pfnFlagsMask: bigint;
  /** dev_private_owner: the device whose private memory is as good as present; null for none. */
  readonly owner: number | null;
  readonly pfns: BigUint64Array;
  /** After EBUSY: entries, from the first on, that hold outputs. */
  done?: number;
}

/** HMM_PFN_ERROR, in the upper word of an entry. */
const HIGH_ERROR = 1 << 29;
/** Entries from which on a built-in of the engine is faster than a loop: calling it costs as much as these. */
const MANY = 128;

/** Requests of a page, and what it needs: HMM_PFN_REQ_FAULT and _WRITE, HMM_NEED_FAULT and _WRITE_FAULT. */
const FAULT = 2;
const WRITE = 1;

/** The upper word of a pfn for a device-private entry. */
function ownPrivateFlags(swap: number): number {
  return (swap & SWAP_WRITE) !== 0 ? HIGH_VALID | HIGH_WRITE : HIGH_VALID;
}

function requestBits(flags: bigint): number {
  if (flags === 0n) return 0;
  return ((flags & HMM_PFN_REQ_FAULT) !== 0n ? FAULT : 0) | ((flags & HMM_PFN_REQ_WRITE) !== 0n ? WRITE : 0);
}

/** false: EBUSY, begin again with readBegin. An HmmError, EFAULT or EPERM: entries before the one that failed hold outputs. */
export type WalkOutcome = boolean | HmmError;

/** What ends it is an answer, not an exception: the loop of hmm.rst meets each of them again and again. */
export function* hmmRangeFault(mm: Mm, notifier: IntervalNotifier, range: WalkRange): Routine<WalkOutcome> {
  const walk = new Walk(mm, notifier, range);
  for (;;) {
    if (mm.engine.preemptive) yield walk;
    else walk.step();
    if (walk.waitFrame !== 0) {
      yield* mm.machine.pageLocks.waitUnlocked(walk.waitFrame, 'migration_entry_wait');
      walk.waitFrame = 0;
    } else if (walk.rest !== null) {
      walk.faulted(yield* finishFault(walk.faultVma!, walk.faultAddress, walk.rest));
    } else {
      return walk.outcome;
    }
  }
}

/** The same for a range that requests nothing, where nobody preempts: it never sleeps and calls nobody back, so it needs no routine. */
export function hmmRangeSnapshot(mm: Mm, notifier: IntervalNotifier, range: WalkRange): WalkOutcome {
  const walk = new Walk(mm, notifier, range);
  walk.step();
  return walk.outcome;
}

/** Where a walk is: before the notifier's sequence is looked at, at first and after whatever may have slept; */
const BEGIN = 0;
/** at a stretch; */
const STRETCH = 1;
/** before a page is faulted; and where it is. */
const BEFORE_FAULT = 2;
const IN_FAULT = 3;

/** walk_page_range and hmm_vma_fault, up to what has to sleep or to run callbacks: that is hmmRangeFault's. */
class Walk implements Stepper {
  outcome: WalkOutcome = true;
  /** A page that is being migrated: the walk goes on when that is done. */
  waitFrame = 0;
  /** The part of the fault at faultAddress that is left to do. */
  rest: 'copy' | 'swap' | null = null;
  faultVma: Vma | null = null;
  faultAddress = 0;
  #faultStart = 0;
  #faultEnd = 0;
  #faultNeeds = 0;
  #at: typeof BEGIN | typeof STRETCH | typeof BEFORE_FAULT | typeof IN_FAULT = BEGIN;
  #next: number;
  readonly #mm: Mm;
  readonly #notifier: IntervalNotifier;
  readonly #range: WalkRange;
  readonly #defaults: number;
  readonly #mask: number;
  /** zone of the frames of range.owner; 0 matches none that a swap entry names. */
  readonly #zone: number;
  #halves: Int32Array | null = null;

  constructor(mm: Mm, notifier: IntervalNotifier, range: WalkRange) {
    this.#mm = mm;
    this.#notifier = notifier;
    this.#range = range;
    this.#next = range.start;
    this.#defaults = requestBits(range.defaultFlags);
    this.#mask = requestBits(range.pfnFlagsMask);
    this.#zone = range.owner === null ? 0 : range.owner + 1;
  }

  /** The caller's entries by halves. Made when they are needed: whole tables are copied without, in the time that making this takes. */
  get #words(): Int32Array {
    if (this.#halves !== null) return this.#halves;
    const { buffer, byteOffset, length } = this.#range.pfns;
    return (this.#halves = new Int32Array(buffer, byteOffset, length * 2));
  }

  /** To the next preemption point, if there are any; null: it is at its end, or waitFrame or rest says what must be done first. */
  step(): string | null {
    const { preemptive } = this.#mm.engine;
    const { end } = this.#range;
    for (;;) {
      switch (this.#at) {
        case BEGIN:
          if (this.#notifier.readRetry(this.#range.notifierSequence)) {
            this.#range.done = (this.#next - this.#range.start) / PAGE;
            this.outcome = false;
            return null;
          }
          this.#at = STRETCH;
          break;
        case STRETCH: {
          // From here on to the next fault nothing sleeps; with a scheduler, others may run between stretches.
          if (this.#next >= end) return null;
          const reached = this.#stretch(this.#next);
          if (reached >= 0) {
            this.#next = reached;
            if (preemptive) return 'walk_page_range';
            break;
          }
          if (!this.#beginFault()) return null;
          break;
        }
        case BEFORE_FAULT:
          this.#at = IN_FAULT;
          if (preemptive) return 'handle_mm_fault';
          break;
        case IN_FAULT: {
          const result = tryFault(this.faultVma!, this.faultAddress, (this.#faultNeeds & WRITE) !== 0);
          if (result === 'copy' || result === 'swap') {
            this.rest = result;
            return null;
          }
          this.faulted(result);
          if (this.outcome !== true) return null;
        }
      }
    }
  }

  /** The page at faultAddress has been faulted. */
  faulted(result: FaultResult): void {
    this.rest = null;
    if (result !== 'done') {
      this.#refuse('EFAULT', this.faultAddress, this.#faultStart);
      return;
    }
    this.faultAddress += PAGE;
    this.#at = this.faultAddress < this.#faultEnd ? BEFORE_FAULT : BEGIN;
  }

  /** hmm_vma_fault: every page up to the end of the stretch, in the way that the first one needs. False: something else comes first, or nothing. */
  #beginFault(): boolean {
    if (this.outcome !== true) return false;
    this.#next = this.#faultStart;
    this.#at = BEGIN;
    if (this.waitFrame !== 0) return false;
    if ((this.#faultNeeds & WRITE) !== 0 && (this.faultVma!.flags & VM_WRITE) === 0) {
      this.#refuse('EPERM', this.#faultStart, this.#faultStart);
      return false;
    }
    this.faultAddress = this.#faultStart;
    this.#at = BEFORE_FAULT;
    return true;
  }

  /** @param first the page of the first entry that is no output */
  #refuse(code: 'EFAULT' | 'EPERM', address: number, first: number): void {
    const done = (first - this.#range.start) / PAGE;
    this.outcome = new HmmError(code, 'hmm_range_fault', undefined, { address, done });
  }

  /** Handles the stretch at `address`. Returns where the next one begins, or -1 if this one must be faulted first, or cannot be. */
  #stretch(address: number): number {
    const { start, end } = this.#range;
    const first = (address - start) / PAGE;
    const vma = this.#mm.vmas.find(address);
    if (vma === null || vma.start > address)
      return this.#inaccessible(address, vma === null ? end : Math.min(end, vma.start));
    const limit = Math.min(end, vma.end);
    if ((vma.flags & VM_READ) === 0) return this.#inaccessible(address, limit);

    // All the tables of a VMA in one go, without the lookups above, as long as nothing has to be decided.
    let at = address;
    let index = first;
    const hugetlb = isHugetlb(vma);
    for (;;) {
      const table = this.#mm.pageTable.table(blockOf(at));
      const huge = table === null ? this.#mm.pageTable.huge(blockOf(at)) : null;
      const hole = table === null && huge === null && !hugetlb;
      const next = Math.min(limit, hole ? this.#holeEnd(at) : alignDown(at, PMD_SIZE) + PMD_SIZE);
      const count = (next - at) / PAGE;
      const from = pteIndex(at);
      if (table !== null && this.#mm.engine.preemptive) {
        // Entry by entry, as the kernel reads them, without the lock of the table.
        return this.#entries(vma, table, from, 1, index, at, next) ? at + PAGE : -1;
      }
      if (hugetlb ? this.#mm.pageTable.pmdTable(blockOf(at)) !== null : huge !== null) {
        const needs = this.#needsOfHuge(index, hugetlb ? 1 : count, huge);
        if (needs !== 0) return this.#fault(vma, at, next, needs);
        this.#fillHuge(index, count, from, huge);
      } else if (table === null) {
        const needs = this.#needs(index, count);
        if (needs !== 0) return this.#fault(vma, at, next, needs);
        this.#fill(0, index, count);
      } else if (this.#satisfied(table)) {
        this.#copy(table, from, count, index);
        if (table.swapped > 0 && this.#zone !== 0) this.#ownPrivate(table, from, count, index);
      } else if (!this.#entries(vma, table, from, count, index, at, next)) {
        return -1;
      }
      if (next === limit || this.#mm.engine.preemptive) return next;
      at = next;
      index += count;
    }
  }

  /** No VMA, or hmm_vma_walk_test: an error for the whole part, unless a fault is asked for, which is a failure. */
  #inaccessible(address: number, end: number): number {
    const first = (address - this.#range.start) / PAGE;
    const count = (end - address) / PAGE;
    if (this.#needs(first, count) !== 0) {
      this.#refuse('EFAULT', address, address);
      return -1;
    }
    this.#fill(HIGH_ERROR, first, count);
    return end;
  }

  /** The end of what one missing table would cover: 512 GiB, 1 GiB or 2 MiB. */
  #holeEnd(address: number): number {
    const { pageTable } = this.#mm;
    const block = blockOf(address);
    if (pageTable.slices[block >>> 18] == null) return alignDown(address, PGD_SIZE) + PGD_SIZE;
    if (pageTable.pmdTable(block) === null) return alignDown(address, PUD_SIZE) + PUD_SIZE;
    return alignDown(address, PMD_SIZE) + PMD_SIZE;
  }

  /** Whether no page of the table can need anything: nobody asks, or all that the range asks for is there. */
  #satisfied(table: PteTable): boolean {
    if (((this.#defaults | this.#mask) & FAULT) === 0) return true;
    if (this.#mask !== 0 || (this.#defaults & FAULT) === 0) return false;
    return (this.#defaults & WRITE) !== 0 ? table.writable === PTES : table.present === PTES;
  }

  /** hmm_range_need_fault over pages that are not present */
  #needs(first: number, count: number): number {
    if (((this.#defaults | this.#mask) & FAULT) === 0) return 0;
    let needs = 0;
    if ((this.#defaults & FAULT) !== 0) {
      needs = this.#defaults;
      if (needs === (FAULT | WRITE)) return needs;
    }
    if (this.#mask === 0) return needs;
    for (let index = first; index < first + count; index++) {
      const request = this.#request(index);
      if ((request & FAULT) !== 0) needs |= request;
      if (needs === (FAULT | WRITE)) return needs;
    }
    return needs;
  }

  /**
   * hmm_range_need_fault over pages of one huge page: of all of them, not only of the first that asks. Of a hugetlb page only the first
   * is asked (hmm_vma_walk_hugetlb_entry); it may be missing where a table is.
   */
  #needsOfHuge(first: number, count: number, huge: HugePmd | null): number {
    if (((this.#defaults | this.#mask) & FAULT) === 0 || huge?.write === true) return 0;
    let needs = 0;
    for (let index = first; index < first + (this.#mask === 0 ? 1 : count); index++) {
      const request = this.#request(index);
      if (request === (FAULT | WRITE)) return request;
      if (huge === null) needs |= request & FAULT;
    }
    return needs;
  }

  /**
   * hmm_vma_handle_pmd's output: consecutive frames, each with the order of the mapping. That of a missing hugetlb page has the order too, and
   * the offset in the huge page for a frame.
   */
  #fillHuge(first: number, count: number, from: number, huge: HugePmd | null): void {
    const words = this.#words;
    const flags = huge === null ? 0 : HIGH_VALID | (huge.write ? HIGH_WRITE : 0);
    const high = flags | HIGH_PMD_ORDER;
    const frame = (huge?.frame ?? 0) + from;
    for (let offset = 0; offset < count; offset++) {
      words[highWord(first + offset)] = high;
      words[lowWord(first + offset)] = frame + offset;
    }
  }

  /** Pages without a frame. */
  #fill(high: number, first: number, count: number): void {
    if (count > MANY) {
      this.#range.pfns.fill(high === 0 ? 0n : HMM_PFN_ERROR, first, first + count);
      return;
    }
    const words = this.#words;
    for (let index = first; index < first + count; index++) {
      words[highWord(index)] = high;
      words[lowWord(index)] = 0;
    }
  }

  /** The entries of a table as they are. */
  #copy({ entries, words: source }: PteTable, from: number, count: number, first: number): void {
    if (count > MANY) {
      this.#range.pfns.set(count === PTES ? entries : entries.subarray(from, from + count), first);
      return;
    }
    const words = this.#words;
    for (let offset = 0; offset < 2 * count; offset++) words[2 * first + offset] = source[2 * from + offset]!;
  }

  /** The effective request of a page: (pfns[i] & mask) | defaults. */
  #request(index: number): number {
    return ((this.#words[highWord(index)]! >>> 30) & this.#mask) | this.#defaults;
  }

  /** hmm_vma_handle_pte over a part of a table. False: a page needs a fault, and with it all of the rest. */
  #entries(vma: Vma, table: PteTable, from: number, count: number, first: number, start: number, end: number): boolean {
    const words = this.#words;
    const source = table.words;
    const mask = this.#mask;
    const defaults = this.#defaults;
    for (let offset = 0; offset < count; offset++) {
      const high = source[highWord(from + offset)]!;
      const request = ((words[highWord(first + offset)]! >>> 30) & mask) | defaults;
      const swap = high === 0 ? table.bits[from + offset]! : 0;
      if (swap !== 0 && this.#isOwn(table, from + offset)) {
        // Reported as it is, whatever was asked for: not even a write makes it fault.
        words[highWord(first + offset)] = ownPrivateFlags(swap);
        words[lowWord(first + offset)] = table.swapFrame(from + offset);
        continue;
      }
      if ((request & FAULT) !== 0) {
        const needs = (request & WRITE) !== 0 && (high & HIGH_WRITE) === 0 ? FAULT | WRITE : high < 0 ? 0 : FAULT;
        if (needs !== 0) {
          this.#fault(vma, start + offset * PAGE, end, needs);
          if ((swap & SWAP_MIGRATION) !== 0) this.waitFrame = table.swapFrame(from + offset);
          return false;
        }
      }
      words[highWord(first + offset)] = high;
      words[lowWord(first + offset)] = source[lowWord(from + offset)]!;
    }
    return true;
  }

  /** Device-private entries of the range's owner, in what a copy of the table says is empty. */
  #ownPrivate(table: PteTable, from: number, count: number, first: number): void {
    const words = this.#words;
    for (let offset = 0; offset < count; offset++) {
      const swap = table.swap(from + offset);
      if (swap === 0 || !this.#isOwn(table, from + offset)) continue;
      words[highWord(first + offset)] = ownPrivateFlags(swap);
      words[lowWord(first + offset)] = table.swapFrame(from + offset);
    }
  }

  #isOwn(table: PteTable, index: number): boolean {
    if ((table.swap(index) & SWAP_DEVICE_PRIVATE) === 0) return false;
    return this.#mm.frames.zone[table.swapFrame(index)] === this.#zone;
  }

  #fault(vma: Vma, start: number, end: number, needs: number): number {
    this.faultVma = vma;
    this.#faultStart = start;
    this.#faultEnd = end;
    this.#faultNeeds = needs;
    return -1;
  }
}
