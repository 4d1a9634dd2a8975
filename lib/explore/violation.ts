/** What a driver can do wrong, as the explorer tells it. */

export type ViolationKind =
  /** A valid entry of a device names a page that the process has not there any more, or allows more than the process's own entry. */
  | 'stale-entry'
  /** An invalidate callback returned, and the device still has entries of the range. */
  | 'unfinished-invalidate'
  /** A callback waited although the invalidation was not blockable, or refused one that was. */
  | 'blocking-callback'
  /** Two locks are taken in both orders. */
  | 'lock-order'
  | 'deadlock'
  | 'livelock'
  /** The scenario threw, or one of its tasks: its own checks, or an error that it did not expect. */
  | 'error';

export interface Violation {
  readonly kind: ViolationKind;
  /** In a driver author's words. */
  readonly message: string;
  /** Of 'error': what was thrown. */
  readonly cause?: unknown;
}

/** Thrown by what watches an execution, to end it. */
export class ViolationError extends Error {
  constructor(readonly violation: Violation) {
    super(violation.message);
  }
}

export function violation(kind: ViolationKind, message: string): ViolationError {
  return new ViolationError({ kind, message });
}

/** In one line. */
export function describeViolation({ kind, message }: Violation): string {
  return `${kind}: ${message}`;
}

export function hex(address: number): string {
  return `0x${address.toString(16)}`;
}
