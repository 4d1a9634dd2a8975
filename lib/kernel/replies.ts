/** What the addon's answers are in TypeScript: results, and errors with the place where they happened. */
import { lengthOf } from '../array-length.js';
import type { MirrorPages, PopulateResult } from '../backend.js';
import { ERRNO, errorOfErrno, type HmmError } from '../errors.js';
import { DEVICE_ACCESS, PAGES, POPULATE, getNumber } from './abi.js';

/** For bytes that are all written before anybody sees them: clearing them first would take as long as reading them. */
export function uninitialized(length: number): Uint8Array {
  const { buffer, byteOffset } = Buffer.allocUnsafeSlow(length);
  return new Uint8Array(buffer, byteOffset, length);
}

export function prefix(bytes: Uint8Array, length: number): Uint8Array {
  return lengthOf(bytes) === length ? bytes : bytes.subarray(0, length);
}

export function check(errno: number | undefined, syscall: string): void {
  if (errno !== undefined && errno !== 0) throw errorOfErrno(errno, syscall);
}

export function populated(words: Uint32Array): PopulateResult {
  return { pages: getNumber(words, POPULATE.pages), retries: getNumber(words, POPULATE.retries) };
}

/** What queryAsync(true) leaves in its reply's memory. */
export function asPages([pfns, entries, locations]: readonly ArrayBuffer[]): MirrorPages {
  return {
    pfns: new BigUint64Array(pfns!),
    entries: new BigUint64Array(entries!),
    locations: new Uint8Array(locations!),
  };
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

/** For what works page by page over [start, end): the page at which it ended, and how many were done by then. */
export function pagesError(errno: number, syscall: string, request: Uint32Array): HmmError {
  const done = getNumber(request, PAGES.pages);
  const address = getNumber(request, PAGES.address);
  // EINVAL is also for arguments that make no sense, and then no page has failed.
  const inside = address >= getNumber(request, PAGES.start) && address < getNumber(request, PAGES.end);
  const located = inside && (errno === ERRNO.EFAULT || errno === ERRNO.EINVAL);
  return errorOfErrno(errno, syscall, located ? { address, done } : done > 0 ? { done } : {});
}
