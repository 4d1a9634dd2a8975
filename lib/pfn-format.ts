import { HMM_PFN_ERROR, HMM_PFN_REQ_FAULT, HMM_PFN_REQ_WRITE, HMM_PFN_VALID, HMM_PFN_WRITE } from './constants.js';
import { checkInteger, checkKeys, checkU64 } from './validate.js';

/**
 * A driver's own encoding of page frame entries, as struct hmm_range had it from Linux 5.5 to 5.7 (`flags`, `values`,
 * `pfn_shift`): whatever a device's page table entries look like, hmm_range_fault then fills them in directly.
 */
export interface PfnFormat {
  readonly flags: {
    /** HMM_PFN_VALID: set for a present page; in a request, "fault it". Not 0. */
    readonly valid: bigint;
    /** HMM_PFN_WRITE: set for a writable page; in a request, "fault it for writing". Not 0. */
    readonly write: bigint;
  };
  readonly values: {
    /** HMM_PFN_ERROR: the entry of a page that cannot be accessed. */
    readonly error: bigint;
    /** HMM_PFN_NONE: the entry of a page that is not there. */
    readonly none: bigint;
    /** HMM_PFN_SPECIAL: the entry of a page without a frame to name. Default: `error`. */
    readonly special?: bigint;
  };
  /** Bits by which the frame number is shifted left. The map order has no place in this encoding. */
  readonly pfnShift: number;
}

const FRAME_MASK = (1n << 56n) - 1n;
const U64 = 0xffff_ffff_ffff_ffffn;

/** A PfnFormat that has been checked, and its translation to and from the kernel's encoding. */
export class PfnCodec {
  readonly #valid: bigint;
  readonly #write: bigint;
  readonly #error: bigint;
  readonly #none: bigint;
  readonly #special: bigint;
  readonly #shift: bigint;

  constructor(format: PfnFormat) {
    checkKeys(format, 'format', ['flags', 'values', 'pfnShift']);
    checkKeys(format.flags, 'format.flags', ['valid', 'write']);
    checkKeys(format.values, 'format.values', ['error', 'none', 'special']);
    this.#valid = checkU64(format.flags.valid, 'format.flags.valid');
    this.#write = checkU64(format.flags.write, 'format.flags.write');
    this.#error = checkU64(format.values.error, 'format.values.error');
    this.#none = checkU64(format.values.none, 'format.values.none');
    this.#special = checkU64(format.values.special ?? format.values.error, 'format.values.special');
    this.#shift = BigInt(checkInteger(format.pfnShift, 'format.pfnShift', 0, 63));
    if (this.#valid === 0n || this.#write === 0n) throw new RangeError('format.flags must not be 0');
    if ((this.#valid & this.#write) !== 0n) throw new RangeError('format.flags.valid and .write must not share bits');
    for (const value of [this.#error, this.#none, this.#special]) {
      if ((value & this.#valid) === this.#valid) throw new RangeError('format.values must not look valid');
    }
  }

  /** The driver's request bits (of default flags, a mask, or an entry) in the kernel's encoding. */
  requestToKernel(flags: bigint): bigint {
    return (
      ((flags & this.#valid) === this.#valid ? HMM_PFN_REQ_FAULT : 0n) |
      ((flags & this.#write) === this.#write ? HMM_PFN_REQ_WRITE : 0n)
    );
  }

  /**
   * An output entry of the kernel's in the driver's encoding.
   * @throws {RangeError} if the shifted frame number does not fit 64 bits or runs into the flags
   */
  fromKernel(entry: bigint): bigint {
    if ((entry & HMM_PFN_ERROR) !== 0n) return this.#error;
    if (entry === 0n) return this.#none;
    if ((entry & HMM_PFN_VALID) === 0n) return this.#special;
    const frame = (entry & FRAME_MASK) << this.#shift;
    if (frame > U64 || (frame & (this.#valid | this.#write)) !== 0n) {
      throw new RangeError(`format: frame 0x${(entry & FRAME_MASK).toString(16)} does not fit beside the flags`);
    }
    return frame | this.#valid | ((entry & HMM_PFN_WRITE) !== 0n ? this.#write : 0n);
  }
}
