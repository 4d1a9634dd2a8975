/** What is wrong with a scenario itself, rather than with the driver in it. */

/** The same choices led elsewhere: something in the scenario depends on more than the schedule. */
export class NondeterminismError extends Error {
  override readonly name: string = 'NondeterminismError';

  constructor(step: number, before: string, now: string) {
    super(
      `the scenario is not deterministic: after the same ${step} choices these could go on: ${before}; and now: ${now}. ` +
        'A scenario must make all it uses anew each time, and depend on nothing but its calls of the library.',
    );
  }
}

/** The scenario used what the explorer cannot order or repeat: a timer, a clock, randomness, I/O. */
export class ForbiddenError extends Error {
  override readonly name: string = 'ForbiddenError';
}

/** The schedule does not fit what the scenario does: it was written for another scenario, or another version of it. */
export class ScheduleMismatchError extends Error {
  override readonly name: string = 'ScheduleMismatchError';
}
