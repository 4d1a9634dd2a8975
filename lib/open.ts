import { HmmError } from './errors.js';
import { Hmm } from './hmm.js';
import type { Scheduler } from './scheduler.js';
import { checkSimulatedDevices, type SimulatedDevice } from './simulated-devices.js';
import { openSimulation, profileFor, type KernelVersion } from './simulation/index.js';
export type { KernelVersion } from './simulation/index.js';
import { checkInteger, checkKeys, checkOneOf, orElse } from './validate.js';

/** 64 GiB, the memory of the simulated machine. */
const MAX_HUGE_PAGES = 2 ** 15;

export interface OpenHmmOptions {
  /**
   * 'auto' (default): the kernel if the module is loaded and the addon built, else the simulation.
   * In a virtual machine of `node-hmm vm` (NODE_HMM_VM is set there): the kernel, or an error.
   */
  readonly backend?: 'auto' | 'kernel' | 'simulation';
  /** Kernel: the module's device. Default '/dev/hmm_mirror0'. */
  readonly device?: string;
  /**
   * Simulation: which kernel's behaviour. Default the newest. A series ('6.1') is its newest stable release that was read;
   * with a third number ('6.1.176') it is that one, without what later ones of the series changed.
   */
  readonly kernel?: KernelVersion;
  /** Simulation: who decides the next step. Default: a task goes on until it must wait. */
  readonly scheduler?: Scheduler;
  /** Simulation: up to 8 devices, by id. Default: two with private and two with coherent memory, as the module has where the kernel can. */
  readonly devices?: readonly SimulatedDevice[];
  /** Simulation: the pool of MAP_HUGETLB (vm.nr_hugepages), in pages of 2 MiB, up to 32768: as many as the machine has memory for. Default 64. */
  readonly hugePages?: number;
  /**
   * Milliseconds for which an invalidation waits for its invalidate() callbacks, all of them together, 1 to 60000. Default
   * 1000. The module's parameter callback_timeout_ms is the most that the kernel backend can have; a warning says so.
   */
  readonly callbackTimeout?: number;
}

/**
 * Opens a kernel to work with. An option that only the simulation has ('kernel', 'scheduler',
 * 'devices', 'hugePages') makes 'auto' mean the simulation.
 * @throws {HmmError} ERR_HMM_NO_KERNEL, with what is missing, if the kernel was asked for, or this
 *   is a virtual machine of `node-hmm vm`, and the kernel cannot be had
 */
export async function openHmm(options: OpenHmmOptions = {}): Promise<Hmm> {
  checkKeys(options, 'options', [
    'backend',
    'device',
    'kernel',
    'scheduler',
    'devices',
    'hugePages',
    'callbackTimeout',
  ] satisfies (keyof OpenHmmOptions)[]);
  const choice = checkOneOf(orElse(options.backend, 'auto'), ['auto', 'kernel', 'simulation'], 'options.backend');
  const { device, kernel, scheduler, hugePages, callbackTimeout } = options;
  const devices = options.devices === undefined ? undefined : checkSimulatedDevices(options.devices, 'options.devices');
  if (device !== undefined && typeof device !== 'string') throw new TypeError('options.device must be a string');
  if (kernel !== undefined) checkKernel(kernel);
  if (hugePages !== undefined) checkInteger(hugePages, 'options.hugePages', 0, MAX_HUGE_PAGES);
  if (callbackTimeout !== undefined) checkInteger(callbackTimeout, 'options.callbackTimeout', 1, 60_000);
  if (scheduler !== undefined) checkScheduler(scheduler);
  const simulationOnly = [kernel, scheduler, devices, hugePages].some((option) => option !== undefined);
  if (choice === 'kernel' && simulationOnly) {
    throw new TypeError(
      'options.kernel, options.scheduler, options.devices and options.hugePages are the simulation’s; the kernel has its own',
    );
  }
  if (device !== undefined && (choice === 'simulation' || simulationOnly)) {
    throw new TypeError('options.device is the kernel backend’s; the simulation opens none');
  }

  if (choice === 'kernel' || (choice === 'auto' && !simulationOnly)) {
    // By the name of package.json's `imports`: in a browser, which has no kernel, it is kernel/browser.js.
    const { kernelAvailability, openKernel } = await import('#kernel-backend');
    const availability = kernelAvailability(device);
    if (availability.available) {
      return new Hmm(await openKernel(definedOnly({ device, callbackTimeout })), 'the kernel module is loaded');
    }
    const machine = virtualMachine();
    if (choice === 'kernel' || machine !== undefined) {
      const why =
        choice === 'kernel' ? '' : `; in ${machine}, the virtual machine of node-hmm vm, 'auto' means the kernel`;
      throw new HmmError('ERR_HMM_NO_KERNEL', 'open', availability.reason + why);
    }
    return new Hmm(openSimulation(definedOnly({ callbackTimeout })), availability.reason);
  }
  const simulation = openSimulation(definedOnly({ kernel, scheduler, devices, hugePages, callbackTimeout }));
  return new Hmm(simulation, 'it was asked for');
}

/**
 * `node-hmm vm` names its kernel to what it runs. Whoever runs a test there wants the kernel: the
 * simulation in its place would be a test that passes and has not been run.
 * @returns that name, or undefined outside of such a machine and in a browser
 */
function virtualMachine(): string | undefined {
  const { process } = globalThis as { process?: { env?: Readonly<Record<string, string | undefined>> } };
  return process?.env?.['NODE_HMM_VM'] || undefined;
}

function checkKernel(kernel: unknown): void {
  if (typeof kernel === 'string' && profileFor(kernel) !== null) return;
  checkOneOf(kernel, ['6.1', '6.12', '6.1.N', '6.12.N'], 'options.kernel');
  throw new RangeError("options.kernel must be a version with a number for N, such as '6.1.176'");
}

function checkScheduler(scheduler: Scheduler): void {
  if (typeof scheduler !== 'object' || scheduler === null) throw new TypeError('options.scheduler must be an object');
  for (const method of ['newExecution', 'nextTask', 'nextU64'] as const) {
    if (typeof scheduler[method] !== 'function') {
      throw new TypeError(`options.scheduler.${method} must be a function`);
    }
  }
}

type Defined<T> = { [key in keyof T]?: Exclude<T[key], undefined> };

function definedOnly<T extends object>(options: T): Defined<T> {
  const defined: Partial<T> = {};
  for (const key in options) if (options[key] !== undefined) defined[key] = options[key];
  return defined as Defined<T>;
}
