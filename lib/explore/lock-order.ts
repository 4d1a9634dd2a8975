/**
 * The order in which threads take locks, over a whole exploration, as lockdep does: if one ever takes B with A held, and one A with B held, that is a
 * deadlock waiting for its interleaving, and told even where the two have not met. Locks are told apart by kind and by number within
 * the kind, so that those of different executions of a scenario are the same. Which execution showed an order is remembered with it: they are what it takes to
 * show it again.
 */
import type { LockObserver } from '../simulation/engine/engine.js';
import { formatSchedule, type Schedule } from './schedule.js';
import type { Violation } from './violation.js';

/** One lock was taken with another held. */
export interface LockEdge {
  /** By whom, in words. */
  readonly who: string;
  /** What leads there. */
  readonly schedule: Schedule;
}

/** What all executions of an exploration have seen: lock by lock, those taken with it held. */
export type LockGraph = Map<string, Map<string, LockEdge>>;

export function copyLocks(graph: LockGraph): LockGraph {
  return new Map([...graph].map(([held, wanted]) => [held, new Map(wanted)]));
}

export function mergeLocks(one: LockGraph, other: LockGraph): LockGraph {
  const merged = copyLocks(one);
  for (const [held, wanted] of other) merged.set(held, new Map([...(merged.get(held) ?? []), ...wanted]));
  return merged;
}

/** A lock that can be come to again from itself, and the executions that show it, one after the other; null if there is none. */
export function reversedLock(graph: LockGraph): { readonly lock: string; readonly schedules: Schedule[] } | null {
  for (const lock of graph.keys()) {
    const path = pathOf(graph, lock, lock);
    if (path !== null) return { lock, schedules: distinct(path.map(({ edge }) => edge.schedule)) };
  }
  return null;
}

function distinct(schedules: readonly Schedule[]): Schedule[] {
  return [...new Map(schedules.map((schedule) => [formatSchedule(schedule), schedule])).values()];
}

/** From one lock to another along what has been seen, or null. */
function pathOf(
  graph: LockGraph,
  from: string,
  to: string,
  seen = new Set<string>(),
): { from: string; to: string; edge: LockEdge }[] | null {
  if (seen.has(from)) return null;
  seen.add(from);
  for (const [next, edge] of graph.get(from) ?? []) {
    if (next === to) return [{ from, to: next, edge }];
    const rest = pathOf(graph, next, to, seen);
    if (rest !== null) return [{ from, to: next, edge }, ...rest];
  }
  return null;
}

interface Held {
  readonly lock: object;
  readonly name: string;
}

export interface LockOrderHost {
  /** The thread that runs now; -1 before the tasks begin. */
  thread(): number;
  /** What it is doing. */
  describe(): string;
  /** What has been chosen so far. */
  schedule(): Schedule;
  /** @param before other executions that it takes to see it: this one alone does not show both orders */
  report(violation: Violation, before: readonly Schedule[]): void;
}

export class LockOrder implements LockObserver {
  readonly #graph: LockGraph;
  readonly #host: LockOrderHost;
  readonly #names = new Map<object, string>();
  /** Locks of each kind, by the thread that made them. */
  readonly #counts = new Map<number, Map<string, number>>();
  readonly #held = new Map<number, Held[]>();
  /** Callbacks that must not wait and have returned a promise in this step. */
  readonly #unsettled: { readonly event: string; readonly settled: () => boolean }[] = [];
  /** What this execution has added. */
  readonly #own = new Set<LockEdge>();

  constructor(graph: LockGraph, host: LockOrderHost) {
    this.#graph = graph;
    this.#host = host;
  }

  created(lock: object, kind: string): void {
    // By who makes it and in which order: what is made before the tasks begin has the same name in all executions.
    const thread = this.#host.thread();
    let counts = this.#counts.get(thread);
    if (counts === undefined) this.#counts.set(thread, (counts = new Map<string, number>()));
    const number = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, number);
    const which = number === 1 ? kind : `${kind} ${number}`;
    this.#names.set(lock, thread < 0 ? which : `${which} of ${this.#host.describe()}`);
  }

  acquiring(lock: object, kind: string): void {
    const held = this.#held.get(this.#host.thread());
    if (held === undefined || held.length === 0) return;
    const wanted = this.#names.get(lock) ?? kind;
    for (const { name } of held) if (name !== wanted) this.#order(name, wanted);
  }

  acquired(lock: object, kind: string): void {
    this.acquiring(lock, kind);
    this.tried(lock, kind);
  }

  /** As in lockdep, a trylock is never the second lock of an order, but can be the first. */
  tried(lock: object, kind: string): void {
    const thread = this.#host.thread();
    if (thread < 0) return;
    const entry = { lock, name: this.#names.get(lock) ?? kind };
    const held = this.#held.get(thread);
    if (held === undefined) this.#held.set(thread, [entry]);
    else held.push(entry);
  }

  released(lock: object): void {
    const own = this.#held.get(this.#host.thread());
    if (own !== undefined && remove(own, lock)) return;
    // A lock may be released by another thread than the one that took it.
    for (const held of this.#held.values()) if (remove(held, lock)) return;
  }

  mustNotSleep(event: string, settled: () => boolean): void {
    this.#unsettled.push({ event, settled });
  }

  /** After a step, and what the program's code has done in answer to it: a callback that still has not answered waits. */
  stepped(): void {
    if (this.#unsettled.length === 0) return;
    for (const { event, settled } of this.#unsettled.splice(0)) if (!settled()) this.#sleeps(event);
  }

  #sleeps(event: string): void {
    const message = `invalidate('${event}') waits, though the invalidation is not blockable: it may be the OOM reaper’s, and must be answered at once, with false if need be`;
    this.#host.report({ kind: 'blocking-callback', message }, []);
  }

  callbackFailed({ message, cause }: Error): void {
    if (cause === undefined) this.#host.report({ kind: 'blocking-callback', message }, []);
    else
      this.#host.report(
        {
          kind: 'error',
          message: `${message}: ${cause instanceof Error ? `${cause.name}: ${cause.message}` : typeof cause}`,
          cause,
        },
        [],
      );
  }

  /** One more pair, unless it has been seen; a violation if the reverse has. */
  #order(held: string, wanted: string): void {
    let after = this.#graph.get(held);
    if (after === undefined) this.#graph.set(held, (after = new Map<string, LockEdge>()));
    if (after.has(wanted)) return;
    const path = pathOf(this.#graph, wanted, held);
    const edge = { who: this.#host.describe(), schedule: this.#host.schedule() };
    after.set(wanted, edge);
    this.#own.add(edge);
    if (path === null) return;
    const order = path.map(({ from, to, edge: { who } }) => `${who} takes '${to}' with '${from}' held`);
    const message = `${edge.who} takes '${wanted}' with '${held}' held, but ${order.join(', and ')}: some interleaving of the two waits for ever`;
    const others = path.filter((step) => !this.#own.has(step.edge)).map((step) => step.edge.schedule);
    this.#host.report({ kind: 'lock-order', message }, distinct(others));
  }
}

function remove(held: Held[], lock: object): boolean {
  const at = held.findIndex((each) => each.lock === lock);
  if (at < 0) return false;
  held.splice(at, 1);
  return true;
}
