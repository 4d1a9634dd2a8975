import type { LegOutput, LegResult } from './report.js';

/**
 * How much of itself a leg runs. 'main': what `npm test` has time for. 'short': all legs run, so each leaves out what another
 * leg covers. 'all': the leg's kernel was asked for by name.
 */
export type Extent = 'main' | 'short' | 'all';

/** What a leg is given to run with. */
export interface LegContext {
  readonly output: LegOutput;
  readonly extent: Extent;
  /** To be called with the release (uname -r) of each kernel that the leg boots. */
  readonly booted: (kernelRelease: string) => void;
}

/** A part of the tests that runs, ends and is reported by itself. */
export interface Leg {
  readonly name: string;
  /** The kernel that it boots, from KERNELS; undefined: it boots none. */
  readonly kernel?: string;
  /** Whether it is a part of `npm test`; the others are run by `npm test -- --all`. */
  readonly main: boolean;
  run(context: LegContext): Promise<LegResult>;
}
