/** What happened in one execution, step by step: recorded when it is replayed, not when thousands are searched. */
import type { Oracle } from './oracle.js';
import type { StepView } from '../scheduler.js';

export interface TraceStep {
  /** From 1. */
  readonly number: number;
  /** The task of the scenario, by its name; 'setup' for what the scenario itself does. */
  readonly task: string;
  /** The operation: 'munmap'. */
  readonly operation: string;
  /** The preemption point that the step began at: 'mmu_notifier_invalidate_range_start'. */
  readonly at: string;
  readonly outcome: 'runnable' | 'asleep' | 'ended';
  /** Where it sleeps, if it does. */
  readonly sleepsAt: string | null;
  /** What changed on either side: 'process 0x7000: none (was frame 5, writable)'. */
  readonly changes: readonly string[];
}

export class Trace {
  readonly steps: TraceStep[] = [];
  readonly #oracle: Oracle;
  readonly #state = new Map<string, string>();

  constructor(oracle: Oracle) {
    this.#oracle = oracle;
  }

  add(step: StepView, task: string): void {
    this.steps.push({
      number: this.steps.length + 1,
      task,
      operation: step.task.name,
      at: step.from,
      outcome: step.outcome,
      sleepsAt: step.outcome === 'asleep' ? step.to : null,
      changes: this.#changes(),
    });
  }

  /** Takes the state as it is, before the first step. */
  begin(): void {
    this.#changes();
  }

  #changes(): string[] {
    const changes: string[] = [];
    for (const { key, text } of this.#oracle.states()) {
      const before = this.#state.get(key);
      if (before === text) continue;
      this.#state.set(key, text);
      if (before !== undefined) changes.push(`${key}: ${text} (was ${before})`);
      else if (text !== 'none') changes.push(`${key}: ${text}`);
    }
    return changes;
  }
}
