/** hmm_range_fault as the range-fault*.test.ts ask for it, and its answers in letters. */
import {
  HMM_PFN_ERROR,
  HMM_PFN_REQ_FAULT,
  HMM_PFN_REQ_WRITE,
  HMM_PFN_VALID,
  HMM_PFN_WRITE,
  HmmRange,
  hmmPfnToOrder,
  type Hmm,
  type HmmRangeInit,
} from 'node-hmm';
import { BASE, PAGE, rangeFaultUntilDone, type Recorder } from './support.js';

export const FAULT = HMM_PFN_REQ_FAULT;
export const WRITE = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE;

/** 'VW', 'V', 'E', '0', and '?' for what no driver should ever see. */
export function letters(pfns: BigUint64Array): string[] {
  return Array.from(pfns, (pfn) => {
    if (pfn === 0n) return '0';
    if (pfn === HMM_PFN_ERROR) return 'E';
    if ((pfn & HMM_PFN_VALID) === 0n || (pfn & HMM_PFN_ERROR) !== 0n || hmmPfnToOrder(pfn) !== 0) return '?';
    return (pfn & HMM_PFN_WRITE) === 0n ? 'V' : 'VW';
  });
}

export interface Walk {
  /** The errors of the calls, in order, until one succeeds or fails otherwise than with EBUSY; '' for success. */
  readonly answers: string[];
  readonly pfns: string[];
}

/** readBegin and rangeFault, again after each EBUSY, as a driver does. */
export async function walk(
  hmm: Hmm,
  { notifier }: Recorder,
  init: Omit<HmmRangeInit, 'notifier' | 'start' | 'end'> & { pages?: number; page?: number; requests?: bigint[] } = {},
): Promise<Walk> {
  const { pages = 1, page = 0, requests = [], ...rest } = init;
  const start = BASE + page * PAGE;
  const range = new HmmRange({ notifier, start, end: start + pages * PAGE, ...rest });
  requests.forEach((request, index) => (range.pfns[index] = request));
  return { answers: await rangeFaultUntilDone(hmm, range), pfns: letters(range.pfns) };
}
