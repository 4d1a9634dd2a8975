/** The choice that costs nothing: whoever went last goes on. Schedules are written down as what departs from it. */
import type { TaskView } from '../scheduler.js';

/**
 * The index of the task that the default takes: the current one, else one of the same thread, else the first.
 * @param thread whose step the last one was
 */
export function defaultChoice(runnable: readonly TaskView[], current: TaskView | null, thread: number): number {
  let same = -1;
  for (let index = 0; index < runnable.length; index++) {
    const task = runnable[index]!;
    if (task === current) return index;
    if (same < 0 && task.thread === thread) same = index;
  }
  return same < 0 ? 0 : same;
}

/** Whether choosing `task` takes the processor from a thread that could have gone on. */
export function preempts(runnable: readonly TaskView[], task: TaskView, thread: number): boolean {
  if (task.thread === thread) return false;
  return runnable.some((other) => other.thread === thread);
}
