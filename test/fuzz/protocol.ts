/** What the host of a campaign and its guest say to each other. */
import type { SimulatedDevice } from 'node-hmm';
import type { Log, Numbered } from './program.js';

export type ToGuest = { readonly kind: 'programs'; readonly programs: readonly Numbered[] } | { readonly kind: 'end' };

export interface Machine {
  /** uname -r. */
  readonly release: string;
  /** The stable release that it was built from: 6.1.176. Recordings of before it was told have none. */
  readonly version?: string;
  readonly devices: readonly SimulatedDevice[];
  /** Whether the kernel has device-exclusive entries. */
  readonly exclusive: boolean;
}

export type FromGuest =
  | ({ readonly kind: 'ready' } & Machine)
  | { readonly kind: 'begin'; readonly index: number }
  | { readonly kind: 'result'; readonly index: number; readonly log: Log; readonly milliseconds: number };
