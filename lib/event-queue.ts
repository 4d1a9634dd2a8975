/** Events that a mirror keeps while nobody takes them: beyond, the newest are dropped and counted, as the module's own queue does. */
export const EVENT_QUEUE_CAPACITY = 65536;

/** A bounded first-in first-out queue that can be awaited. */
export class EventQueue<T extends { readonly lost: number }> implements AsyncIterable<T> {
  #items: T[] = [];
  /** How many of #items have been taken; they are let go in one piece, when half of the array is behind. */
  #head = 0;
  #waiting: ((result: IteratorResult<T, undefined>) => void)[] = [];
  #lost = 0;
  #closed = false;

  push(item: T): void {
    if (this.#closed) return;
    if (this.#items.length - this.#head >= EVENT_QUEUE_CAPACITY) {
      this.#lost += 1 + item.lost;
      return;
    }
    const value = this.#lost === 0 ? item : { ...item, lost: item.lost + this.#lost };
    this.#lost = 0;
    const waiter = this.#waiting.shift();
    if (waiter === undefined) this.#items.push(value);
    else waiter({ done: false, value });
  }

  /** All that is there, oldest first. */
  take(): T[] {
    const items = this.#items.slice(this.#head);
    this.#items = [];
    this.#head = 0;
    return items;
  }

  /** Ends every iterator, after what is left has been taken. */
  close(): void {
    this.#closed = true;
    for (const waiter of this.#waiting.splice(0)) waiter({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): AsyncIterator<T, undefined> {
    return {
      next: () => {
        const value = this.#shift();
        if (value !== undefined) return Promise.resolve({ done: false, value });
        if (this.#closed) return Promise.resolve({ done: true, value: undefined });
        return new Promise((resolve) => this.#waiting.push(resolve));
      },
      return: () => Promise.resolve({ done: true, value: undefined }),
    };
  }

  #shift(): T | undefined {
    const value = this.#items[this.#head];
    if (value === undefined) return undefined;
    this.#head++;
    if (this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return value;
  }
}
