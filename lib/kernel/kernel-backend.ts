import { release } from 'node:os';
import type { Backend, BackendAddressSpace, BackendLock, DeviceInfo, Features, MigrateResult } from '../backend.js';
import { HmmError, errorOfErrno } from '../errors.js';
import {
  DEVICE_INFO,
  DEVICE_KINDS,
  FEATURE_DEVICE_COHERENT,
  FEATURE_DEVICE_PRIVATE,
  FEATURE_EXCLUSIVE,
  FEATURE_HUGETLB,
  FEATURE_TRANSPARENT_HUGE_PAGES,
  INFO,
  MAX_DEVICES,
  getNumber,
} from './abi.js';
import type { Addon, Descriptor, LoadedAddon } from './addon.js';
import { KernelAddressSpace, type SpaceOwner } from './address-space.js';
import { DEFAULT_DEVICE, probeKernel, type Probe } from './availability.js';
import { DeviceContext } from './device-context.js';
import { FairLock } from './lock.js';
import { Workload } from './workload.js';

export interface OpenKernelOptions {
  /** Default '/dev/hmm_mirror0'. */
  readonly device?: string;
  /** Milliseconds for which an invalidation waits for callbacks. Default 1000. The module's parameter is the most. */
  readonly callbackTimeout?: number;
  /**
   * The CPU on which all mirrored processes stay, so that runs can be compared event for event: a page in another CPU's
   * batch is copied where it could be reused. Default: the environment's NODE_HMM_WORKLOAD_CPU, else any.
   */
  readonly workloadCpu?: number;
}

/** Milliseconds; the module's own default, which its parameter may lessen. */
const DEFAULT_CALLBACK_TIMEOUT = 1000;

/** @throws {HmmError} ERR_HMM_NO_KERNEL with what is missing; what kernelAvailability() gives as its reason */
export async function openKernel(options: OpenKernelOptions = {}): Promise<Backend> {
  const { device = DEFAULT_DEVICE, callbackTimeout, workloadCpu = cpuFromEnvironment() } = options;
  if (
    callbackTimeout !== undefined &&
    !(Number.isInteger(callbackTimeout) && callbackTimeout >= 1 && callbackTimeout <= 60_000)
  ) {
    throw new RangeError('callbackTimeout must be 1 to 60000 milliseconds');
  }
  if (workloadCpu !== null && !(Number.isInteger(workloadCpu) && workloadCpu >= 0)) {
    throw new RangeError('workloadCpu must be the number of a CPU');
  }
  const probe = probeKernel(device);
  if (typeof probe === 'string') throw new HmmError('ERR_HMM_NO_KERNEL', 'open', probe);
  return new KernelBackend(probe, device, boundOf(callbackTimeout, probe.info[INFO.callbackTimeout]!), workloadCpu);
}

/** Said once for each bound: a program may open many. */
const warned = new Set<number>();

/** @returns milliseconds: what was asked for, but no more than the administrator allows */
function boundOf(asked: number | undefined, most: number): number {
  if (asked === undefined) return Math.min(DEFAULT_CALLBACK_TIMEOUT, most);
  if (asked > most && !warned.has(asked)) {
    warned.add(asked);
    process.emitWarning(
      `callbackTimeout is ${asked} ms, and the module allows ${most} ms (its parameter callback_timeout_ms): ` +
        `invalidations wait for ${most} ms`,
      { type: 'HmmWarning', code: 'HMM_CALLBACK_TIMEOUT' },
    );
  }
  return Math.min(asked, most);
}

function cpuFromEnvironment(): number | null {
  const text = process.env['NODE_HMM_WORKLOAD_CPU'];
  return text === undefined || text === '' ? null : Number(text);
}

class KernelBackend implements Backend, SpaceOwner {
  readonly kind = 'kernel';
  readonly kernelRelease = release();
  readonly pageSize: number;
  readonly features: Features;
  readonly devices: readonly DeviceInfo[];
  readonly callbackTimeout: number;
  readonly #loaded: LoadedAddon;
  readonly #device: string;
  readonly #cpu: number | null;
  readonly #spaces = new Set<KernelAddressSpace>();
  /** Bound to no process: for what concerns a device, whoever uses it. Opened when it is first needed. */
  #control: DeviceContext | null = null;
  #closing: Promise<void> | null = null;

  constructor({ loaded, info }: Probe, device: string, callbackTimeout: number, cpu: number | null) {
    this.#loaded = loaded;
    this.#device = device;
    this.#cpu = cpu;
    this.callbackTimeout = callbackTimeout;
    this.pageSize = 2 ** info[INFO.pageShift]!;
    this.features = featuresOf(info[INFO.features]!);
    this.devices = devicesOf(info);
  }

  get addon(): Addon {
    return this.#loaded.addon;
  }

  createAddressSpace(): Promise<BackendAddressSpace> {
    return this.#newSpace((descriptor) => Workload.start(this.#loaded, descriptor, { cpu: this.#cpu }));
  }

  createLock(): BackendLock {
    return new FairLock();
  }

  deviceUsage(device: number): number {
    return this.#controlContext('device_usage').memory.usage(device);
  }

  async evictDevice(device: number): Promise<MigrateResult> {
    return await this.#controlContext('migrate_device_range').memory.evict(device);
  }

  fork(parent: Workload): Promise<KernelAddressSpace> {
    return this.#newSpace((descriptor) => parent.fork(descriptor));
  }

  forget(space: KernelAddressSpace): void {
    this.#spaces.delete(space);
  }

  drainAll(): void {
    for (const space of this.#spaces) space.drain();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** One context per address space: a process binds itself to it, and only then is there an address space. */
  async #newSpace(makeProcess: (device: Descriptor) => Promise<Workload>): Promise<KernelAddressSpace> {
    const context = this.#openContext('open');
    const descriptor = context.descriptor();
    let workload: Workload;
    try {
      workload = await makeProcess(descriptor);
    } catch (error) {
      await context.close();
      throw error;
    } finally {
      descriptor.close();
    }
    const space = new KernelAddressSpace(this, workload, context);
    this.#spaces.add(space);
    // close() has seen only the spaces that there were then.
    if (this.#closing === null) return space;
    await space.close();
    throw new HmmError('ERR_HMM_CLOSED', 'open');
  }

  #openContext(syscall: string): DeviceContext {
    if (this.#closing !== null) throw new HmmError('ERR_HMM_CLOSED', syscall);
    const native = this.addon.openContext(this.#device);
    if (typeof native === 'number') throw errorOfErrno(native, 'open');
    return new DeviceContext(native, this.pageSize, () => this.drainAll());
  }

  #controlContext(syscall: string): DeviceContext {
    if (this.#closing !== null) throw new HmmError('ERR_HMM_CLOSED', syscall);
    this.#control ??= this.#openContext(syscall);
    return this.#control;
  }

  async #close(): Promise<void> {
    try {
      await Promise.all([...this.#spaces].map((space) => space.close()));
    } finally {
      await this.#control?.idle();
      await this.#control?.close();
    }
  }
}

function devicesOf(info: Uint32Array): readonly DeviceInfo[] {
  const count = Math.min(info[INFO.deviceCount]!, MAX_DEVICES);
  return Array.from({ length: count }, (_, id) => {
    const at = INFO.devices + id * DEVICE_INFO.words;
    const kind = DEVICE_KINDS[info[at + DEVICE_INFO.kind]!];
    if (kind === undefined) throw new HmmError('ERR_HMM_NO_KERNEL', 'open', `device ${id} is of an unknown kind`);
    return { id, kind, capacity: getNumber(info, at + DEVICE_INFO.capacity) };
  });
}

const REASONS = {
  devicePrivate: 'the module was built for a kernel without CONFIG_DEVICE_PRIVATE',
  privatePages: 'the module was loaded with private_pages=0',
  deviceCoherent:
    'no memory is reserved for a coherent device: boot with memmap=256M$0x110000000, and load the module with coherent0=0x110000000 (coherent1: a second one)',
  exclusive: 'the kernel has no device-exclusive entries, which come with CONFIG_DEVICE_PRIVATE',
  transparentHugePages: 'the kernel lacks CONFIG_TRANSPARENT_HUGEPAGE, or the processor has no pages of that size',
  hugetlb: 'the kernel lacks CONFIG_HUGETLB_PAGE (CONFIG_HUGETLBFS)',
} as const;

function featuresOf(bits: number): Features {
  const present = {
    devicePrivate: (bits & FEATURE_DEVICE_PRIVATE) !== 0,
    deviceCoherent: (bits & FEATURE_DEVICE_COHERENT) !== 0,
    exclusive: (bits & FEATURE_EXCLUSIVE) !== 0,
    transparentHugePages: (bits & FEATURE_TRANSPARENT_HUGE_PAGES) !== 0,
    hugetlb: (bits & FEATURE_HUGETLB) !== 0,
  };
  const missing = (Object.keys(present) as (keyof typeof present)[]).filter((feature) => !present[feature]);
  const reason = (feature: (typeof missing)[number]): string =>
    // Exclusive access needs the same of the kernel, so where that is there the module was asked for no memory.
    feature === 'devicePrivate' && present.exclusive ? REASONS.privatePages : REASONS[feature];
  return { ...present, reasons: Object.fromEntries(missing.map((feature) => [feature, reason(feature)])) };
}
