/**
 * Depth-first search over all schedules: each execution repeats a prefix of the one before and departs from it at its last open choice.
 *
 * With the reduction, one schedule of each Mazurkiewicz trace is enough, for executions that differ only in the order of independent steps (dependency.ts)
 * pass the same states. Which choices are worth opening the executions tell: source-set DPOR (Abdulla, Aronis, Jonsson, Sagonas: "Optimal dynamic partial
 * order reduction", POPL 2014, its first algorithm), together with sleep sets (Godefroid). It needs that a task that can go on stays able to
 * until it does, which holds here: what waits for a lock is asleep, and taken up by the step that releases it.
 */
import { defaultChoice, preempts } from '../choice.js';
import { dependent, footprint, type Footprint } from '../dependency.js';
import { NondeterminismError } from '../errors.js';
import type { Scheduler, StepView, TaskView } from '../../scheduler.js';

/** Every task that could go on is asleep in the sense of sleep sets: all that follows has been seen. */
export class RedundantExecution extends Error {}

interface Node {
  /** Tasks that could go on, ascending. */
  readonly ids: number[];
  /** Where they stood, for whoever has to be told that the prefix was not repeated as it was. */
  readonly points: readonly string[];
  /** Of those, by index: to be explored, and explored or being so. */
  backtrack: number;
  done: number;
  /** Not worth beginning with: id and what its next step touches. */
  readonly sleep: Map<number, Footprint>;
  chosen: number;
  /** What the step that was chosen touched. */
  footprint: Footprint;
  /** The step that made the chosen task runnable, 0 for none. */
  since: number;
  /** Steps that happen before this one: bits, 30 a word. */
  before: number[];
  readonly preemptions: number;
  /** Cost of choosing each, with a bound on preemptions; else 0. */
  readonly costs: number;
}

export interface ExhaustiveOptions {
  /** Default true. Not sound together with a bound on preemptions, and refused with it. */
  readonly reduction?: boolean;
  /** Default: none. */
  readonly maxPreemptions?: number;
  /**
   * A part of the space: all executions that begin so.
   * @internal
   */
  readonly prefix?: Prefix;
}

export interface Prefix {
  /** By index among the runnable tasks, step by step. */
  readonly choices: readonly number[];
  /** The sleep set after them: what other parts have. Pairs of task id and what its next step touches. */
  readonly sleep: readonly (readonly [number, Footprint])[];
}

const WHOLE: Prefix = { choices: [], sleep: [] };

const WORD = 30;

export class ExhaustiveScheduler implements Scheduler {
  readonly #reduction: boolean;
  readonly #bound: number;
  readonly #prefix: Prefix;
  readonly #stack: Node[] = [];
  #depth = 0;
  #started = false;
  #thread = -1;
  /** Choices that the bound left out. */
  bounded = 0;

  // A pattern among the parameters would stand in the types, with the name that is internal.
  constructor(options: ExhaustiveOptions = {}) {
    const { reduction = true, maxPreemptions = Infinity, prefix = WHOLE } = options;
    if (reduction && maxPreemptions !== Infinity) {
      throw new RangeError('a bound on preemptions and the reduction do not go together: reduction must be false');
    }
    this.#reduction = reduction;
    this.#bound = maxPreemptions;
    this.#prefix = prefix;
  }

  newExecution(): boolean {
    this.#depth = 0;
    this.#thread = -1;
    if (!this.#started) {
      this.#started = true;
      return true;
    }
    while (this.#stack.length > this.#prefix.choices.length) {
      const node = this.#stack[this.#stack.length - 1]!;
      const next = this.#nextOpen(node);
      if (next >= 0) {
        node.chosen = next;
        node.done |= 1 << next;
        return true;
      }
      this.#stack.pop();
    }
    return false;
  }

  nextTask(runnable: readonly TaskView[], current: TaskView | null): number {
    const depth = this.#depth++;
    const known = this.#stack[depth];
    if (known !== undefined) {
      if (!sameTasks(known, runnable))
        throw new NondeterminismError(depth, known.points.join(', '), runnable.map(({ at }) => at).join(', '));
      const task = runnable[known.chosen]!;
      known.since = task.since;
      this.#thread = task.thread;
      return task.id;
    }
    const node = this.#newNode(depth, runnable, current);
    this.#stack.push(node);
    const task = runnable[node.chosen]!;
    node.since = task.since;
    this.#thread = task.thread;
    return task.id;
  }

  nextU64(): bigint {
    return 0n;
  }

  stepped(step: StepView): void {
    if (!this.#reduction) return;
    const node = this.#stack[this.#depth - 1]!;
    node.footprint = footprint(step);
    // Of a prefix that is repeated everything but the last step has been judged before.
    if (this.#depth === this.#stack.length) this.#races(this.#depth - 1);
  }

  /**
   * Of the execution that was made last: the tasks that could go on at a step, by id, and what the step that was chosen
   * touched. Null: it ended before.
   * @internal
   */
  at(step: number): { readonly ids: readonly number[]; readonly footprint: Footprint } | null {
    return this.#stack[step] ?? null;
  }

  #newNode(depth: number, runnable: readonly TaskView[], current: TaskView | null): Node {
    if (runnable.length > WORD) throw new RangeError(`${runnable.length} tasks can go on at once; ${WORD} is the most`);
    const parent = this.#stack[depth - 1];
    const sleep = depth === this.#prefix.choices.length ? new Map(this.#prefix.sleep) : this.#inheritedSleep(parent);
    const preferred = defaultChoice(runnable, current, this.#thread);
    let costs = 0;
    let preemptions = 0;
    if (this.#bound !== Infinity) {
      preemptions = parent === undefined ? 0 : parent.preemptions + ((parent.costs >> parent.chosen) & 1);
      for (let index = 0; index < runnable.length; index++) {
        if (preempts(runnable, runnable[index]!, this.#thread)) costs |= 1 << index;
      }
    }
    let chosen = preferred;
    const fixed = this.#prefix.choices[depth];
    if (fixed !== undefined) {
      if (fixed >= runnable.length)
        throw new RangeError(`the prefix chooses task ${fixed} of ${runnable.length} at step ${depth}`);
      chosen = fixed;
    } else if (sleep.has(runnable[chosen]!.id)) {
      chosen = runnable.findIndex((task) => !sleep.has(task.id));
      if (chosen < 0) throw new RedundantExecution();
    }
    const all = (1 << runnable.length) - 1;
    return {
      ids: runnable.map((task) => task.id),
      points: runnable.map(({ at }) => at),
      backtrack: fixed !== undefined || this.#reduction ? 1 << chosen : all,
      done: 1 << chosen,
      sleep,
      chosen,
      footprint: 0,
      since: 0,
      before: [],
      preemptions,
      costs,
    };
  }

  /** The sleep set of the node after `parent`: what slept there or was explored there before, and does not mind the step. */
  #inheritedSleep(parent: Node | undefined): Map<number, Footprint> {
    const sleep = new Map<number, Footprint>();
    if (parent === undefined || !this.#reduction) return sleep;
    const mover = parent.ids[parent.chosen];
    for (const [id, touched] of parent.sleep) {
      if (id !== mover && !dependent(touched, parent.footprint)) sleep.set(id, touched);
    }
    return sleep;
  }

  /** The next choice of the node to explore, or -1. What has been explored goes to sleep. */
  #nextOpen(node: Node): number {
    if (this.#reduction) node.sleep.set(node.ids[node.chosen]!, node.footprint);
    for (let index = 0; index < node.ids.length; index++) {
      const bit = 1 << index;
      if ((node.backtrack & bit) === 0 || (node.done & bit) !== 0) continue;
      if (this.#reduction && node.sleep.has(node.ids[index]!)) continue;
      if (node.preemptions + ((node.costs >> index) & 1) > this.#bound) {
        node.done |= bit;
        this.bounded++;
        continue;
      }
      return index;
    }
    return -1;
  }

  /**
   * What happens before the last step, and with which earlier ones it races: next to each other in the order of what happens before what, though neither
   * made the other's task runnable. For each race some step that could have come first in its place must be tried there.
   */
  #races(last: number): void {
    const stack = this.#stack;
    const node = stack[last]!;
    const id = node.ids[node.chosen]!;
    const before: number[] = [];
    const races: number[] = [];
    for (let earlier = last - 1; earlier >= 0; earlier--) {
      if (has(before, earlier)) continue;
      const other = stack[earlier]!;
      const mine = other.ids[other.chosen] === id || node.since === earlier + 1;
      if (!mine && !dependent(other.footprint, node.footprint)) continue;
      add(before, earlier);
      for (let word = 0; word < other.before.length; word++) before[word] = (before[word] ?? 0) | other.before[word]!;
      if (!mine) races.push(earlier);
    }
    node.before = before;
    for (const earlier of races) this.#reverse(earlier, last);
  }

  #reverse(earlier: number, last: number): void {
    if (earlier < this.#prefix.choices.length) return;
    const stack = this.#stack;
    const node = stack[earlier]!;
    // Tasks of the steps that do not happen after `earlier`, and could come first of those.
    const steps: number[] = [];
    let initials = 0;
    let wanted = -1;
    for (let at = earlier + 1; at <= last; at++) {
      const step = stack[at]!;
      if (at < last && has(step.before, earlier)) continue;
      if (!steps.some((each) => has(step.before, each))) {
        const index = node.ids.indexOf(step.ids[step.chosen]!);
        if (index >= 0) {
          initials |= 1 << index;
          wanted = index;
        }
      }
      steps.push(at);
    }
    if (initials === 0) {
      // Cannot be, as long as no step disables another; if it ever is, everything is tried.
      node.backtrack = (1 << node.ids.length) - 1;
    } else if ((node.backtrack & initials) === 0) {
      node.backtrack |= 1 << wanted;
    }
  }
}

function has(bits: readonly number[], index: number): boolean {
  return (((bits[Math.floor(index / WORD)] ?? 0) >> (index % WORD)) & 1) === 1;
}

function add(bits: number[], index: number): void {
  const word = Math.floor(index / WORD);
  while (bits.length <= word) bits.push(0);
  bits[word]! |= 1 << (index % WORD);
}

function sameTasks({ ids, points }: Node, runnable: readonly TaskView[]): boolean {
  if (ids.length !== runnable.length) return false;
  for (let index = 0; index < ids.length; index++) {
    const task = runnable[index]!;
    if (ids[index] !== task.id || points[index] !== task.at) return false;
  }
  return true;
}
