/** Sleeping locks of the simulated kernel. All of them are fair: first come, first served. */
import { Wait } from './engine.js';
import type { Engine, Routine } from './engine.js';

interface Waiter {
  readonly wait: Wait;
  readonly write: boolean;
}

/**
 * mmap_lock. Readers share; a waiting writer holds up later readers, as the rwsem's handoff does.
 * The try functions exist because an uncontended lock must not cost a generator.
 */
export class RwLock {
  readonly #engine: Engine;
  readonly #queue: Waiter[] = [];
  #readers = 0;
  #writer = false;
  /** mm_lock_seq: one per writer, so that what a writer locked along with it needs no unlocking. */
  #sequence = 0;

  constructor(engine: Engine) {
    this.#engine = engine;
    engine.locks?.created(this, 'mmap_lock');
  }

  get sequence(): number {
    return this.#sequence;
  }

  tryRead(): boolean {
    if (this.#writer || this.#queue.length > 0) return false;
    this.#readers++;
    this.#engine.locks?.acquired(this, 'mmap_lock');
    return true;
  }

  *read(): Routine<void> {
    if (this.#engine.preemptive) yield 'mmap_read_lock';
    this.#engine.locks?.acquiring(this, 'mmap_lock');
    if (this.tryRead()) return;
    yield* this.#wait('mmap_read_lock', false);
  }

  *write(): Routine<void> {
    if (this.#engine.preemptive) yield 'mmap_write_lock';
    this.#engine.locks?.acquiring(this, 'mmap_lock');
    if (!this.#writer && this.#readers === 0 && this.#queue.length === 0) {
      this.#writer = true;
      this.#engine.locks?.acquired(this, 'mmap_lock');
      return;
    }
    yield* this.#wait('mmap_write_lock', true);
  }

  unlockRead(): void {
    this.#engine.locks?.released(this);
    this.#readers--;
    this.#grant();
  }

  unlockWrite(): void {
    this.#engine.locks?.released(this);
    this.#sequence++;
    this.#writer = false;
    this.#grant();
  }

  /** mmap_write_downgrade: from the writer to a reader, without a moment in between. */
  downgrade(): void {
    this.#sequence++;
    this.#writer = false;
    this.#readers = 1;
    this.#grant();
  }

  /** Ownership is handed over before the waiter runs, so nobody can slip in between. */
  *#wait(at: string, write: boolean): Routine<void> {
    const wait = new Wait(this.#engine, at);
    this.#queue.push({ wait, write });
    yield wait;
    this.#engine.locks?.acquired(this, 'mmap_lock');
  }

  #grant(): void {
    for (;;) {
      const [next] = this.#queue;
      if (next === undefined || this.#writer) return;
      if (next.write && this.#readers > 0) return;
      this.#queue.shift();
      if (next.write) this.#writer = true;
      else this.#readers++;
      next.wait.settle();
      if (next.write) return;
    }
  }
}

/** A mutex. It does not know its holder: whoever acquires it twice waits for itself. */
export class Mutex {
  readonly #engine: Engine;
  readonly #kind: string;
  readonly #queue: Wait[] = [];
  #held = false;

  /** @param kind what an observer of locks calls it */
  constructor(engine: Engine, kind = 'mutex') {
    this.#engine = engine;
    this.#kind = kind;
    engine.locks?.created(this, kind);
  }

  get held(): boolean {
    return this.#held;
  }

  /** acquire() where nobody has it; if somebody has, acquireNow() comes next. */
  tryAcquire(): boolean {
    if (this.#held) return false;
    this.#held = true;
    this.#engine.locks?.acquired(this, this.#kind);
    return true;
  }

  /** mutex_trylock: whoever calls it does not wait for the holder. */
  trylock(): boolean {
    if (this.#held) return false;
    this.#held = true;
    this.#engine.locks?.tried(this, this.#kind);
    return true;
  }

  *acquire(): Routine<void> {
    if (this.#engine.preemptive) yield 'mutex_lock';
    yield* this.acquireNow();
  }

  /** For a task that stood at a preemption point just before. */
  *acquireNow(): Routine<void> {
    this.#engine.locks?.acquiring(this, this.#kind);
    if (this.tryAcquire()) return;
    const wait = new Wait(this.#engine, 'mutex_lock');
    this.#queue.push(wait);
    yield wait;
    this.#engine.locks?.acquired(this, this.#kind);
  }

  /** Handed over to the next in line, if there is one. */
  release(): void {
    this.#engine.locks?.released(this);
    const next = this.#queue.shift();
    if (next === undefined) this.#held = false;
    else next.settle();
  }
}
