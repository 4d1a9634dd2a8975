import { ENTRY_EXCLUSIVE } from './backend.js';

/** ENTRY_EXCLUSIVE in the upper word of an entry, the second one: every machine with HMM is little-endian, and every browser's. */
const EXCLUSIVE_HIGH = Number(ENTRY_EXCLUSIVE >> 32n);

/**
 * Entries of a device page table as entries of a range are: without ENTRY_EXCLUSIVE, which lies where the order of a page is, and
 * would be taken for one. In place; by words, because arithmetic of bigints takes twenty times as long.
 */
export function withoutExclusive(entries: BigUint64Array): BigUint64Array {
  const words = new Int32Array(entries.buffer, entries.byteOffset, 2 * entries.length);
  for (let at = 1; at < words.length; at += 2) if ((words[at]! & EXCLUSIVE_HIGH) !== 0) words[at]! &= ~EXCLUSIVE_HIGH;
  return entries;
}
