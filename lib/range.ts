import type { BackendAddressSpace, BackendNotifier, BackendRange, MaybePromise } from './backend.js';
import { MAX_RANGE_PAGES } from './constants.js';
import { Device } from './device.js';
import { IntervalNotifier } from './notifier.js';
import { PfnCodec, type PfnFormat } from './pfn-format.js';
import { BACKEND, SESSION, checkSession, type Session } from './session.js';
import { checkInstance, checkInteger, checkKeys, checkU64, orElse } from './validate.js';

export interface HmmRangeInit {
  /** The notifier whose sequence guards the range; the range must lie inside its interval. */
  readonly notifier: IntervalNotifier;
  /** Bytes, a multiple of the page size. */
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  /** Requests for every page: HMM_PFN_REQ_FAULT, HMM_PFN_REQ_WRITE (or the format's flags). Default 0n. */
  readonly defaultFlags?: bigint;
  /** Which request bits of each entry of `pfns` count. Default 0n: none, so that outputs are never taken for requests. */
  readonly pfnFlagsMask?: bigint;
  /** The device whose private memory may be handed out instead of being migrated back. */
  readonly devPrivateOwner?: Device | null;
  /** A driver's own encoding of entries and flags; default: the kernel's. */
  readonly format?: PfnFormat;
}

/** The same request in the kernel's encoding; a mutable twin that backends may key their caches by. */
interface Request extends BackendRange {
  revision: number;
  notifierSequence: number;
  defaultFlags: bigint;
  pfnFlagsMask: bigint;
  owner: number | null;
}

/** struct hmm_range: mutable and reusable. Errors in what the kernel would refuse are the kernel's, at `rangeFault`. */
export class HmmRange {
  readonly notifier: IntervalNotifier;
  readonly start: number;
  readonly end: number;
  /** One entry per page, in and out, in the range's format. */
  readonly pfns: BigUint64Array;
  readonly format: PfnFormat | null;
  /** @internal */
  readonly [SESSION]: Session;
  readonly #space: BackendAddressSpace;
  readonly #codec: PfnCodec | null;
  readonly #request: Request;
  /** The same range with no requests: HMM_RANGE_SNAPSHOT. */
  readonly #snapshot: Request;
  #defaultFlags = 0n;
  #pfnFlagsMask = 0n;
  #devPrivateOwner: Device | null = null;

  constructor(init: HmmRangeInit) {
    checkKeys(init, 'init', [
      'notifier',
      'start',
      'end',
      'defaultFlags',
      'pfnFlagsMask',
      'devPrivateOwner',
      'format',
    ] satisfies (keyof HmmRangeInit)[]);
    this.notifier = checkInstance(init.notifier, IntervalNotifier, 'init.notifier');
    this.start = checkInteger(init.start, 'init.start');
    this.end = checkInteger(init.end, 'init.end');
    this.format = init.format ?? null;
    this.#codec = init.format === undefined ? null : new PfnCodec(init.format);
    this[SESSION] = this.notifier[SESSION];

    const notifier = this.notifier[BACKEND]('hmm_range_fault');
    this.#space = this.notifier.backendSpace();
    const pages = Math.max(0, Math.ceil((this.end - this.start) / this[SESSION].backend.pageSize));
    if (pages > MAX_RANGE_PAGES) {
      throw new RangeError(`a range may have ${MAX_RANGE_PAGES} pages, not ${pages}`);
    }
    this.pfns = new BigUint64Array(pages);
    const kernelPfns = this.#codec === null ? this.pfns : new BigUint64Array(pages);
    this.#request = this.#newRequest(notifier, kernelPfns);
    this.#snapshot = this.#newRequest(notifier, kernelPfns);
    this.defaultFlags = orElse(init.defaultFlags, 0n);
    this.pfnFlagsMask = orElse(init.pfnFlagsMask, 0n);
    this.devPrivateOwner = init.devPrivateOwner ?? null;
  }

  /** What readBegin() returned before this call. */
  get notifierSequence(): number {
    return this.#request.notifierSequence;
  }

  set notifierSequence(sequence: number) {
    checkInteger(sequence, 'notifierSequence');
    this.#request.notifierSequence = sequence;
    this.#snapshot.notifierSequence = sequence;
  }

  get defaultFlags(): bigint {
    return this.#defaultFlags;
  }

  set defaultFlags(flags: bigint) {
    this.#defaultFlags = checkU64(flags, 'defaultFlags');
    this.#request.defaultFlags = this.#codec === null ? flags : this.#codec.requestToKernel(flags);
    this.#request.revision++;
  }

  get pfnFlagsMask(): bigint {
    return this.#pfnFlagsMask;
  }

  set pfnFlagsMask(mask: bigint) {
    this.#pfnFlagsMask = checkU64(mask, 'pfnFlagsMask');
    this.#request.pfnFlagsMask = this.#codec === null ? mask : this.#codec.requestToKernel(mask);
    this.#request.revision++;
  }

  get devPrivateOwner(): Device | null {
    return this.#devPrivateOwner;
  }

  set devPrivateOwner(owner: Device | null) {
    if (owner !== null) checkSession(this[SESSION], checkInstance(owner, Device, 'devPrivateOwner'), 'devPrivateOwner');
    this.#devPrivateOwner = owner;
    this.#request.owner = this.#snapshot.owner = owner === null ? null : owner.id;
    this.#request.revision++;
    this.#snapshot.revision++;
  }

  /** @internal hmm_range_fault, once. */
  fault(snapshot: boolean): MaybePromise<void> {
    this.notifier[BACKEND]('hmm_range_fault');
    const space = this.#space;
    const request = snapshot ? this.#snapshot : this.#request;
    if (this.#codec === null) return space.rangeFault(request);
    return this.#faultInFormat(this.#codec, space, request);
  }

  #newRequest(notifier: BackendNotifier, pfns: BigUint64Array): Request {
    const { start, end } = this;
    const flags = { defaultFlags: 0n, pfnFlagsMask: 0n };
    return { notifier, start, end, revision: 0, notifierSequence: 0, ...flags, owner: null, pfns };
  }

  /**
   * Entries that the walk did not reach keep the driver's input. Which ones those are the kernel does not say, so each is given a
   * value that the walk never puts out: the request bits with the error bit, which as an input means nothing.
   */
  async #faultInFormat(codec: PfnCodec, space: BackendAddressSpace, request: Request): Promise<void> {
    const inputs = request.pfns;
    for (let page = 0; page < inputs.length; page++) {
      inputs[page] = codec.requestToKernel(this.pfns[page]!) | UNTOUCHED;
    }
    try {
      await space.rangeFault(request);
    } finally {
      for (let page = 0; page < inputs.length; page++) {
        const entry = inputs[page]!;
        if ((entry & UNTOUCHED) !== UNTOUCHED) this.pfns[page] = codec.fromKernel(entry);
      }
    }
  }
}

/** The error bit with every bit of the order: no entry that hmm_range_fault puts out has both. */
const UNTOUCHED = (1n << 61n) | (0x1fn << 56n);
