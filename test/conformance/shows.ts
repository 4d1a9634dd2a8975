/** Programs of the differential test as tests: what the kernel showed of each step stands beside it. */
import { expect, it } from 'vitest';
import { execute } from '../fuzz/execute.js';
import { Origin } from '../fuzz/origin.js';
import { PROGRAM_VERSION, type Step } from '../fuzz/program.js';
import { openTarget, profileOf, type Profile } from './support.js';

type PerProfile<T> = T | Readonly<Record<Profile, T>>;

/** What is done, or END, when every page that was written is read once more; and the lines of the log. */
export type Shown = readonly [step: Step | 'END', lines: PerProfile<readonly string[]>];

export const END = 'END';

/** @param rows up to the last step that matters; with END at last, what is left is looked at, too */
export function shows(name: string, rows: readonly Shown[]): void {
  it(name, async () => {
    const hmm = await openTarget();
    const profile = profileOf(hmm.kernelRelease);
    const steps = rows.flatMap(([step]) => (step === END ? [] : [step]));
    const { log } = await execute(await Origin.create(hmm), { version: PROGRAM_VERSION, steps });
    const expected = rows.map(([, lines]) => ('6.1' in lines ? lines[profile] : lines));
    expect(log.slice(0, rows.length)).toEqual(expected);
  });
}
