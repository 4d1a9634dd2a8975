/** Choices among what there is, and places in the window. */
import { PAGE, WINDOW_LENGTH } from './program.js';

/** Bytes, relative to the window. */
export interface Range {
  readonly at: number;
  readonly length: number;
}

/** Pages of the window near which things are mapped: block boundaries, the boundary of the GiB, and between them. */
const SPOTS = [1024, 512, 100, 1536, 300, 1024, 700, 1300];

export function chosen<T>(from: readonly T[], choice: number): T | undefined {
  return from[choice % from.length];
}

export function free(slots: ReadonlyMap<number, unknown>, count: number): number | undefined {
  for (let slot = 0; slot < count; slot++) if (!slots.has(slot)) return slot;
  return undefined;
}

/** A byte offset some pages from one of the spots. */
export function spot(choice: number, shift: number): number {
  return (SPOTS[choice % SPOTS.length]! + shift) * PAGE;
}

/** As much of it as lies in the window, and at least a page. */
export function clip(at: number, length: number): Range {
  const start = Math.min(Math.max(at, 0), WINDOW_LENGTH - PAGE);
  return { at: start, length: Math.max(PAGE, Math.min(at + length, WINDOW_LENGTH) - start) };
}
