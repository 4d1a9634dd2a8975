/**
 * Who runs next. All waiting of the simulation (locks, read_begin, callbacks) and all its preemption points go
 * through one Scheduler, so that whoever implements these three questions decides every interleaving.
 * The kernel backend has the machine's own scheduler and takes none.
 */
export interface Scheduler {
  /** A new execution begins. False: there is none left to run. */
  newExecution(): boolean;
  /**
   * Chooses, at every step, the task that makes the next one.
   * @param runnable tasks that can go on, ascending by id, never empty; the array is the engine's own, and changes
   * @param current the task that made the last step, or null if it has ended or blocked
   * @returns the id of one of `runnable`
   */
  nextTask(runnable: readonly TaskView[], current: TaskView | null): number;
  /** Randomness for whoever needs it inside an execution, so that it is replayed with it. */
  nextU64(): bigint;
  /** Told of every step, if it wants to be, when all has been done that the program's own code does in answer to it: before the next question. */
  stepped?(step: StepView): void;
}

/** A task as the scheduler sees it. */
export interface TaskView {
  readonly id: number;
  /** What it does, as the operation that started it is called: 'munmap', 'populate', 'hmm_range_fault'. */
  readonly name: string;
  /** The preemption point at which it stands, named for the kernel function: 'mmu_notifier_invalidate_range_start'. */
  readonly at: string;
  /** Which thread of the program it is done for, by the explorer's count; -1 where nobody counts. */
  readonly thread: number;
  /** The number of the step (the first is 1) that made it runnable: by starting it, or by waking it. 0: it was before the first. */
  readonly since: number;
}

/** A step: what a task did from one preemption point to the next. One object serves all; it holds until the next step. */
export interface StepView {
  readonly task: TaskView;
  /** Where it stood before, and where it stands or sleeps since. */
  readonly from: string;
  readonly to: string;
  readonly outcome: 'runnable' | 'asleep' | 'ended';
  /** A point in the program's own code: nothing of the simulated kernel ran. */
  readonly point: boolean;
  /** Whether code of the program's own ran in it, or runs now in answer to it: a callback, or what awaited the task. */
  readonly host: boolean;
  /** What that code touched of the simulation's without a task (simulation/engine/touch.ts). */
  readonly touched: number;
}
