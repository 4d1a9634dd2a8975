import {
  ENTRY_EXCLUSIVE,
  LOCATION_DEVICE,
  LOCATION_NONE,
  LOCATION_SYSTEM,
  LOCATION_ZERO,
  type MirrorPages,
} from './backend.js';
import { HMM_PFN_ERROR, HMM_PFN_VALID, HMM_PFN_WRITE, hmmPfnToFrame, hmmPfnToOrder } from './constants.js';
import type { Device } from './device.js';

/** What is known of one page: by the process's page table, and by the device's. */
export interface PageState {
  readonly address: number;
  /** The process's page table maps a page here: HMM_PFN_VALID. */
  readonly valid: boolean;
  /** HMM_PFN_WRITE. */
  readonly write: boolean;
  /** No access is possible here: no mapping, or none that may be read. HMM_PFN_ERROR. */
  readonly error: boolean;
  /** The mapping that holds this page is 2^order pages. */
  readonly order: number;
  /** Page frame number; null unless valid. */
  readonly frame: bigint | null;
  /**
   * Whose memory the page is: the system's, the zero page that all untouched anonymous memory shares, or a device's. Null unless
   * valid, so also for the private memory of another device than the mirror's, and for a page that a device has for itself.
   */
  readonly location: 'system' | 'zero' | Device | null;
  /** The device's own entry for the page, or null if it has none. `exclusive`: the CPU's entry is gone meanwhile, and the device may do atomics. */
  readonly device: { readonly write: boolean; readonly frame: bigint; readonly exclusive: boolean } | null;
}

/** @param start address of the first page; @param devices by id */
export function pageStates(
  start: number,
  pageSize: number,
  { pfns, entries, locations }: MirrorPages,
  devices: readonly Device[],
): PageState[] {
  return Array.from(pfns, (pfn, page) => {
    const valid = (pfn & HMM_PFN_VALID) !== 0n;
    return {
      address: start + page * pageSize,
      valid,
      write: (pfn & HMM_PFN_WRITE) !== 0n && valid,
      error: (pfn & HMM_PFN_ERROR) !== 0n,
      order: valid ? hmmPfnToOrder(pfn) : 0,
      frame: valid ? hmmPfnToFrame(pfn) : null,
      location: locationOf(locations[page]!, devices),
      device: deviceEntry(entries[page]!),
    };
  });
}

function locationOf(location: number, devices: readonly Device[]): PageState['location'] {
  if (location === LOCATION_SYSTEM) return 'system';
  if (location === LOCATION_NONE) return null;
  if (location === LOCATION_ZERO) return 'zero';
  const device = devices[location - LOCATION_DEVICE];
  if (device === undefined) throw new Error(`the backend puts a page at ${location}, where there is nothing`);
  return device;
}

function deviceEntry(entry: bigint): PageState['device'] {
  if (entry === 0n) return null;
  return {
    write: (entry & HMM_PFN_WRITE) !== 0n,
    frame: hmmPfnToFrame(entry),
    exclusive: (entry & ENTRY_EXCLUSIVE) !== 0n,
  };
}
