/** What takes the place of the kernel backend in a browser (package.json, `imports`): it says why there is none. */
import { HmmError } from '../errors.js';
import type * as kernel from './index.js';

const REASON = 'HMM is a part of Linux, and this is a browser';

export const kernelAvailability: typeof kernel.kernelAvailability = () => ({ available: false, reason: REASON });

export const openKernel: typeof kernel.openKernel = () =>
  Promise.reject(new HmmError('ERR_HMM_NO_KERNEL', 'open', REASON));
