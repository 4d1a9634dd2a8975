/**
 * Rows of the events-*.test.ts, one per fact about mm/: what is done, and which invalidations that sends, over which ranges and in which
 * order. Ranges are relative to BASE, in a 512 GiB slice that holds nothing else.
 */
import type { AddressSpace } from 'node-hmm';
import { expect, it } from 'vitest';
import { bench, record, type Profile } from './support.js';

/** One test. */
export interface Row {
  readonly name: string;
  readonly arrange: (space: AddressSpace) => Promise<unknown>;
  readonly act: (space: AddressSpace) => Promise<unknown>;
  readonly events: readonly string[] | Readonly<Record<Profile, readonly string[]>>;
}

/** No arrangement. */
export const none = async () => undefined;

export function rows(section: string, table: readonly Row[]): void {
  for (const { name, arrange, act, events } of table) {
    it(`${section}: ${name}`, async () => {
      const { space, profile } = await bench();
      await arrange(space);
      const recorder = await record(space);
      await act(space);
      expect(recorder.take()).toEqual(Array.isArray(events) ? events : (events as Record<Profile, string[]>)[profile]);
      // The sequence steps once per outermost event that overlaps a notifier: 3, 5, 7, … after the first insert.
      expect(recorder.sequences).toEqual(recorder.sequences.map((_, index) => 3 + 2 * index));
    });
  }
}
