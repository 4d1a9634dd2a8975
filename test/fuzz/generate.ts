import fc from 'fast-check';
import { sketches } from './arbitraries.js';
import type { Program } from './program.js';
import { resolve, type Capabilities } from './resolve.js';

/** Some drafts find nothing to work on and give no step, so there are more of them. */
const SPARE = 12;

const arbitraries = new Map<number, ReturnType<typeof sketches>>();

/** Program `index` of `seed`: the same whoever asks for it, and whichever others are asked for. */
export function programOf(seed: number, index: number, length: number, capabilities: Capabilities): Program {
  let arbitrary = arbitraries.get(length);
  if (arbitrary === undefined) arbitraries.set(length, (arbitrary = sketches(length + SPARE)));
  const [sketch] = fc.sample(arbitrary, { seed: subSeed(seed, index), numRuns: 1 });
  return resolve(sketch!, capabilities, length);
}

/** Mixes two numbers into one of 32 bits, so that neighbours have nothing in common (the finaliser of MurmurHash3). */
function subSeed(seed: number, index: number): number {
  let hash = Math.imul(seed, 0x9e37_79b1) ^ Math.imul(index + 1, 0x85eb_ca77);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return hash ^ (hash >>> 16);
}
