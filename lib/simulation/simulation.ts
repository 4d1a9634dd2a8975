/** The simulation as a whole: its memory, its processes, its devices. */
import { AddressSpace } from './address-space.js';
import { Engine } from './engine/engine.js';
import { DeviceSet } from './device-memory.js';
import { Frames } from './frames.js';
import { HmmError } from '../errors.js';
import { LOCKS, MEMORY, reads, writes } from './engine/touch.js';
import { HugetlbPool } from './hugetlb-pool.js';
import { Mm } from './mm.js';
import { Mutex } from './engine/locks.js';
import { PAGE_SIZE } from '../constants.js';
import { PageLocks } from './page-lock.js';
import { profileFor } from './profile.js';
import { SpareMemory } from './spare-memory.js';
import { evictMemory } from './evict.js';
import type { Backend, BackendLock, DeviceInfo, DeviceKind, Features, MigrateResult } from '../backend.js';
import type { KernelVersion } from './profile.js';
import type { Machine } from './mm.js';
import type { Scheduler } from '../scheduler.js';
import type { SpaceOwner } from './address-space.js';

export interface SimulationOptions {
  /** Whose behaviour, where kernels differ. Default: the newest. */
  readonly kernel?: KernelVersion;
  /** Decides every interleaving. Without one a task runs on until it must wait. */
  readonly scheduler?: Scheduler;
  /** Bound of the wait for an asynchronous callback and for a held update lock, ms. With a scheduler there is no clock, and no bound. Default 1000. */
  readonly callbackTimeout?: number;
  /** Page frames of the machine. Default 2^24, 64 GiB; one that holds only zeroes costs nothing but its number. */
  readonly frames?: number;
  /** The pool of MAP_HUGETLB (vm.nr_hugepages), in pages of 2 MiB; they come out of `frames` as they are used. Default 64. */
  readonly hugePages?: number;
  /** The devices, ids ascending from 0; capacity in pages. Default: two with private memory of 64 MiB, two with coherent memory of 256 MiB. */
  readonly devices?: readonly SimulatedDevice[];
}

export interface SimulatedDevice {
  readonly kind: DeviceKind;
  readonly capacity: number;
}

const NEWEST: KernelVersion = '6.12';
const DEFAULT_TIMEOUT = 1000;
const DEFAULT_FRAMES = 2 ** 24;
const DEFAULT_HUGE_PAGES = 64;
const FIRST_PID = 1000;

const DEFAULT_DEVICES: readonly SimulatedDevice[] = [
  { kind: 'private', capacity: 16_384 },
  { kind: 'private', capacity: 16_384 },
  { kind: 'coherent', capacity: 65_536 },
  { kind: 'coherent', capacity: 65_536 },
];

function featuresOf(devices: readonly DeviceInfo[]): Features {
  const devicePrivate = devices.some(({ kind }) => kind === 'private');
  const deviceCoherent = devices.some(({ kind }) => kind === 'coherent');
  return {
    devicePrivate,
    deviceCoherent,
    exclusive: true,
    transparentHugePages: true,
    hugetlb: true,
    reasons: {
      ...(devicePrivate ? {} : { devicePrivate: 'no device with private memory was asked for' }),
      ...(deviceCoherent ? {} : { deviceCoherent: 'no device with coherent memory was asked for' }),
    },
  };
}

export class Simulation implements Backend, SpaceOwner {
  readonly kind = 'simulation';
  readonly kernelRelease: string;
  readonly pageSize = PAGE_SIZE;
  readonly features: Features;
  readonly devices: readonly DeviceInfo[];
  readonly machine: Machine;
  readonly spaces = new Set<AddressSpace>();
  #nextPid = FIRST_PID;
  #clock = 0n;
  #closing: Promise<void> | null = null;

  constructor(options: SimulationOptions) {
    const version = options.kernel ?? NEWEST;
    const profile = profileFor(version);
    if (profile === null) throw new TypeError(`the simulation has no profile of a kernel ${version}`);
    const scheduler = options.scheduler ?? null;
    this.kernelRelease = `simulation-${profile.version}`;
    const engine = Engine.of(scheduler);
    engine.machines.push(this);
    const spare = SpareMemory.of(scheduler);
    const frames = new Frames(options.frames ?? DEFAULT_FRAMES, spare?.takeFrames());
    spare?.lent(frames);
    const devices = new DeviceSet(frames, options.devices ?? DEFAULT_DEVICES);
    this.devices = devices.infos;
    this.features = featuresOf(devices.infos);
    this.machine = {
      engine,
      frames,
      profile,
      hugetlb: new HugetlbPool(frames, options.hugePages ?? DEFAULT_HUGE_PAGES),
      pageLocks: new PageLocks(engine, frames),
      devices,
      spare,
      callbackTimeout: scheduler === null ? (options.callbackTimeout ?? DEFAULT_TIMEOUT) : null,
      tick: () => ++this.#clock,
    };
  }

  createAddressSpace(): Promise<AddressSpace> {
    if (this.#closing !== null) return Promise.reject(new HmmError('ERR_HMM_CLOSED', 'createAddressSpace'));
    return Promise.resolve(this.adopt(new Mm(this.machine)));
  }

  createLock(name: string): BackendLock {
    return new DriverLock(this.machine.engine, name);
  }

  deviceUsage(device: number): number {
    if (!this.hasDevice(device)) throw new HmmError('EINVAL', 'device_usage', 'no such device');
    this.machine.engine.touch(reads(MEMORY));
    return this.machine.devices.memory(device)?.used ?? 0;
  }

  async evictDevice(device: number): Promise<MigrateResult> {
    if (!this.hasDevice(device)) throw new HmmError('EINVAL', 'migrate_device_range', 'no such device');
    const memory = this.machine.devices.memory(device);
    if (memory === null)
      throw new HmmError('EOPNOTSUPP', 'migrate_device_range', 'the device has no memory of its own');
    return await this.machine.engine.start('migrate_device_range', evictMemory(this.machine, memory));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  adopt(mm: Mm): AddressSpace {
    const space = new AddressSpace(this, this.#nextPid++, mm);
    this.spaces.add(space);
    return space;
  }

  hasDevice(device: number): boolean {
    return this.machine.devices.has(device);
  }

  forget(space: AddressSpace): void {
    this.spaces.delete(space);
  }

  async #close(): Promise<void> {
    // A fork that is under way may add a space while the others are being closed.
    while (this.spaces.size > 0) await Promise.all([...this.spaces].map((space) => space.close()));
  }
}

/** A lock of a program's own, whose waiting the scheduler sees. */
class DriverLock implements BackendLock {
  readonly #engine: Engine;
  readonly #mutex: Mutex;

  constructor(engine: Engine, name: string) {
    this.#engine = engine;
    this.#mutex = new Mutex(engine, name);
  }

  async acquire(): Promise<void> {
    await this.#engine.start('lock', this.#mutex.acquire(), 0);
  }

  tryAcquire(): boolean {
    this.#engine.touch(writes(LOCKS));
    return this.#mutex.trylock();
  }

  release(): void {
    this.#engine.touch(writes(LOCKS));
    if (!this.#mutex.held) throw new HmmError('EINVAL', 'unlock', 'the lock is not held');
    this.#mutex.release();
  }
}
