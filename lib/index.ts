/// <reference lib="esnext.disposable" preserve="true" />
/** node-hmm: mirror a process's address space as a device driver does, on Linux HMM or on a simulation of it. */
export { openHmm, type KernelVersion, type OpenHmmOptions } from './open.js';
export type { SimulatedDevice } from './simulated-devices.js';
export { Hmm, type RangeFaultOptions } from './hmm.js';
export { AddressSpace, MAX_THREADS, type MmapOptions, type MremapOptions, type RunOptions } from './address-space.js';
export { MemoryFile } from './memory-file.js';
export { Device, MAX_ACCESS } from './device.js';
export { IntervalNotifier, type NotifierOps, type NotifierRange } from './notifier.js';
export { HmmRange, type HmmRangeInit } from './range.js';
export type { PfnFormat } from './pfn-format.js';
export { Mirror, type DevicePageTable, type MirrorEvent, type MirrorPopulateOptions } from './mirror.js';
export type { PageState } from './page-state.js';
export { DriverPageTable } from './driver-page-table.js';
export { Lock, type Held, type LockOptions } from './lock.js';
export {
  HmmError,
  isHmmError,
  type ErrnoCode,
  type HmmErrorCode,
  type HmmErrorDetails,
  type LibraryErrorCode,
} from './errors.js';
export type { Scheduler, StepView, TaskView } from './scheduler.js';
export type { DeviceKind, Features, InvalidationEvent, OperationResult } from './backend.js';
export type { PublicOperation as Operation } from './check-operation.js';
export * from './constants.js';
