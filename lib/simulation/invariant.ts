/** The promise that makes a device honest, as something that can be checked after every step. */
import { Simulation } from './simulation.js';
import { PAGE, PTES, blockOf } from './layout.js';
import { SWAP_DEVICE_PRIVATE, SWAP_EXCLUSIVE, SWAP_WRITE } from './page-table.js';
import { frameOf } from './huge-pmd.js';
import type { AddressSpace } from './address-space.js';
import type { Backend } from '../backend.js';
import type { Mm } from './mm.js';
import type { PteTable } from './page-table.js';

/** What a device may have of a page. */
export interface Translation {
  /** 0: none. */
  readonly frame: number;
  readonly write: boolean;
  readonly exclusive: boolean;
}

const NOTHING: Translation = { frame: 0, write: false, exclusive: false };

/** What a swap entry lets the device do: its own private memory as the entry says, an exclusive page altogether. */
function deviceEntry(mm: Mm, table: PteTable | null, index: number, device: number): Translation | null {
  const bits = table?.swap(index) ?? 0;
  if (table === null || bits === 0) return null;
  const frame = table.swapFrame(index);
  if ((bits & SWAP_EXCLUSIVE) !== 0) return { frame, write: true, exclusive: true };
  const own = (bits & SWAP_DEVICE_PRIVATE) !== 0 && mm.frames.zone[frame] === device + 1;
  return own ? { frame, write: (bits & SWAP_WRITE) !== 0, exclusive: false } : null;
}

/** What the CPU page table says that `device` may have of the page at `address`. */
export function translationOf(mm: Mm, address: number, device: number): Translation {
  const huge = mm.pageTable.huge(blockOf(address));
  if (huge !== null) return { frame: frameOf(huge, address), write: huge.write, exclusive: false };
  const table = mm.pageTable.tableOf(address);
  const index = (address / PAGE) % PTES;
  const own = deviceEntry(mm, table, index, device);
  if (own !== null) return own;
  if (table === null) return NOTHING;
  return { frame: table.frame(index), write: table.isWritable(index), exclusive: false };
}

/**
 * A valid device entry names the frame that the CPU page table names, with no more permission, unless an invalidation
 * that covers it is under way. Device-private memory is named by the entry that keeps its place. A page that
 * the device has exclusively is exclusive in the CPU page table too (the reverse need not be: somebody may have looked a moment before).
 * @returns what is wrong, a line each; empty if the promise holds
 */
export function checkInvariant(backend: Backend): string[] {
  if (!(backend instanceof Simulation)) throw new TypeError('only a simulation can be looked into');
  return [...backend.spaces].flatMap(violationsIn);
}

function violationsIn(space: AddressSpace): string[] {
  const { mm } = space;
  const underway = mm.subscriptions?.underway ?? [];
  const wrong: string[] = [];
  for (const { pageTable, device } of space.mirrors) {
    pageTable.forEach((address, frame, write, exclusive) => {
      if (underway.some((range) => range.start < address + PAGE && range.end > address)) return;
      const { frame: actual, write: writable, exclusive: owned } = translationOf(mm, address, device);
      const where = `process ${space.pid}, page 0x${address.toString(16)}`;
      if (actual !== frame)
        wrong.push(`${where}: the device has frame ${frame}, the CPU ${actual === 0 ? 'none' : actual}`);
      else if (write && !writable) wrong.push(`${where}: the device may write, the CPU may not`);
      else if (exclusive && !owned) wrong.push(`${where}: the device has it for itself, says only the device`);
    });
  }
  return wrong;
}
