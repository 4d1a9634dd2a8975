/**
 * While executions run, what the explorer cannot order or repeat throws: timers, clocks, randomness. They are put back whenever the event loop gets a turn, so
 * nothing else in the program ever meets them.
 */
import { ForbiddenError } from './errors.js';

type Holder = Record<string, unknown>;

interface Patch {
  readonly holder: Holder;
  readonly key: string;
  readonly name: string;
  readonly instead: string;
}

const globals = globalThis as unknown as Holder;
const TIMER = 'time does not pass in a scenario: await a call of the library, or point()';
const CLOCK = 'no execution could be repeated: leave the clock out of the scenario';
const RANDOM = 'no execution could be repeated: use the scenario’s own random()';
const IO = 'I/O comes when it likes: read what the scenario needs before explore()';

function patchesOf(): Patch[] {
  const patches: Patch[] = [];
  const add = (holder: unknown, prefix: string, keys: readonly string[], instead: string): void => {
    if ((typeof holder !== 'object' && typeof holder !== 'function') || holder === null) return;
    for (const key of keys) {
      if (typeof (holder as Holder)[key] === 'function')
        patches.push({ holder: holder as Holder, key, name: `${prefix}${key}`, instead });
    }
  };
  add(globals, '', ['setTimeout', 'setInterval', 'setImmediate', 'requestAnimationFrame'], TIMER);
  add(globals, '', ['fetch'], IO);
  add(Date, 'Date.', ['now'], CLOCK);
  add(globals['performance'], 'performance.', ['now'], CLOCK);
  add(Math, 'Math.', ['random'], RANDOM);
  add(globals['crypto'], 'crypto.', ['getRandomValues', 'randomUUID'], RANDOM);
  return patches;
}

/** new Date() is a clock, new Date(0) is a number. */
function guardedDate(original: DateConstructor): DateConstructor {
  return new Proxy(original, {
    construct(target, args: unknown[], newTarget): object {
      if (args.length === 0) forbid('new Date()', CLOCK);
      return Reflect.construct(target, args, newTarget) as object;
    },
    apply(): never {
      return forbid('Date()', CLOCK);
    },
  });
}

function forbid(name: string, instead: string): never {
  throw new ForbiddenError(`${name} in a scenario: ${instead}`);
}

export class Guard {
  readonly #stacks: boolean;
  readonly #undo: (() => void)[] = [];

  /** @param stacks whether errors have stacks: thousands are thrown and caught, and only those of a replay are read */
  constructor(stacks: boolean) {
    this.#stacks = stacks;
  }

  on(): void {
    if (this.#undo.length > 0) return;
    for (const { holder, key, name, instead } of patchesOf()) {
      const own = Object.getOwnPropertyDescriptor(holder, key);
      // What cannot be changed, as in a frozen realm, is not guarded; the stall that it makes is still noticed.
      if (own?.configurable === false && own.writable !== true) continue;
      Object.defineProperty(holder, key, { configurable: true, writable: true, value: () => forbid(name, instead) });
      this.#undo.push(() => {
        if (own === undefined) delete holder[key];
        else Object.defineProperty(holder, key, own);
      });
    }
    if (!this.#stacks) {
      const errors = Error as { stackTraceLimit?: number };
      const limit = errors.stackTraceLimit;
      errors.stackTraceLimit = 0;
      this.#undo.push(() => {
        if (limit === undefined) delete errors.stackTraceLimit;
        else errors.stackTraceLimit = limit;
      });
    }
    const date = Object.getOwnPropertyDescriptor(globals, 'Date');
    if (date !== undefined) {
      Object.defineProperty(globals, 'Date', { ...date, value: guardedDate(Date) });
      this.#undo.push(() => Object.defineProperty(globals, 'Date', date));
    }
  }

  off(): void {
    for (const undo of this.#undo.splice(0).reverse()) undo();
  }
}
