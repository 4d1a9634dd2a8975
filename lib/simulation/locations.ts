/** Where pages are, by their frames. */
import { HIGH_VALID, highWord, lowWord } from './page-table.js';
import { LOCATION_DEVICE, LOCATION_SYSTEM, LOCATION_ZERO } from '../backend.js';
import { ZERO_FRAME } from './frames.js';
import type { Frames } from './frames.js';

/** LOCATION_* of what a walk found; LOCATION_NONE, which is 0, where that is not valid. */
export function locationsOf(frames: Frames, pfns: BigUint64Array): Uint8Array {
  const words = new Int32Array(pfns.buffer, pfns.byteOffset, pfns.length * 2);
  const locations = new Uint8Array(pfns.length);
  const { zone } = frames;
  for (let index = 0; index < pfns.length; index++) {
    if ((words[highWord(index)]! & HIGH_VALID) === 0) continue;
    const frame = words[lowWord(index)]!;
    const owner = zone[frame]!;
    locations[index] =
      owner !== 0 ? LOCATION_DEVICE + owner - 1 : frame === ZERO_FRAME ? LOCATION_ZERO : LOCATION_SYSTEM;
  }
  return locations;
}
