/** Whether the kernel can be used here, and if not, what is missing. */
import { accessSync, constants } from 'node:fs';
import { ABI_VERSION, INFO } from './abi.js';
import { loadAddon, type Context, type LoadedAddon } from './addon.js';
import { ERRNO, errorOfErrno } from '../errors.js';
import { workloadPath } from './workload.js';

export const DEFAULT_DEVICE = '/dev/hmm_mirror0';

export type Availability = { readonly available: true } | { readonly available: false; readonly reason: string };

export interface Probe {
  readonly loaded: LoadedAddon;
  /** HMM_MIRROR_INFO, in words. */
  readonly info: Uint32Array;
}

/** What openKernel needs, or the reason why it is not there. */
export function probeKernel(device: string): Probe | string {
  if (process.platform !== 'linux') return `HMM is a part of Linux, and this is ${process.platform}`;
  let loaded: LoadedAddon;
  try {
    loaded = loadAddon();
  } catch (error) {
    return `the native addon cannot be loaded: ${(error as Error).message}`;
  }
  const program = workloadPath(loaded);
  try {
    accessSync(program, constants.X_OK);
  } catch (error) {
    return `the workload program cannot be run: ${(error as Error).message}`;
  }
  const context = loaded.addon.openContext(device);
  if (typeof context === 'number') return whyNotOpened(device, context);
  try {
    return checkInfo(loaded, device, context);
  } finally {
    // Nothing is registered on it, so nothing can go wrong in closing it, nor is there anything to wait for.
    void context.close();
  }
}

/** True if openKernel will find the module, the addon and the program. Loads the addon and opens the device to find out. */
export function kernelAvailability(device: string = DEFAULT_DEVICE): Availability {
  const probe = probeKernel(device);
  return typeof probe === 'string' ? { available: false, reason: probe } : { available: true };
}

function checkInfo(loaded: LoadedAddon, device: string, context: Context): Probe | string {
  const info = new Uint32Array(INFO.words);
  const errno = context.info(info);
  // The size of the answer is a part of the ioctl's number, so another ABI is ENOTTY, too, if its answer has another size.
  if (errno === ERRNO.ENOTTY) {
    return `${device} is not a device of the module hmm_mirror, or its interface is not version ${ABI_VERSION}: build and load the module of this package`;
  }
  if (errno !== undefined) return `${device}: ${errorOfErrno(errno, 'ioctl').message}`;
  const version = info[INFO.abiVersion]!;
  if (version !== ABI_VERSION) {
    return `the module hmm_mirror speaks version ${version} of its interface, this package version ${ABI_VERSION}: build and load the module of this package`;
  }
  return { loaded, info };
}

function whyNotOpened(device: string, errno: number): string {
  const { code } = errorOfErrno(errno, 'open');
  if (code === 'ENOENT') return `there is no ${device}: the module hmm_mirror is not loaded`;
  if (code === 'EACCES' || code === 'EPERM') {
    return `${device} may not be opened (${code}): the module hands out page frame numbers, so it takes root, or CAP_SYS_ADMIN and the file's permission`;
  }
  if (code === 'ENODEV' || code === 'ENXIO') {
    return `${device} has no driver (${code}): the module hmm_mirror is not loaded`;
  }
  return `${device} cannot be opened: ${code}`;
}
