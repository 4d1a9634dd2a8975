/**
 * What must hold after every step: a valid entry of a device names the page that the process has there, with no more permission, unless an invalidation that
 * covers it is under way whose callback has not returned; and a callback that has returned has left no entry of its range.
 */
import { HIGH_WRITE, PteTable, endPage, firstPage, highWord, lowWord } from '../simulation/page-table.js';
import { PAGE, PMD_SIZE } from '../simulation/layout.js';
import { Simulation } from '../simulation/simulation.js';
import { ViolationError, hex, violation } from './violation.js';
import { translationOf } from '../simulation/invariant.js';
import type { IntervalNotifier, NotifierRange } from '../simulation/notifiers.js';
import type { Chunk, DevicePageTable } from '../simulation/device-page-table.js';
import type { MirrorOps } from '../simulation/mirror-ops.js';
import type { Mm } from '../simulation/mm.js';
import type { PmdEntry } from '../simulation/page-table.js';
import type { SpareMemory } from '../simulation/spare-memory.js';

/** An entry of a device, reduced to what matters. */
export interface DeviceEntry {
  readonly frame: number;
  readonly write: boolean;
  readonly exclusive: boolean;
}

/** The page table of one device, over the interval of its notifier. */
export interface WatchedTable {
  readonly name: string;
  readonly mm: Mm;
  readonly notifier: IntervalNotifier;
  /** Whose table it is; null where nobody has said, and no private memory is expected. */
  readonly device: number | null;
  /** null: none. */
  entry(address: number): DeviceEntry | null;
}

/** Pages that a scenario may have watched: more would make every step slow. */
export const MAX_WATCHED_PAGES = 4096;

export class Oracle {
  readonly tables: WatchedTable[] = [];
  /** Whether the last look found a driver's own table other than the one before. */
  changed = false;
  /** What the driver's own tables held then, a number for each of their pages. */
  #held: number[] = [];
  readonly #machines: readonly object[];
  readonly #spare: SpareMemory;
  #mirrors: Map<object, MirrorView> | null = null;

  /** @param spare where the page tables of mirrors come from */
  constructor(machines: readonly object[], spare: SpareMemory) {
    this.#machines = machines;
    this.#spare = spare;
  }

  /** What is wrong, or null. */
  check(): ViolationError | null {
    this.changed = false;
    if (this.tables.length === 0 && !this.#spare.lendsChunks) return null;
    try {
      let page = 0;
      for (const table of this.tables) page = this.#checkOwn(table, page);
      for (const machine of this.#machines) {
        if (!(machine instanceof Simulation)) continue;
        for (const space of machine.spaces) {
          for (const ops of space.mirrors) if (!ops.pageTable.empty) checkMirror(this.#mirror(space.mm, ops));
        }
      }
      return null;
    } catch (error) {
      if (error instanceof ViolationError) return error;
      throw error;
    }
  }

  #checkOwn(table: WatchedTable, from: number): number {
    let page = from;
    let wrong: ViolationError | null = null;
    const { notifier } = table;
    for (let at = pageStart(notifier.start); at < notifier.end; at += PAGE) {
      const entry = table.entry(at);
      const held = entry === null ? 0 : entry.write ? -entry.frame : entry.frame;
      if (this.#held[page] !== held) {
        this.#held[page] = held;
        this.changed = true;
      }
      page++;
      if (entry !== null) wrong ??= checkEntry(table, at, entry);
    }
    if (wrong !== null) throw wrong;
    return page;
  }

  /** What every watched page is on both sides, for a timeline. */
  *states(): Generator<{ key: string; text: string }> {
    const spaces = new Set<Mm>();
    for (const table of this.all()) {
      spaces.add(table.mm);
      for (let at = pageStart(table.notifier.start); at < table.notifier.end; at += PAGE) {
        yield { key: `${table.name} ${hex(at)}`, text: describeEntry(table.entry(at)) };
        const actual = translationOf(table.mm, at, table.device ?? -1);
        yield { key: `process ${hex(at)}`, text: describeEntry(actual.frame === 0 ? null : actual) };
      }
    }
  }

  /** All that is looked at. */
  *all(): Generator<WatchedTable> {
    yield* this.tables;
    for (const machine of this.#machines) {
      if (!(machine instanceof Simulation)) continue;
      for (const space of machine.spaces) for (const ops of space.mirrors) yield this.#mirror(space.mm, ops).watched;
    }
  }

  #mirror(mm: Mm, ops: MirrorOps): MirrorView {
    this.#mirrors ??= new Map();
    let view = this.#mirrors.get(ops);
    if (view !== undefined) return view;
    const { pageTable } = ops;
    const name = this.#mirrors.size === 0 ? 'mirror' : `mirror ${this.#mirrors.size + 1}`;
    const watched: WatchedTable = {
      name,
      mm,
      notifier: ops.notifier!,
      device: ops.device,
      entry(address) {
        const frame = pageTable.frame(address, false);
        if (frame === 0) return null;
        return { frame, write: pageTable.frame(address, true) !== 0, exclusive: false };
      },
    };
    view = { mm, pageTable, watched, looks: new Map() };
    this.#mirrors.set(ops, view);
    return view;
  }
}

interface MirrorView {
  readonly mm: Mm;
  readonly pageTable: DevicePageTable;
  readonly watched: WatchedTable;
  /** How its chunks were when they were found right. */
  readonly looks: Map<Chunk, Look>;
}

/** All that the judgement of 2 MiB rests on: what has not changed since need not be looked at again. */
interface Look {
  entry: PmdEntry;
  chunkChanges: number;
  tableChanges: number;
  underwayChanges: number;
}

const NEVER = -1;

/** Whether it was as it is when it was looked at last; from now on it was. */
function unchanged(look: Look, chunk: Chunk, { pageTable, subscriptions }: Mm, block: number): boolean {
  const entry = pageTable.entry(block);
  // A huge page has no counter.
  const tableChanges = entry instanceof PteTable ? entry.changes : entry === null ? 0 : NEVER;
  const underwayChanges = subscriptions?.changes ?? 0;
  const same =
    tableChanges !== NEVER &&
    look.entry === entry &&
    look.tableChanges === tableChanges &&
    look.chunkChanges === chunk.changes &&
    look.underwayChanges === underwayChanges;
  look.entry = entry;
  look.tableChanges = tableChanges;
  look.chunkChanges = chunk.changes;
  look.underwayChanges = underwayChanges;
  return same;
}

function pageStart(address: number): number {
  return address - (address % PAGE);
}

/**
 * All that a mirror holds, 2 MiB at a time, as the page table of the process holds it: entry beside entry, and only where one of the two has changed, so that a look
 * costs what the step has touched.
 */
function checkMirror({ mm, pageTable, watched, looks }: MirrorView): void {
  const { start, end } = watched.notifier;
  // Inside of what is under way it matters whose callback has returned; outside, both sides must agree.
  let pendingStart = Infinity;
  let pendingEnd = 0;
  for (const range of mm.subscriptions?.underway ?? []) {
    pendingStart = Math.min(pendingStart, range.start);
    pendingEnd = Math.max(pendingEnd, range.end);
  }
  pageTable.eachChunk((chunk, block) => {
    let look = looks.get(chunk);
    if (look === undefined) {
      look = { entry: null, chunkChanges: NEVER, tableChanges: NEVER, underwayChanges: NEVER };
      looks.set(chunk, look);
    }
    if (unchanged(look, chunk, mm, block)) return;
    const { words } = chunk;
    const actual = mm.pageTable.table(block);
    const base = block * PMD_SIZE;
    const pendingFrom = Math.floor((pendingStart - base) / PAGE);
    const pendingTo = Math.ceil((pendingEnd - base) / PAGE);
    for (let index = firstPage(block, start), to = endPage(block, end); index < to; index++) {
      const high = words[highWord(index)]!;
      if (high >= 0) continue;
      if (actual !== null && (index < pendingFrom || index >= pendingTo)) {
        // Valid on both sides, the same frame, no more permission.
        const other = actual.words[highWord(index)]!;
        const allowed = other < 0 && (high & HIGH_WRITE & ~other) === 0;
        if (allowed && actual.words[lowWord(index)] === words[lowWord(index)]) continue;
      }
      const address = base + index * PAGE;
      const entry = watched.entry(address);
      const wrong = entry === null ? null : checkEntry(watched, address, entry);
      if (wrong === null) continue;
      looks.delete(chunk);
      throw wrong;
    }
  });
}

function checkEntry(table: WatchedTable, address: number, entry: DeviceEntry): ViolationError | null {
  const { mm, notifier, device, name } = table;
  let pending = false;
  for (const range of mm.subscriptions?.underway ?? []) {
    if (range.start >= address + PAGE || range.end <= address) continue;
    const own = range.owner !== null && range.owner === device;
    if (range.told?.includes(notifier) === true && !own) {
      return violation(
        'unfinished-invalidate',
        `invalidate('${range.event}', ${describeRange(range)}) has returned, and ${name} still maps ${hex(address)} (${describeEntry(entry)}): ` +
          'the kernel takes the page away next, and the device would go on using it',
      );
    }
    pending = true;
  }
  if (pending) return null;
  const actual = translationOf(mm, address, device ?? -1);
  if (actual.frame !== entry.frame) {
    const has = actual.frame === 0 ? 'has no page there' : `has frame ${actual.frame} there`;
    return violation(
      'stale-entry',
      `${name} maps ${hex(address)} to frame ${entry.frame}, but the process ${has}, and no invalidation is under way: ` +
        'the device reads and writes memory that is not the process’s any more',
    );
  }
  if (entry.write && !actual.write) {
    return violation(
      'stale-entry',
      `${name} may write ${hex(address)} (frame ${entry.frame}), but the process may not, and no invalidation is under way: ` +
        'the device would write where a copy or a protection was asked for',
    );
  }
  return null;
}

function describeRange({ start, end }: NotifierRange): string {
  return `[${hex(start)}, ${end === 2 ** 64 ? 'end of memory' : hex(end)})`;
}

function describeEntry(entry: DeviceEntry | null): string {
  if (entry === null) return 'none';
  return `frame ${entry.frame}${entry.exclusive ? ', exclusive' : entry.write ? ', writable' : ', read-only'}`;
}
