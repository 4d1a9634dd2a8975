/** What a mirror does when it is told of an invalidation (kernel-module/notifier.c). */
import { DevicePageTable } from './device-page-table.js';
import { HmmError } from '../errors.js';
import { HOST, writes } from './engine/touch.js';
import { Mutex } from './engine/locks.js';
import { UpdateLock } from './update-lock.js';
import { invalidationOf } from './callback.js';
import type { EventSink } from '../backend.js';
import type { IntervalNotifier, IntervalNotifierOps, NotifierRange } from './notifiers.js';
import type { Mm } from './mm.js';
import type { Routine, Task } from './engine/engine.js';

/** The invalidate callback: under the lock the sequence and the page table, and then the events. */
export class MirrorOps implements IntervalNotifierOps {
  readonly pageTable: DevicePageTable;
  readonly updateLock: UpdateLock;
  notifier: IntervalNotifier | null = null;
  /** Set by removal: nothing is put into the page table any more. */
  removed = false;
  /** The task that is making pages exclusive for this mirror now. */
  exclusiveTask: Task | null = null;
  readonly exclusiveLock: Mutex;
  readonly #mm: Mm;
  readonly #sink: EventSink;

  constructor(
    mm: Mm,
    readonly device: number,
    sink: EventSink,
  ) {
    this.#mm = mm;
    this.#sink = sink;
    this.pageTable = new DevicePageTable(mm.machine.spare);
    this.updateLock = new UpdateLock(mm.engine);
    this.exclusiveLock = new Mutex(mm.engine);
  }

  invalidate(range: NotifierRange, sequence: number): Routine<void> | null {
    // The kernel tries again later. Nothing has changed, and nobody is told.
    if (range.blockable === false && this.updateLock.busy) {
      range.refused = true;
      return null;
    }
    const waiting = this.updateLock.beginInvalidation(range, this.#mm.machine.callbackTimeout);
    if (waiting !== null) return this.#invalidateAfter(waiting, range, sequence);
    this.#invalidateLocked(range, sequence);
    return null;
  }

  *#invalidateAfter(waiting: Routine<void>, range: NotifierRange, sequence: number): Routine<void> {
    yield* waiting;
    this.#invalidateLocked(range, sequence);
  }

  #invalidateLocked(range: NotifierRange, sequence: number): void {
    const notifier = this.notifier!;
    if (!this.#isOwn(range)) notifier.setSequence(sequence);
    this.pageTable.clear(Math.max(range.start, notifier.start), Math.min(range.end, notifier.end));
    if (this.removed) return;
    // takeEvents() shows it to the program at once.
    this.#mm.engine.touch(writes(HOST));
    this.#sink.event(invalidationOf(range, sequence, this.#mm.machine.tick()), 0);
  }

  /** Refuses to put anything into the page table of a mirror that has gone. */
  checkRemoved(): void {
    if (this.removed) throw new HmmError('ENOENT', 'lock', 'the mirror has been removed');
  }

  /**
   * Whether this task is making pages exclusive and this is the event that does it: the entries go, but it is what the
   * sequence was read for. All others count, migrations to the mirror's own device too: what they move gets another frame.
   */
  #isOwn(range: NotifierRange): boolean {
    const mine = this.exclusiveTask !== null && this.exclusiveTask === this.#mm.engine.current;
    return mine && range.event === 'exclusive' && range.owner === this.device;
  }
}
