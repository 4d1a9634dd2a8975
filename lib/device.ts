import type { AddressSpace } from './address-space.js';
import { lengthOf } from './array-length.js';
import type { Backend, DeviceInfo, DeviceKind } from './backend.js';
import { BACKEND, SESSION, checkSession, closedError, type Session } from './session.js';
import { checkBytes, checkEntries, checkInteger, checkSpan } from './validate.js';

/** Bytes that one access of a CPU or a device may move: more than a Uint8Array of every supported Node can hold is refused. */
export const MAX_ACCESS = 2 ** 31 - 1;

/**
 * A device of the driver: what a `Mirror` accesses memory with, and, where it has memory of its own, what pages
 * migrate to. Its read and write are for a driver that keeps its own page table (a `DriverPageTable`, or whatever
 * it likes); a `Mirror` has one already.
 */
export class Device {
  readonly id: number;
  readonly kind: DeviceKind;
  /** Pages of device memory. */
  readonly capacity: number;
  /** @internal */
  readonly [SESSION]: Session;

  /** @internal */
  constructor(session: Session, info: DeviceInfo) {
    this[SESSION] = session;
    this.id = info.id;
    this.kind = info.kind;
    this.capacity = info.capacity;
  }

  /**
   * The device loads `length` bytes from `address`, any alignment, through the translations that the driver believes in.
   * @param entries one page frame entry per page touched, in the kernel's encoding, each with HMM_PFN_VALID
   * @throws {HmmError} ESTALE with `address` if the process's page table says otherwise; EINVAL for an entry that
   * is not valid; EFAULT, with `address` too, if the process has gone
   */
  async read(space: AddressSpace, address: number, length: number, entries: BigUint64Array): Promise<Uint8Array> {
    checkInteger(length, 'length', 0, MAX_ACCESS);
    const backend = this.#check('device_read', space, address, length, entries);
    if (length === 0) return new Uint8Array(0);
    return await backend.deviceRead(this.id, address, length, entries);
  }

  /** The device stores `bytes` at `address`; every entry must have HMM_PFN_WRITE too. Errors as of `read`. */
  async write(space: AddressSpace, address: number, bytes: Uint8Array, entries: BigUint64Array): Promise<void> {
    const { length } = checkBytes(bytes, 'bytes');
    const backend = this.#check('device_write', space, address, length, entries);
    if (length > 0) await backend.deviceWrite(this.id, address, bytes, entries);
  }

  /** Pages of the device's memory that are in use, by whatever process of this kernel; 0 if it has none. */
  async usage(): Promise<number> {
    const used = this.#backend('device_usage').deviceUsage(this.id);
    return used instanceof Promise ? await used : used;
  }

  /**
   * Moves what the device's memory holds, of whatever process, back to system memory: what a driver does before its device goes away. The
   * processes see 'clear' of each page, and no 'migrate'. What is busy stays; `usage` tells, and another attempt may move it.
   * @throws {HmmError} EOPNOTSUPP if the device has no memory
   */
  async evict(): Promise<{ migrated: number }> {
    const { migrated } = await this.#backend('migrate_device_range').evictDevice(this.id);
    return { migrated };
  }

  #backend(syscall: string): Backend {
    if (this[SESSION].closed) throw closedError('Hmm', syscall);
    return this[SESSION].backend;
  }

  #check(syscall: string, space: AddressSpace, address: number, length: number, entries: BigUint64Array) {
    if (typeof space !== 'object' || space === null || !(BACKEND in space)) {
      throw new TypeError('space must be an AddressSpace');
    }
    checkSession(this[SESSION], space, 'space');
    checkSpan(address, length, 'address', 'length');
    const { pageSize } = this[SESSION].backend;
    const touched =
      length === 0 ? 0 : Math.floor((address + length - 1) / pageSize) - Math.floor(address / pageSize) + 1;
    const count = lengthOf(checkEntries(entries, 'entries'));
    if (count !== touched) {
      throw new RangeError(`entries must have one entry per page touched, ${touched}, not ${count}`);
    }
    return space[BACKEND](syscall);
  }
}
