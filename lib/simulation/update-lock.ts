/**
 * The update lock of a mirror, which a program can hold from one call to another (kernel-module/update_lock.c). The
 * short critical sections of the mirror itself need no lock here: nothing in them yields.
 */
import { BoundedWait } from './wait-budget.js';
import type { NotifierRange } from './notifiers.js';
import { HmmError } from '../errors.js';
import { LOCKS, writes } from './engine/touch.js';
import { Wait } from './engine/engine.js';
import type { BackendLock } from '../backend.js';
import type { Engine, Routine } from './engine/engine.js';

const KIND = 'update lock of a mirror';

export class UpdateLock implements BackendLock {
  readonly #engine: Engine;
  /** 'taken': an invalidation took it from its holder, who has not noticed yet. */
  #state: 'free' | 'held' | 'taken' = 'free';
  /** In order of arrival; an acquirer is given the lock, the others look again. */
  readonly #queue: { readonly wait: Wait; readonly acquires: boolean }[] = [];
  /** Invalidations that wait for the holder; nobody is given the lock before them. */
  readonly #invalidations: Wait[] = [];
  #removed = false;
  /** The address space is being closed: nobody may take the lock any more. */
  #closing = false;

  constructor(engine: Engine) {
    this.#engine = engine;
    engine.locks?.created(this, KIND);
  }

  /** Whether a program has it. */
  get held(): boolean {
    return this.#state === 'held';
  }

  /** Whether an invalidation would have to wait. */
  get busy(): boolean {
    return this.#state === 'held' && !this.#removed;
  }

  async acquire(): Promise<void> {
    await this.#engine.start('lock', this.#acquire(), 0);
  }

  tryAcquire(): boolean {
    this.#engine.touch(writes(LOCKS));
    this.#checkTakeable();
    if (this.#state !== 'free' || this.#queue.length > 0 || this.#invalidations.length > 0) return false;
    this.#state = 'held';
    this.#engine.locks?.tried(this, KIND);
    return true;
  }

  release(): void {
    this.#engine.touch(writes(LOCKS));
    this.#engine.locks?.released(this);
    const state = this.#state;
    this.#state = 'free';
    this.#changed();
    if (state === 'free') throw new HmmError('EINVAL', 'unlock', 'the lock is not held');
    if (state === 'taken')
      throw new HmmError('ETIMEDOUT', 'unlock', 'an invalidation could not wait any longer and took the lock');
  }

  /** For what changes the page table, other than invalidations: waits until the program's lock is free. */
  *begin(): Routine<void> {
    if (this.#engine.preemptive) yield 'mutex_lock';
    this.#engine.locks?.acquiring(this, KIND);
    while (this.#state === 'held' && !this.#removed) yield* this.#wait(false);
    this.#checkRemoved();
  }

  /**
   * The same for an invalidation, which waits no longer than `timeout` ms in all (null: no bound) and then takes the lock
   * away.
   * @returns null if there is nothing to wait for
   */
  beginInvalidation(range: NotifierRange, timeout: number | null): Routine<void> | null {
    this.#engine.locks?.acquiring(this, KIND);
    return this.busy ? this.#beginInvalidation(range, timeout) : null;
  }

  /** Releases what a program holds, so that the end of its process need not wait; who waits for it gets ERR_HMM_CLOSED. */
  close(): void {
    this.#engine.touch(writes(LOCKS));
    if (this.#state !== 'free') this.#engine.locks?.released(this);
    this.#state = 'free';
    this.#closing = true;
    this.#changed();
  }

  /** Nobody will wait any more: whoever does now gets ENOENT. */
  remove(): void {
    this.#removed = true;
    this.#changed();
  }

  *#acquire(): Routine<void> {
    if (this.#engine.preemptive) yield 'mutex_lock';
    this.#checkTakeable();
    this.#engine.locks?.acquiring(this, KIND);
    if (this.#state === 'free' && this.#queue.length === 0 && this.#invalidations.length === 0) {
      this.#state = 'held';
      this.#engine.locks?.acquired(this, KIND);
      return;
    }
    yield* this.#wait(true);
    this.#checkTakeable();
    this.#engine.locks?.acquired(this, KIND);
  }

  *#beginInvalidation(range: NotifierRange, timeout: number | null): Routine<void> {
    const wait = new Wait(this.#engine, 'mutex_lock');
    this.#invalidations.push(wait);
    const steal = (): void => {
      if (this.#state === 'held') this.#state = 'taken';
      wait.settle();
    };
    if (timeout === null) {
      yield wait;
    } else {
      const bounded = new BoundedWait((range.budget ??= { waited: 0 }));
      const timer = setTimeout(steal, bounded.left(timeout));
      yield wait;
      clearTimeout(timer);
      bounded.end();
    }
    this.#invalidations.splice(this.#invalidations.indexOf(wait), 1);
    this.#changed();
  }

  *#wait(acquires: boolean): Routine<void> {
    const wait = new Wait(this.#engine, 'mutex_lock');
    this.#queue.push({ wait, acquires });
    yield wait;
  }

  #changed(): void {
    if (this.#removed || this.#closing) {
      for (const { wait } of this.#queue.splice(0)) wait.settle();
      for (const wait of this.#invalidations) wait.settle();
      return;
    }
    if (this.#state === 'held') return;
    for (const wait of this.#invalidations) wait.settle();
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      if (next.acquires && (this.#state !== 'free' || this.#invalidations.length > 0)) return;
      this.#queue.shift();
      if (next.acquires) this.#state = 'held';
      next.wait.settle();
      if (next.acquires) return;
    }
  }

  #checkTakeable(): void {
    if (this.#closing) throw new HmmError('ERR_HMM_CLOSED', 'lock', 'the address space has been closed');
    this.#checkRemoved();
  }

  #checkRemoved(): void {
    if (this.#removed) throw new HmmError('ENOENT', 'lock', 'the mirror has been removed');
  }
}
