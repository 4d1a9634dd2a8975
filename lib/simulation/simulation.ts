/** The simulation as a whole: its memory, its processes, its devices. */
import { AddressSpace } from './address-space.js';
import { Engine } from './engine/engine.js';
import { Frames } from './frames.js';
import { HmmError } from '../errors.js';
import { Mm } from './mm.js';
import { Mutex } from './engine/locks.js';
import { PAGE_SIZE } from '../constants.js';
import { PROFILES } from './profile.js';
import type { Backend, BackendLock, DeviceInfo, Features } from '../backend.js';
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
}

const NEWEST: KernelVersion = '6.12';
const DEFAULT_TIMEOUT = 1000;
const DEFAULT_FRAMES = 2 ** 24;
const FIRST_PID = 1000;

const FEATURES: Features = {
  devicePrivate: false,
  deviceCoherent: false,
  exclusive: false,
  transparentHugePages: false,
  reasons: {
    devicePrivate: 'the simulation has no device memory yet',
    deviceCoherent: 'the simulation has no device memory yet',
    exclusive: 'the simulation does not make pages exclusive to a device yet',
    transparentHugePages: 'the simulation maps pages of 4 KiB only, as a kernel does whose huge pages nobody advises',
  },
};

const DEVICES: readonly DeviceInfo[] = [
  { id: 0, kind: 'none', capacity: 0 },
  { id: 1, kind: 'none', capacity: 0 },
];

export class Simulation implements Backend, SpaceOwner {
  readonly kind = 'simulation';
  readonly kernelRelease: string;
  readonly pageSize = PAGE_SIZE;
  readonly features = FEATURES;
  readonly devices = DEVICES;
  readonly machine: Machine;
  readonly spaces = new Set<AddressSpace>();
  #nextPid = FIRST_PID;
  #clock = 0n;
  #closing: Promise<void> | null = null;

  constructor(options: SimulationOptions) {
    const profile = PROFILES[options.kernel ?? NEWEST];
    const scheduler = options.scheduler ?? null;
    this.kernelRelease = `simulation-${profile.version}`;
    this.machine = {
      engine: new Engine(scheduler),
      frames: new Frames(options.frames ?? DEFAULT_FRAMES),
      profile,
      callbackTimeout: scheduler === null ? (options.callbackTimeout ?? DEFAULT_TIMEOUT) : null,
      tick: () => ++this.#clock,
    };
  }

  createAddressSpace(): Promise<AddressSpace> {
    if (this.#closing !== null) return Promise.reject(new HmmError('ERR_HMM_CLOSED', 'createAddressSpace'));
    return Promise.resolve(this.adopt(new Mm(this.machine)));
  }

  createLock(): BackendLock {
    return new DriverLock(this.machine.engine);
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
    return DEVICES.some(({ id }) => id === device);
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

  constructor(engine: Engine) {
    this.#engine = engine;
    this.#mutex = new Mutex(engine);
  }

  async acquire(): Promise<void> {
    await this.#engine.start('lock', this.#mutex.acquire());
  }

  release(): void {
    if (!this.#mutex.held) throw new HmmError('EINVAL', 'unlock', 'the lock is not held');
    this.#mutex.release();
  }
}
