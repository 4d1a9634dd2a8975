/**
 * Linux error numbers (include/uapi/asm-generic/errno-base.h, errno.h) that the kernel, the module or the
 * simulation of it answer with. Kept here rather than taken from node:os, because the numbers must be
 * Linux's on every system and the simulation imports no Node module.
 */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  EMFILE: 24,
  ENOTTY: 25,
  ETXTBSY: 26,
  EFBIG: 27,
  ENOSPC: 28,
  ENOSYS: 38,
  EOVERFLOW: 75,
  EOPNOTSUPP: 95,
  ENOTCONN: 107,
  ETIMEDOUT: 110,
  ESTALE: 116,
} as const;

export type ErrnoCode = keyof typeof ERRNO;

/** Codes of this library's own, for what no system call refused. Their `errno` is 0. */
export type LibraryErrorCode =
  /** The object, or what it belongs to, has been closed or removed by its user. */
  | 'ERR_HMM_CLOSED'
  /** `backend: 'kernel'` was asked for and the module is not there, or speaks another ABI. */
  | 'ERR_HMM_NO_KERNEL'
  /** An `invalidate()` callback threw or rejected; the reason is in `cause`. */
  | 'ERR_HMM_CALLBACK'
  /** The simulation does not model this; the kernel may well do it. */
  | 'ERR_HMM_NOT_MODELLED';

export type HmmErrorCode = ErrnoCode | LibraryErrorCode;

export interface HmmErrorDetails {
  /** First byte that could not be accessed, or page address of a stale entry. */
  address?: number;
  /** The signal that a real program would have received: 'SIGSEGV' or 'SIGBUS'. */
  signal?: 'SIGSEGV' | 'SIGBUS';
  /** Bytes or pages that were done before the error, where the operation reports progress. */
  done?: number;
  cause?: unknown;
}

const MEANING: Partial<Record<HmmErrorCode, string>> = {
  EPERM: 'operation not permitted',
  ENOENT: 'no such object',
  ESRCH: 'no such process',
  EINTR: 'interrupted',
  EAGAIN: 'resource temporarily unavailable',
  ENOMEM: 'not enough memory',
  EACCES: 'permission denied',
  EFAULT: 'bad address',
  EBUSY: 'the range was invalidated meanwhile, begin again',
  EEXIST: 'exists already',
  ENODEV: 'no such device',
  EINVAL: 'invalid argument',
  ENOTTY: 'not an ioctl of this device',
  ENOSPC: 'no space left on device',
  EOVERFLOW: 'value too large',
  EOPNOTSUPP: 'operation not supported',
  ENOTCONN: 'no address space is bound',
  ETIMEDOUT: 'timed out',
  ESTALE: 'stale page table entry',
  ERR_HMM_CLOSED: 'closed',
};

/**
 * What the kernel, or the simulation in its place, refused: shaped as Node's own system errors are.
 * `code` is the name ('EBUSY'), `errno` the positive Linux number (0 for a library code) and `syscall`
 * the operation that failed, by the name of the kernel's call where there is one ('munmap', 'hmm_range_fault').
 */
export class HmmError extends Error {
  /** The kernel's name of the error, or ERR_HMM_* for what the library itself refuses. */
  readonly code: HmmErrorCode;
  /** The positive Linux number; 0 for ERR_HMM_*. */
  readonly errno: number;
  /** The operation that failed, by the name of the kernel's call or function. */
  readonly syscall: string;
  /** The address that could not be accessed, where one is known. */
  readonly address?: number;
  /** The signal that a program would have been sent for an access of its own. */
  readonly signal?: 'SIGSEGV' | 'SIGBUS';
  /** What was done before: bytes of an access, pages of a migration. */
  readonly done?: number;

  constructor(code: HmmErrorCode, syscall: string, message?: string, details: HmmErrorDetails = {}) {
    const where = details.address === undefined ? '' : ` at ${hex(details.address)}`;
    super(
      `${code}: ${message ?? MEANING[code] ?? 'failed'}, ${syscall}${where}`,
      details.cause === undefined ? undefined : { cause: details.cause },
    );
    this.name = 'HmmError';
    this.code = code;
    this.errno = code in ERRNO ? ERRNO[code as ErrnoCode] : 0;
    this.syscall = syscall;
    if (details.address !== undefined) this.address = details.address;
    if (details.signal !== undefined) this.signal = details.signal;
    if (details.done !== undefined) this.done = details.done;
  }
}

/** In the registry of all realms, so that the errors of another copy of the package are recognised, too. */
const BRAND = Symbol.for('node-hmm.HmmError');
Object.defineProperty(HmmError.prototype, BRAND, { value: true });

/**
 * Whether a caught value is an HmmError, with one of the given codes if there are any. Unlike `instanceof` it also holds for
 * errors of another copy of this package.
 * @example if (isHmmError(error, 'EBUSY')) continue;
 */
export function isHmmError<Code extends HmmErrorCode = HmmErrorCode>(
  error: unknown,
  ...codes: readonly Code[]
): error is HmmError & { readonly code: Code } {
  if (typeof error !== 'object' || error === null || (error as { [BRAND]?: unknown })[BRAND] !== true) return false;
  return codes.length === 0 || (codes as readonly string[]).includes((error as HmmError).code);
}

/** By halves: toString(16) of a number beyond 2^31 takes as long as the rest of an error. */
function hex(address: number): string {
  const low = (address >>> 0).toString(16);
  const high = Math.floor(address / 2 ** 32);
  return high === 0 ? `0x${low}` : `0x${high.toString(16)}${low.padStart(8, '0')}`;
}

const CODE_OF = new Map<number, ErrnoCode>(Object.entries(ERRNO).map(([code, errno]) => [errno, code as ErrnoCode]));

/** The error for a positive Linux errno; one that the table does not know becomes EIO and names the number. */
export function errorOfErrno(errno: number, syscall: string, details?: HmmErrorDetails): HmmError {
  const code = CODE_OF.get(errno);
  if (code === undefined) return new HmmError('EIO', syscall, `unexpected errno ${errno}`, details);
  return new HmmError(code, syscall, undefined, details);
}
