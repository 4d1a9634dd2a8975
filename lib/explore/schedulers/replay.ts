/** Executions by their schedules, one after the other. */
import { ScheduleMismatchError } from '../errors.js';
import { defaultChoice } from '../choice.js';
import type { Schedule } from '../schedule.js';
import type { Scheduler, TaskView } from '../../scheduler.js';

const NOTHING: Schedule = { departures: [], random: [] };

export class ReplayScheduler implements Scheduler {
  readonly #schedules: readonly Schedule[];
  #made = 0;
  #schedule: Schedule = NOTHING;
  #departure = 0;
  #gap = 0;
  #drawn = 0;
  #thread = -1;

  constructor(schedules: readonly Schedule[]) {
    this.#schedules = schedules;
  }

  newExecution(): boolean {
    this.checkUsedUp();
    const next = this.#schedules[this.#made];
    if (next === undefined) return false;
    this.#made++;
    this.#schedule = next;
    this.#departure = 0;
    this.#gap = 0;
    this.#drawn = 0;
    this.#thread = -1;
    return true;
  }

  nextTask(runnable: readonly TaskView[], current: TaskView | null): number {
    let index = defaultChoice(runnable, current, this.#thread);
    const next = this.#schedule.departures[this.#departure];
    if (runnable.length > 1 && next !== undefined) {
      if (this.#gap === next.gap) {
        if (next.index >= runnable.length) {
          throw new ScheduleMismatchError(
            `the schedule takes task ${next.index} where ${runnable.length} can go on: it is of another scenario`,
          );
        }
        index = next.index;
        this.#departure++;
        this.#gap = 0;
      } else {
        this.#gap++;
      }
    }
    const task = runnable[index]!;
    this.#thread = task.thread;
    return task.id;
  }

  nextU64(): bigint {
    const value = this.#schedule.random[this.#drawn++];
    if (value === undefined) {
      throw new ScheduleMismatchError(
        'the scenario draws more random numbers than the schedule has: it is of another scenario',
      );
    }
    return value;
  }

  /** Throws if a part of the schedule was never come to. */
  checkUsedUp(): void {
    const { departures, random } = this.#schedule;
    if (this.#departure < departures.length || this.#drawn < random.length) {
      throw new ScheduleMismatchError('the execution ended before the schedule did: it is of another scenario');
    }
  }
}
