/** Writes down what a scheduler chooses: a number for each choice, of which the schedule is made only when somebody asks for it. */
import type { Departure, Schedule } from './schedule.js';
import type { TaskView } from '../scheduler.js';

/** The default was taken (choice.ts). */
const DEFAULT = -1;

export class Recorder {
  /** Times that a task was kept from going on so that another could. */
  preemptions = 0;
  /** Where two or more could go on: the index that was taken, or DEFAULT. */
  readonly #choices: number[] = [];
  readonly #random: bigint[] = [];
  #thread = -1;

  /** Whose step the last one was; -1 before the first. */
  get thread(): number {
    return this.#thread;
  }

  /** In one pass what defaultChoice() and preempts() say: it is done for every step of every execution. */
  chose(runnable: readonly TaskView[], current: TaskView | null, id: number): void {
    const count = runnable.length;
    if (count === 1) {
      this.#thread = runnable[0]!.thread;
      return;
    }
    let chosen = -1;
    let goesOn = -1;
    let sameThread = -1;
    for (let index = 0; index < count; index++) {
      const task = runnable[index]!;
      if (task.id === id) chosen = index;
      if (task === current) goesOn = index;
      if (sameThread < 0 && task.thread === this.#thread) sameThread = index;
    }
    // The engine tells who answered what is not there.
    if (chosen < 0) return;
    const otherwise = goesOn >= 0 ? goesOn : sameThread >= 0 ? sameThread : 0;
    this.#choices.push(chosen === otherwise ? DEFAULT : chosen);
    const { thread } = runnable[chosen]!;
    if (sameThread >= 0 && thread !== this.#thread) this.preemptions++;
    this.#thread = thread;
  }

  drew(value: bigint): void {
    this.#random.push(value);
  }

  get schedule(): Schedule {
    const departures: Departure[] = [];
    let gap = 0;
    for (const choice of this.#choices) {
      if (choice === DEFAULT) {
        gap++;
        continue;
      }
      departures.push({ gap, index: choice });
      gap = 0;
    }
    return { departures, random: this.#random };
  }
}
