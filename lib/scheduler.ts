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
   * @param runnable tasks that can go on, ascending by id, never empty
   * @param current the task that made the last step, or null if it has ended or blocked
   * @returns the id of one of `runnable`
   */
  nextTask(runnable: readonly TaskView[], current: TaskView | null): number;
  /** Randomness for whoever needs it inside an execution, so that it is replayed with it. */
  nextU64(): bigint;
}

/** A task as the scheduler sees it. */
export interface TaskView {
  readonly id: number;
  /** What it does, as the operation that started it is called: 'munmap', 'populate', 'hmm_range_fault'. */
  readonly name: string;
  /** The preemption point at which it stands, named for the kernel function: 'mmu_notifier_invalidate_range_start'. */
  readonly at: string;
}
