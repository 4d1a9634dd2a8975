/** The promise that makes a device honest, as something that can be checked after every step. */
import { Simulation } from './simulation.js';
import { PAGE, PTES } from './layout.js';
import type { AddressSpace } from './address-space.js';
import type { Backend } from '../backend.js';

/**
 * A valid device entry names the frame that the CPU page table names, with no more permission, unless an invalidation
 * that covers it is under way.
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
  for (const { pageTable } of space.mirrors) {
    pageTable.forEach((address, frame, write) => {
      if (underway.some((range) => range.start < address + PAGE && range.end > address)) return;
      const table = mm.pageTable.tableOf(address);
      const index = (address / PAGE) % PTES;
      const actual = table === null ? 0 : table.frame(index);
      const where = `process ${space.pid}, page 0x${address.toString(16)}`;
      if (actual !== frame)
        wrong.push(`${where}: the device has frame ${frame}, the CPU ${actual === 0 ? 'none' : actual}`);
      else if (write && !table!.isWritable(index)) wrong.push(`${where}: the device may write, the CPU may not`);
    });
  }
  return wrong;
}
