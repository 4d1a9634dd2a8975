/** What the addon's answers are in TypeScript: results, and errors with the place where they happened. */
import type { MaybePromise, MirrorPages, PopulateResult } from '../backend.js';
import { ERRNO, errorOfErrno, type HmmError } from '../errors.js';
import { DEVICE_ACCESS, POPULATE, getNumber } from './abi.js';

/** For bytes that are all written before anybody sees them: clearing them first would take as long as reading them. */
export function uninitialized(length: number): Uint8Array {
  const { buffer, byteOffset } = Buffer.allocUnsafeSlow(length);
  return new Uint8Array(buffer, byteOffset, length);
}

export function prefix(bytes: Uint8Array, length: number): Uint8Array {
  return bytes.length === length ? bytes : bytes.subarray(0, length);
}

export function check(errno: number | undefined, syscall: string): void {
  if (errno !== undefined && errno !== 0) throw errorOfErrno(errno, syscall);
}

export function populated(words: Uint32Array): PopulateResult {
  return { pages: getNumber(words, POPULATE.pages), retries: getNumber(words, POPULATE.retries) };
}

export function asPages([pfns, entries]: BigUint64Array[]): MirrorPages {
  return { pfns: pfns!, entries: entries! };
}

export function isPromise<T>(value: MaybePromise<T>): value is Promise<T> {
  return value instanceof Promise;
}

/** The first byte that was not moved is the one that could not be. */
export function accessError(errno: number, syscall: string, address: number, done: number): HmmError {
  const located = errno === ERRNO.EFAULT || errno === ERRNO.EPERM;
  return errorOfErrno(errno, syscall, located ? { address: address + done, done } : { done });
}

export function deviceError(errno: number, syscall: string, address: number, request: Uint32Array): HmmError {
  const done = getNumber(request, DEVICE_ACCESS.done);
  if (errno !== ERRNO.ESTALE) return accessError(errno, syscall, address, done);
  return errorOfErrno(errno, syscall, { address: getNumber(request, DEVICE_ACCESS.staleAddress), done });
}
