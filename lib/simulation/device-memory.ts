/**
 * The memory of devices (mm/memremap.c): frames that the CPU cannot address (MEMORY_DEVICE_PRIVATE) or can
 * (MEMORY_DEVICE_COHERENT), given out by the driver, and given back to it by the last reference that goes.
 */
import type { DeviceInfo, DeviceKind } from '../backend.js';
import type { DeviceZone, Frames } from './frames.js';

/** What a page of device memory holds. */
export interface DevicePage {
  /** page->index: where in its anon_vma the page is. */
  readonly pgoff: number;
  /** Through whose context it migrated: on closing that, it goes back to system memory. */
  readonly context: object;
}

/** Numbers of frames are taken when they are needed, so that a device costs what it holds, not what it could. */
export class DeviceMemory implements DeviceZone {
  /** In use, and what for; null while the migration that allocated the frame is under way. */
  readonly #pages = new Map<number, DevicePage | null>();
  /** First freed, first taken again, after all that have never been taken; those before #freed are gone. */
  readonly #free: number[] = [];
  #freed = 0;
  readonly #frames: Frames;
  #taken = 0;

  constructor(
    frames: Frames,
    readonly info: DeviceInfo,
  ) {
    this.#frames = frames;
    frames.addDevice(info.id, this);
  }

  get private(): boolean {
    return this.info.kind === 'private';
  }

  get used(): number {
    return this.#pages.size;
  }

  /** @returns a zero-filled frame, or 0 if all are in use */
  allocate(): number {
    let frame: number;
    if (this.#taken < this.info.capacity) {
      frame = this.#frames.takeFor(this.info.id);
      this.#taken++;
    } else if (this.#freed < this.#free.length) {
      frame = this.#free[this.#freed++]!;
      if (this.#freed > 1024 && this.#freed * 2 > this.#free.length) {
        this.#free.splice(0, this.#freed);
        this.#freed = 0;
      }
    } else {
      return 0;
    }
    this.#pages.set(frame, null);
    return frame;
  }

  fill(frame: number, page: DevicePage): void {
    this.#pages.set(frame, page);
  }

  page(frame: number): DevicePage | null {
    return this.#pages.get(frame) ?? null;
  }

  /** What holds data: all, ascending as migrate_device_range goes, or what came through a context, in the order in which it came. */
  occupied(context: object | null): number[] {
    const found: number[] = [];
    for (const [frame, page] of this.#pages) {
      if (page !== null && (context === null || page.context === context)) found.push(frame);
    }
    return context === null ? found.sort((one, other) => one - other) : found;
  }

  /** dev_pagemap_ops.page_free */
  pageFree(frame: number): void {
    this.#pages.delete(frame);
    this.#free.push(frame);
  }
}

/** The devices of a machine, by id. */
export class DeviceSet {
  readonly infos: readonly DeviceInfo[];
  readonly #memories: readonly (DeviceMemory | null)[];

  constructor(frames: Frames, devices: readonly { readonly kind: DeviceKind; readonly capacity: number }[]) {
    this.infos = devices.map(({ kind, capacity }, id) => ({ id, kind, capacity: kind === 'none' ? 0 : capacity }));
    this.#memories = this.infos.map((info) => (info.kind === 'none' ? null : new DeviceMemory(frames, info)));
  }

  has(id: number): boolean {
    return id >= 0 && id < this.infos.length;
  }

  /** Null for a device that has none, or does not exist. */
  memory(id: number): DeviceMemory | null {
    return this.#memories[id] ?? null;
  }

  /** The memory that a frame belongs to; null for the system's. */
  owner(zone: number): DeviceMemory | null {
    return zone === 0 ? null : this.#memories[zone - 1]!;
  }

  get memories(): DeviceMemory[] {
    return this.#memories.filter((memory) => memory !== null);
  }
}
