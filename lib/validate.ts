/**
 * Argument checks of the public API: the wrong type or shape is a TypeError, an impossible number a RangeError, each
 * names the argument and what arrived. What only a kernel could refuse (alignment, holes, permissions) is not checked here.
 */
import { lengthOf } from './array-length.js';

function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return 'a function';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object' && value !== null) return `an instance of ${value.constructor?.name ?? 'Object'}`;
  return String(value);
}

/** A whole number from `least` to `most`, both inclusive; by default what an address, a length or an offset can be. */
export function checkInteger(value: unknown, name: string, least = 0, most = Number.MAX_SAFE_INTEGER): number {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number, not ${shown(value)}`);
  if (!Number.isInteger(value)) throw new RangeError(`${name} must be a whole number, not ${value}`);
  if (value < least || value > most) throw new RangeError(`${name} must be from ${least} to ${most}, not ${value}`);
  return value;
}

/** Address and length of an access or a range: their sum must be exact as a JavaScript number. */
export function checkSpan(start: unknown, length: unknown, startName: string, lengthName: string): void {
  // Nearly always; the rest says what is wrong.
  if (isNumber(start) && isNumber(length) && start >= 0 && length >= 0) {
    if (start <= MOST_START && Math.floor(start) === start && (length | 0) === length) return;
  }
  const end = checkInteger(start, startName) + checkInteger(length, lengthName);
  if (end > Number.MAX_SAFE_INTEGER)
    throw new RangeError(`${startName} + ${lengthName} must be below 2^53, not ${end}`);
}

/** What any 32-bit length can be added to. */
const MOST_START = Number.MAX_SAFE_INTEGER - 2 ** 31;

function isNumber(value: unknown): value is number {
  return typeof value === 'number';
}

/** A C int: flags, protection, advice. Which bits mean anything is the kernel's to say. */
export function checkInt(value: unknown, name: string): number {
  return checkInteger(value, name, -(2 ** 31), 2 ** 31 - 1);
}

/** 64 bits of flags or of an entry. */
export function checkU64(value: unknown, name: string): bigint {
  if (typeof value !== 'bigint') throw new TypeError(`${name} must be a bigint, not ${shown(value)}`);
  if (value < 0n || value > 0xffff_ffff_ffff_ffffn) throw new RangeError(`${name} must be from 0 to 2^64 - 1`);
  return value;
}

/** What an addition modulo 2^64 can be asked to add: a 64-bit number, signed or unsigned. @returns the same modulo 2^64 */
export function checkAddend(value: unknown, name: string): bigint {
  if (typeof value !== 'bigint') throw new TypeError(`${name} must be a bigint, not ${shown(value)}`);
  if (value < -(2n ** 63n) || value >= 2n ** 64n) throw new RangeError(`${name} must be from -2^63 to 2^64 - 1`);
  return BigInt.asUintN(64, value);
}

export function checkBoolean(value: unknown, name: string): boolean {
  if (typeof value !== 'boolean') throw new TypeError(`${name} must be true or false, not ${shown(value)}`);
  return value;
}

export function checkBytes(value: unknown, name: string): Uint8Array {
  if (!(value instanceof Uint8Array)) throw new TypeError(`${name} must be a Uint8Array, not ${shown(value)}`);
  return checkLength(value, name);
}

export function checkEntries(value: unknown, name: string): BigUint64Array {
  if (!(value instanceof BigUint64Array)) throw new TypeError(`${name} must be a BigUint64Array, not ${shown(value)}`);
  return checkLength(value, name);
}

/** @throws {TypeError} also for what only inherits from a typed array */
function checkLength<T extends Uint8Array | BigUint64Array>(array: T, name: string): T {
  const length = lengthOf(array);
  if (array.length !== length) {
    throw new TypeError(`${name} has ${length} elements, and a property 'length' that says ${shown(array.length)}`);
  }
  return array;
}

export function checkArray<T>(value: readonly T[], name: string): readonly T[] {
  if (!Array.isArray(value)) throw new TypeError(`${name} must be an array, not ${shown(value)}`);
  return value as readonly T[];
}

export function checkInstance<T extends object>(
  value: unknown,
  type: abstract new (...args: never[]) => T,
  name: string,
): T {
  if (!(value instanceof type)) throw new TypeError(`${name} must be an instance of ${type.name}, not ${shown(value)}`);
  return value;
}

export function checkOneOf<T extends string>(value: unknown, allowed: readonly T[], name: string): T {
  if (typeof value !== 'string') throw new TypeError(`${name} must be a string, not ${shown(value)}`);
  if (!(allowed as readonly string[]).includes(value)) {
    throw new RangeError(
      `${name} must be one of ${allowed.map((each) => `'${each}'`).join(', ')}, not ${shown(value)}`,
    );
  }
  return value as T;
}

/** An options object: a misspelled key is an error, because a silently ignored option is a wrong answer later. */
export function checkKeys(value: unknown, name: string, allowed: readonly string[]): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TypeError(`${name} must be an object, not ${shown(value)}`);
  }
  for (const key of Object.keys(value)) {
    if (!allowed.includes(key)) {
      throw new TypeError(`${name} has no '${key}'; it takes ${allowed.map((each) => `'${each}'`).join(', ')}`);
    }
  }
  return value as Record<string, unknown>;
}

/** The default for what was left out; null is not left out. */
export function orElse<T>(value: T | undefined, otherwise: T): T {
  return value === undefined ? otherwise : value;
}
