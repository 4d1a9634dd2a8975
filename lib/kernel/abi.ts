/**
 * kernel-module/uapi/hmm_mirror.h, for TypeScript. A test compares every number here with what the C++ compiler makes
 * of the header (Addon.layout).
 */

export const ABI_VERSION = 2;
export const MAX_DEVICES = 8;
export const NO_DEVICE = 0xffff_ffff;

export const DEVICE_KINDS = ['none', 'private', 'coherent'] as const;

export const FEATURE_DEVICE_PRIVATE = 1 << 0;
export const FEATURE_DEVICE_COHERENT = 1 << 1;
export const FEATURE_EXCLUSIVE = 1 << 2;
export const FEATURE_TRANSPARENT_HUGE_PAGES = 1 << 3;
export const FEATURE_HUGETLB = 1 << 4;

export const WRITABLE = 1 << 1;
export const SNAPSHOT = 1 << 2;
export const NOTIFIER_SYNC = 1 << 3;
export const NOTIFIER_EVENTS = 1 << 4;
export const NOTIFIER_PAGE_TABLE = 1 << 5;

/** By value: enum mmu_notifier_event. */
export const EVENT_NAMES = [
  'unmap',
  'clear',
  'protection-vma',
  'protection-page',
  'soft-dirty',
  'release',
  'migrate',
  'exclusive',
] as const;

export const EVENT_BLOCKABLE = 1 << 0;
export const EVENT_TIMED_OUT = 1 << 1;
export const EVENT_NOT_AWAITED = 1 << 2;

/*
 * Where the fields are, in 32-bit words. A 64-bit field is two of them, the low one first (x86-64 and arm64 are
 * little-endian; nothing else has HMM).
 */
export const INFO = {
  abiVersion: 0,
  features: 1,
  pageShift: 2,
  callbackTimeout: 4,
  deviceCount: 6,
  devices: 8,
  words: 56,
} as const;
export const DEVICE_INFO = { kind: 0, capacity: 2, used: 4, words: 6 } as const;

export const INSERT = { start: 0, length: 2, flags: 4, device: 5, timeout: 6, id: 7 } as const;
/** Requests about a notifier begin with these two, HMM_MIRROR_DEVICE_* and HMM_MIRROR_EVICT with the device in place of the id. */
export const HEAD = { id: 0, flags: 1 } as const;
export const SEQUENCE = { sequence: 2, retry: 4, reserved: 5 } as const;
export const RANGE = {
  start: 2,
  end: 4,
  sequence: 6,
  defaultFlags: 8,
  pfnFlagsMask: 10,
  owner: 14,
  reserved: 15,
} as const;
export const POPULATE = { start: 2, end: 4, pages: 6, retries: 8 } as const;
export const ACCESS = { address: 2, length: 4, buffer: 6, done: 8 } as const;
/** The argument of readBound() is doubles, not words. */
export const ACCESS_BOUND = { id: 0, address: 1, length: 2, offset: 3, done: 4 } as const;
export const QUERY = { start: 2, end: 4 } as const;
export const PAGES = { start: 2, end: 4, pages: 6, address: 8, retries: 10 } as const;
export const ATOMIC = { address: 2, value: 4, old: 6, retries: 8 } as const;
export const EVICT = { pages: 2 } as const;
export const DEVICE_ACCESS = { address: 2, length: 4, done: 10, staleAddress: 12 } as const;
export const ACK = { ticket: 0, result: 2, reserved: 3 } as const;

export const EVENT = {
  ticket: 0,
  start: 2,
  end: 4,
  sequence: 6,
  timestamp: 8,
  notifier: 10,
  event: 11,
  flags: 12,
  owner: 13,
  lost: 15,
  words: 16,
} as const;

const HIGH = 2 ** 32;
const LOW = 0xffff_ffffn;

/** Writes a non-negative integer below 2^53 as a 64-bit field. */
export function putNumber(words: Uint32Array, at: number, value: number): void {
  words[at] = value;
  words[at + 1] = value / HIGH;
}

/** Writes a bigint from 0 to 2^64 - 1 as a 64-bit field. */
export function putBigint(words: Uint32Array, at: number, value: bigint): void {
  words[at] = Number(value & LOW);
  words[at + 1] = Number(value >> 32n);
}

export function getBigint(words: Uint32Array, at: number): bigint {
  return (BigInt(words[at + 1]!) << 32n) | BigInt(words[at]!);
}

/** A 64-bit field as a number: exact below 2^53, else rounded as JavaScript rounds. */
export function getNumber(words: Uint32Array, at: number): number {
  return words[at + 1]! * HIGH + words[at]!;
}
