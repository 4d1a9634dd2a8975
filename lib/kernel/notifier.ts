import type { BackendNotifier, MaybePromise } from '../backend.js';
import type { DeviceContext } from './device-context.js';
import type { EventPump } from './events.js';

/** What the objects of one address space share. */
export interface SpaceInternals {
  readonly context: DeviceContext;
  readonly pump: EventPump;
  /** Who holds an update lock, and loses it when the address space is closed. */
  readonly lockers: Set<{ abandon(): void }>;
  /** True once it is being closed. */
  closing: boolean;
}

export class KernelNotifier implements BackendNotifier {
  /** The module's. */
  readonly id: number;
  readonly start: number;
  readonly length: number;
  readonly #space: SpaceInternals;
  #removal: Promise<void> | null = null;

  constructor(space: SpaceInternals, id: number, start: number, length: number) {
    this.#space = space;
    this.id = id;
    this.start = start;
    this.length = length;
  }

  readBegin(): MaybePromise<number> {
    return this.#space.context.readBegin(this.id);
  }

  readRetry(sequence: number): boolean {
    return this.#space.context.readRetry(this.id, sequence);
  }

  /** A callback whose wait has run out may still be busy in JavaScript: the kernel no longer waits for it, and neither does this. */
  remove(): Promise<void> {
    this.#removal ??= this.#remove();
    return this.#removal;
  }

  async #remove(): Promise<void> {
    const { context, pump } = this.#space;
    // With the file all its notifiers have gone.
    if (context.closed) return;
    await context.remove(this.id);
    pump.forget(this.id);
  }
}
