import type { Backend, BackendAddressSpace } from './backend.js';
import { HmmError } from './errors.js';
import type { LoopShare } from './loop-share.js';

/**
 * What the objects of one Hmm share: the backend, and whether it is still open. An object of one session is refused by
 * another, so that a backend never meets a handle that it did not make.
 */
export interface Session {
  readonly backend: Backend;
  readonly share: LoopShare;
  closed: boolean;
}

/** Under these the public objects keep what only this library may touch. */
export const SESSION = Symbol('node-hmm session');
export const BACKEND = Symbol('node-hmm backend');

/** What an object of the public API offers to the others here. */
export interface OfSession {
  /** @internal */
  readonly [SESSION]: Session;
}

/** An address space as Device sees it: its backend, if it has not been closed (else ERR_HMM_CLOSED). */
export interface SpaceHandle extends OfSession {
  /** @internal */
  [BACKEND](syscall: string): BackendAddressSpace;
  /** True once it, or its Hmm, is being closed. */
  readonly closed: boolean;
}

export function checkSession(session: Session, object: OfSession, name: string): void {
  if (object[SESSION] !== session) throw new TypeError(`${name} belongs to another Hmm`);
}

export function closedError(what: string, syscall: string): HmmError {
  return new HmmError('ERR_HMM_CLOSED', syscall, `the ${what} has been closed`);
}
