import type { DeviceKind } from './backend.js';
import { checkArray, checkInteger, checkKeys, checkOneOf } from './validate.js';

/** A device of the simulated machine. */
export interface SimulatedDevice {
  /** 'private': memory that CPUs cannot reach; 'coherent': that they can; 'none': no memory of its own. */
  readonly kind: DeviceKind;
  /** Pages of device memory, up to 2^20; 0 for 'none', and for no other. */
  readonly capacity: number;
}

/** As many as the module can have. */
const MAX_DEVICES = 8;
const MAX_CAPACITY = 2 ** 20;

/** Argument check of openHmm. @returns a copy that no one else changes */
export function checkSimulatedDevices(value: readonly SimulatedDevice[], name: string): readonly SimulatedDevice[] {
  checkInteger(checkArray(value, name).length, `${name}.length`, 0, MAX_DEVICES);
  return value.map((each: unknown, id) => {
    const device = checkKeys(each, `${name}[${id}]`, ['kind', 'capacity'] satisfies (keyof SimulatedDevice)[]);
    const kind = checkOneOf(device['kind'], ['private', 'coherent', 'none'], `${name}[${id}].kind`);
    const [least, most] = kind === 'none' ? [0, 0] : [1, MAX_CAPACITY];
    return { kind, capacity: checkInteger(device['capacity'], `${name}[${id}].capacity`, least, most) };
  });
}
