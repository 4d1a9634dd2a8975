/** What a program works on: its processes, files, notifiers and mirrors, each in a slot, and the log of what is seen. */
import {
  HMM_PFN_REQ_FAULT,
  HMM_PFN_REQ_WRITE,
  HmmError,
  HmmRange,
  type AddressSpace,
  type Device,
  type Hmm,
  type IntervalNotifier,
  type MemoryFile,
  type Mirror,
  type MirrorEvent,
  type NotifierRange,
} from 'node-hmm';
import type { Origin } from './origin.js';
import { Pages, entriesText, pageOf, place, span } from './observe.js';
import { FILES, FILE_LENGTH, PAGE, WINDOW, WINDOW_LENGTH, type Reaction, type Request } from './program.js';

export interface Process {
  readonly number: number;
  /** In logs. */
  readonly name: string;
  readonly space: AddressSpace;
  /**
   * Over the window, as long as the process is there: it tells every invalidation, and its notifier serves to look at the pages. A mirror,
   * because nobody waits for what it tells, so that a program is not slowed down by being watched.
   */
  readonly watcher: Mirror;
  readonly range: HmmRange;
  readonly pages: Pages;
  pagesText: string;
}

export interface Watch {
  readonly process: Process;
  readonly notifier: IntervalNotifier;
  readonly start: number;
  readonly length: number;
  /** What readBegin() gave last; 0, which no sequence is, before that. */
  sequence: number;
  /** The outputs of the last call of hmm_range_fault that succeeded, and of which of its pages another frame has been seen since. */
  kept: { readonly start: number; readonly pfns: BigUint64Array; readonly left: Uint8Array } | null;
  /**
   * A callback has begun to remove it. Whether it is still told of the rest of the operation is a matter of time, so what it is told from
   * then on is left out.
   */
  readonly removal: { begun: boolean };
}

export interface Mirrored {
  /** In logs. */
  readonly name: string;
  readonly process: Process;
  readonly mirror: Mirror;
  readonly start: number;
  readonly end: number;
  /** The device's page table when it was last looked at, and an array for the next time. */
  table: BigUint64Array;
  spare: BigUint64Array;
}

interface Told {
  readonly who: string;
  readonly event: MirrorEvent;
}

function byTime({ event: a }: Told, { event: b }: Told): number {
  return a.timestamp < b.timestamp ? -1 : a.timestamp > b.timestamp ? 1 : 0;
}

export const REQUEST_FLAGS: { readonly [request in Request]: bigint } = {
  none: 0n,
  read: HMM_PFN_REQ_FAULT,
  write: HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE,
  'write-only': HMM_PFN_REQ_WRITE,
};

const SNAPSHOT = { snapshot: true };

/** The simulation was asked for what it does not model: nothing after this can be compared. */
export class NotModelled extends Error {}

/**
 * The answer of an operation, as a line. Not an async function: what an await throws costs as much as the operation that was refused.
 * @throws NotModelled
 */
export function answer(operation: () => string | void | Promise<string | void>): Promise<string> {
  try {
    const result = operation();
    return result instanceof Promise ? result.then(valueText, errorText) : Promise.resolve(valueText(result));
  } catch (error) {
    return Promise.resolve(error).then(errorText);
  }
}

function valueText(value: string | void): string {
  return value ?? 'ok';
}

/** @throws NotModelled */
function errorText(error: unknown): string {
  if (!(error instanceof HmmError)) throw error;
  const { code, signal, message, syscall } = error;
  if (code === 'ERR_HMM_NOT_MODELLED') throw new NotModelled(message);
  // The kernel does not say where a walk ended; the simulation's errors do, for people.
  const { address, done = 0 } = syscall === 'hmm_range_fault' || syscall === 'populate' ? {} : error;
  const at = address === undefined ? '' : ` at ${place(address)}`;
  return `${code}${at}${signal === undefined ? '' : ` ${signal}`}${done === 0 ? '' : ` after ${done}`}`;
}

export class World {
  readonly hmm: Hmm;
  readonly #origin: Origin;
  readonly processes: Process[] = [];
  readonly files: MemoryFile[] = [];
  readonly watches = new Map<number, Watch>();
  readonly mirrors = new Map<number, Mirrored>();
  /** What callbacks began and could not wait for. */
  readonly #pending: Promise<string>[] = [];
  #closing = false;
  #lines: string[] = [];
  /** Empty but while events are taken. */
  readonly #told: Told[] = [];
  readonly #withMemory: readonly Device[];
  #usage = '';
  #usesDevices = false;

  private constructor(origin: Origin) {
    this.hmm = origin.hmm;
    this.#origin = origin;
    this.#withMemory = origin.hmm.devices.filter(({ capacity }) => capacity > 0);
  }

  static async create(origin: Origin): Promise<World> {
    const world = new World(origin);
    const { space } = await world.adopt(await origin.fork());
    for (let file = 0; file < FILES; file++) world.files.push(await space.createFile(FILE_LENGTH));
    return world;
  }

  say(line: string): void {
    this.#lines.push(line);
  }

  /** The lines since the last call. */
  take(): string[] {
    const lines = this.#lines;
    this.#lines = [];
    return lines;
  }

  /** A process that can still do something. */
  process(number: number): Process | null {
    const process = this.processes[number];
    return process?.space.alive === true ? process : null;
  }

  async adopt(space: AddressSpace): Promise<Process> {
    const number = this.processes.length;
    const watcher = await space.mirror(this.hmm.devices[0]!, { start: WINDOW, length: WINDOW_LENGTH });
    const range = new HmmRange({ notifier: watcher.notifier, start: WINDOW, end: WINDOW + WINDOW_LENGTH });
    range.notifierSequence = await watcher.notifier.readBegin();
    const name = `p${number}`;
    const pages = this.#origin.takePages().begin(range);
    const process = { number, name, space, watcher, range, pages, pagesText: 'not looked at' };
    this.processes.push(process);
    return process;
  }

  async insert(slot: number, process: Process, start: number, length: number, reaction?: Reaction): Promise<void> {
    let calls = 0;
    const removal = { begun: false };
    const notifier = await process.space.insertIntervalNotifier(start, length, {
      invalidate: (range, sequence) => {
        if (removal.begun) return undefined;
        this.say(eventText(`n${slot}`, range, sequence));
        return calls++ === 0 && reaction !== undefined ? this.#react(reaction, process, start, length) : undefined;
      },
    });
    this.watches.set(slot, { process, notifier, start, length, sequence: 0, kept: null, removal });
  }

  async remove(slot: number, watch: Watch): Promise<void> {
    this.watches.delete(slot);
    await watch.notifier.remove();
  }

  async mirror(slot: number, process: Process, device: number, start: number, length: number): Promise<void> {
    const on = this.hmm.devices[device % this.hmm.devices.length]!;
    const mirror = await process.space.mirror(on, { start, length });
    this.#usesDevices = true;
    const name = `m${slot}`;
    const [table, spare] = [new BigUint64Array(length / PAGE), new BigUint64Array(length / PAGE)];
    this.mirrors.set(slot, { name, process, mirror, start, end: start + length, table, spare });
  }

  async unmirror(slot: number, { mirror }: Mirrored): Promise<void> {
    this.mirrors.delete(slot);
    await mirror.remove();
  }

  /**
   * Waits for what callbacks began, then logs what watchers and mirrors saw and everything that looks other than before.
   * @param mapped whether a page table can be another than before
   */
  async observe(mapped: boolean): Promise<void> {
    // In the order in which they were begun: in which they end is nobody's promise.
    if (this.#pending.length > 0) for (const pending of this.#pending.splice(0)) this.say(await pending);
    this.#takeEvents();
    if (mapped) await this.#observePages();
    if (this.mirrors.size > 0) await this.#observeTables();
    // No page has gone anywhere where none can be mapped otherwise.
    if (!this.#usesDevices || (!mapped && this.#usage !== '')) return;
    const usage = await this.#countUsage();
    if (usage !== this.#usage) this.say(`usage ${(this.#usage = usage)}`);
  }

  drain(): Promise<void> {
    return this.#origin.drain();
  }

  /** Reads the process's page table anew, for others to be shown beside it. */
  async look({ space, range }: Process): Promise<void> {
    // Its own events tell the watcher's sequence, once they have been taken.
    this.#takeEvents();
    if (space.alive) await this.hmm.rangeFault(range, SNAPSHOT);
  }

  /** The program is over: nothing of it must be left. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#endProcesses();
    this.#takeEvents();
    // The end of locked memory leaves pages in a batch, those of devices too.
    await this.drain();
    if (this.#usesDevices) this.say(`left in use ${await this.#countUsage()}`);
  }

  /** The program ends here, and nothing that happened since the last look is told. */
  async abandon(): Promise<void> {
    this.#closing = true;
    await this.#endProcesses();
    await this.drain();
  }

  async #endProcesses(): Promise<void> {
    for (const { space, pages } of this.processes) {
      await space[Symbol.asyncDispose]();
      this.#origin.givePages(pages);
    }
  }

  /** Pages in use of each device that has memory. */
  async #countUsage(): Promise<string> {
    let text = '';
    for (const device of this.#withMemory) text += `${text === '' ? '' : ' '}${await device.usage()}`;
    return text;
  }

  /** Logs what watchers and mirrors were told, by the time at which they were. */
  #takeEvents(): void {
    const told = this.#told;
    for (const { watcher, range, name } of this.processes) {
      for (const event of watcher.takeEvents()) {
        told.push({ who: name, event });
        range.notifierSequence = event.sequence;
      }
    }
    for (const { who, event } of told) {
      // The pages of an UNMAP are gone. Which frames come in their place, the same ones perhaps, is the allocator's to decide.
      if (event.event !== 'unmap') continue;
      for (const { kept, process } of this.watches.values()) {
        if (kept !== null && process.name === who) markUnmapped(kept, event.start, event.end);
      }
    }
    for (const { mirror, name } of this.mirrors.values()) {
      for (const event of mirror.takeEvents()) told.push({ who: name, event });
    }
    if (told.length === 0) return;
    if (told.length > 1) told.sort(byTime);
    for (const { who, event } of told) {
      if (event.lost > 0) throw new Error(`${who} lost ${event.lost} events: more than are kept came at once`);
      this.say(eventText(who, event, event.sequence));
    }
    told.length = 0;
  }

  #react(reaction: Reaction, process: Process, start: number, length: number): Promise<void> | undefined {
    if (this.#closing) return undefined;
    const { slot } = reaction;
    const watch = this.watches.get(slot);
    if (reaction.do === 'insert') {
      if (watch !== undefined) return undefined;
      return answer(() => this.insert(slot, process, start, length)).then((text) =>
        this.say(`in the callback: insert n${slot}: ${text}`),
      );
    }
    if (watch === undefined) return undefined;
    if (reaction.do === 'retry') {
      this.say(`in the callback: retry n${slot}: ${watch.notifier.readRetry(watch.sequence)}`);
      return undefined;
    }
    if (reaction.do === 'remove') watch.removal.begun = true;
    // Both wait for the end of the invalidation, if it is one of theirs.
    const done =
      reaction.do === 'remove'
        ? answer(() => this.remove(slot, watch))
        : answer(async () => {
            // Which of two invalidations of one operation it waits for, and so what it gives, is a matter of time.
            await watch.notifier.readBegin();
            return 'ok';
          });
    this.#pending.push(done.then((text) => `begun in the callback: ${reaction.do} n${slot}: ${text}`));
    return undefined;
  }

  /** The events have been taken, so the watchers' sequences are those of now. */
  async #observePages(): Promise<void> {
    let changed = false;
    const present = this.processes.filter(({ space }) => space.alive);
    for (const { range, pages } of present) {
      await this.hmm.rangeFault(range, SNAPSHOT);
      changed = pages.changed() || changed;
    }
    if (!changed) return;
    for (const { kept, process } of this.watches.values()) if (kept !== null) markLeft(kept, process);
    const texts = Pages.texts(present.map(({ pages }) => pages));
    for (const [index, process] of present.entries()) {
      const text = texts[index]!;
      if (text !== process.pagesText) this.say(`${process.name} has ${(process.pagesText = text)}`);
    }
  }

  async #observeTables(): Promise<void> {
    for (const mirrored of this.mirrors.values()) {
      const { mirror, start, end, process, name, table } = mirrored;
      const entries = await mirror.pageTable.entries(start, end, mirrored.spare);
      if (Buffer.compare(bytesOf(entries), bytesOf(table)) === 0) continue;
      mirrored.table = entries;
      mirrored.spare = table;
      this.say(`${name} table ${entriesText(entries, pageOf(start), process.pages)}`);
    }
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: BigUint64Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Notes the pages that have another frame than a driver believes. */
function markLeft({ start, pfns, left }: NonNullable<Watch['kept']>, { pages }: Process): void {
  const words = new Int32Array(pfns.buffer, pfns.byteOffset, 2 * pfns.length);
  const first = pageOf(start);
  for (let page = 0; page < pfns.length; page++) {
    if (pages.beside(words[2 * page]!, words[2 * page + 1]!, first + page) === ' !') left[page] = 1;
  }
}

function markUnmapped({ start, left }: NonNullable<Watch['kept']>, from: number, to: number): void {
  left.fill(1, Math.max(0, Math.floor((from - start) / PAGE)), Math.max(0, Math.ceil((to - start) / PAGE)));
}

function eventText(who: string, { event, start, end, blockable, owner }: NotifierRange, sequence: number): string {
  // Only these have an owner by definition; elsewhere the kernel leaves the field as it finds it.
  const by = event === 'migrate' || event === 'exclusive' ? ` by ${owner === null ? '-' : owner.id}` : '';
  return `${who} ${event} ${span(start, end)}${by} seq ${sequence}${blockable ? '' : ' not blockable'}`;
}

/** Whole pages around [at, at + length) of the window, as addresses. */
export function pagesAround({ at, length }: { readonly at: number; readonly length: number }): [number, number] {
  const start = WINDOW + Math.floor(at / PAGE) * PAGE;
  return [start, WINDOW + Math.ceil((at + length) / PAGE) * PAGE];
}
