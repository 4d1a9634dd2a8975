/** The same failure with fewer preemptions: the bounds 0, 1, 2, … are exhausted in turn, so the first schedule that fails is one of the fewest. */
import { ExhaustiveScheduler } from './schedulers/exhaustive.js';
import type { Schedule } from './schedule.js';
import type { Search } from './search.js';
import type { ViolationKind } from './violation.js';

/** Steps that may be spent on it, all bounds together. */
const STEPS = 400_000;

export interface Minimised {
  readonly schedule: Schedule;
  readonly before: readonly Schedule[];
  readonly minimal: boolean;
}

/** @param found of the failure that is known, with its number of preemptions */
export async function minimise(
  search: Search,
  kind: ViolationKind,
  found: { readonly schedule: Schedule; readonly before: readonly Schedule[]; readonly preemptions: number },
): Promise<Minimised> {
  let steps = 0;
  for (let bound = 0; bound < found.preemptions; bound++) {
    let better: Minimised | null = null;
    await search.run(
      () => new ExhaustiveScheduler({ reduction: false, maxPreemptions: bound }),
      ({ execution, end }) => {
        steps += execution.steps;
        if (end.kind === 'failed' && end.violation.kind === kind) {
          better = { schedule: execution.schedule, before: execution.before, minimal: true };
        }
        return better === null && steps < STEPS;
      },
    );
    if (better !== null) return better;
    if (steps >= STEPS) return { ...found, minimal: false };
  }
  return { ...found, minimal: true };
}
