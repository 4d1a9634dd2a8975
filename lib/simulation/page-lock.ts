/** PG_locked, and references that somebody may have to wait for (mm/filemap.c: folio_trylock, folio_lock, folio_unlock). */
import { Wait } from './engine/engine.js';
import type { Engine, Routine } from './engine/engine.js';
import type { Frames } from './frames.js';

export class PageLocks {
  readonly #engine: Engine;
  readonly #frames: Frames;
  readonly #locked = new Set<number>();
  /** Tasks that sleep until the frame is unlocked, or until one of its references goes. */
  readonly #waiters = new Map<number, Wait[]>();

  constructor(engine: Engine, frames: Frames) {
    this.#engine = engine;
    this.#frames = frames;
  }

  /** Frames that are locked: none, when nothing is under way. */
  get size(): number {
    return this.#locked.size;
  }

  isLocked(frame: number): boolean {
    return this.#locked.has(frame);
  }

  /** The caller has a reference: a frame that is given out again must not be locked. */
  tryLock(frame: number): boolean {
    if (this.#locked.has(frame)) return false;
    this.#locked.add(frame);
    return true;
  }

  *lock(frame: number): Routine<void> {
    if (this.#engine.preemptive) yield 'folio_lock';
    while (!this.tryLock(frame)) yield* this.#wait(frame, 'folio_lock');
  }

  unlock(frame: number): void {
    this.#locked.delete(frame);
    this.#wake(frame);
  }

  get(frame: number): void {
    this.#frames.get(frame);
  }

  put(frame: number): void {
    this.#frames.put(frame);
    this.#wake(frame);
  }

  /** migration_entry_wait: returns when the lock has been released, by whom and for what is looked at anew. */
  *waitUnlocked(frame: number, at: string): Routine<void> {
    if (this.#engine.preemptive) yield at;
    if (this.#locked.has(frame)) yield* this.#wait(frame, at);
  }

  /** Returns at the next unlock, or the next reference that goes. The kernel would spin; nothing can have changed before. */
  *waitChange(frame: number, at: string): Routine<void> {
    yield* this.#wait(frame, at);
  }

  *#wait(frame: number, at: string): Routine<void> {
    const wait = new Wait(this.#engine, at);
    const waiters = this.#waiters.get(frame);
    if (waiters === undefined) this.#waiters.set(frame, [wait]);
    else waiters.push(wait);
    yield wait;
  }

  #wake(frame: number): void {
    const waiters = this.#waiters.get(frame);
    if (waiters === undefined) return;
    this.#waiters.delete(frame);
    for (const wait of waiters) wait.settle();
  }
}
