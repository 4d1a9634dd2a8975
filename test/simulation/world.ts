/** A process at addresses of its own, with a notifier over everything that writes down what it is told. */
import { HmmError } from '../../lib/errors.js';
import { openSimulation } from '../../lib/simulation/index.js';
import { checkInvariant } from '../../lib/simulation/invariant.js';
import { Simulation } from '../../lib/simulation/simulation.js';
import type { BackendAddressSpace, BackendNotifier, Invalidation, OperationResult } from '../../lib/backend.js';
import type { Operation } from '../../lib/operations.js';
import type { SimulationOptions } from '../../lib/simulation/index.js';

export const PAGE = 4096;
export const MIB2 = 0x20_0000;
export const GIB = 0x4000_0000;
/** Start of a 512 GiB slice that nothing else lives in. */
export const BASE = 0x1000_0000_0000;
export const MAP_FIXED = 0x10;
export const PRIVATE = 0x22;
export const SHARED = 0x21;
export const RW = 3;
export const R = 1;

export interface Seen {
  readonly event: string;
  readonly start: number;
  readonly end: number;
}

/** `clear +0x1000..+0x2000`, relative to BASE. */
export function shown({ event, start, end }: Seen): string {
  return `${event} ${relative(start)}..${relative(end)}`;
}

function relative(address: number): string {
  return address >= BASE && address < BASE + 0x100_0000_0000
    ? `+0x${(address - BASE).toString(16)}`
    : `0x${address.toString(16)}`;
}

export class World {
  readonly simulation: Simulation;
  readonly log: Invalidation[] = [];
  constructor(
    readonly space: BackendAddressSpace,
    simulation: Simulation,
  ) {
    this.simulation = simulation;
  }

  /** Runs and returns the values; the first error is thrown. */
  run(...operations: Operation[]): (number | Uint8Array | undefined)[] {
    return this.results(...operations).map((result) => {
      if (result.error !== undefined) throw result.error;
      return result.value;
    });
  }

  results(...operations: Operation[]): OperationResult[] {
    const results = this.space.run(0, operations);
    if (results instanceof Promise) throw new Error('the operations did not complete synchronously');
    const wrong = checkInvariant(this.simulation);
    if (wrong.length > 0) throw new Error(wrong.join('\n'));
    return results;
  }

  /** The errno name of the one operation. */
  code(operation: Operation): string {
    const [result] = this.results(operation);
    return result!.error?.code ?? 'ok';
  }

  /** Anonymous private memory at BASE + offset. */
  map(offset: number, length: number, protection = RW, flags = PRIVATE): number {
    const [address] = this.run({ op: 'mmap', address: BASE + offset, length, protection, flags: flags | MAP_FIXED });
    return address as number;
  }

  /** One page at every other page, without checking invariants in between. */
  mapEveryOther(index: number): void {
    void this.space.run(0, [
      { op: 'mmap', address: BASE + index * 2 * PAGE, length: PAGE, flags: PRIVATE | MAP_FIXED },
    ]);
  }

  touch(offset: number, byte = 1): void {
    this.run({ op: 'write', address: BASE + offset, bytes: Uint8Array.of(byte) });
  }

  look(offset: number, length = 1): Uint8Array {
    const [bytes] = this.run({ op: 'read', address: BASE + offset, length });
    return bytes as Uint8Array;
  }

  /** The events since the last call, shown. */
  events(): string[] {
    return this.log.splice(0).map(shown);
  }

  vmas(space = this.space): string[] {
    const { mm } = [...this.simulation.spaces].find((each) => each.pid === space.pid)!;
    return [...mm.vmas].map((vma) => `${relative(vma.start)}..${relative(vma.end)}`);
  }

  async listen(start = 0, length = 2 ** 52): Promise<BackendNotifier> {
    return await this.space.insertNotifier(start, length, {
      invalidate: (event) => {
        this.log.push(event);
        return true;
      },
      timedOut: () => undefined,
    });
  }

  /** Snapshot or fault of [BASE + from, BASE + to), as short words: V, W, E, 0; or the errno name. */
  async pages(
    notifier: BackendNotifier,
    from: number,
    to: number,
    defaultFlags = 0n,
    inputs?: readonly bigint[],
    mask = 0n,
  ): Promise<string> {
    const pfns = new BigUint64Array((to - from) / PAGE);
    if (inputs !== undefined) pfns.set(inputs);
    const outcome = await this.fault(notifier, from, to, pfns, defaultFlags, mask);
    return outcome === 'ok' ? words(pfns) : outcome;
  }

  async fault(
    notifier: BackendNotifier,
    from: number,
    to: number,
    pfns: BigUint64Array,
    defaultFlags: bigint,
    pfnFlagsMask = 0n,
  ): Promise<string> {
    try {
      await this.space.rangeFault({
        notifier,
        start: BASE + from,
        end: BASE + to,
        revision: 0,
        notifierSequence: await notifier.readBegin(),
        defaultFlags,
        pfnFlagsMask,
        owner: null,
        pfns,
      });
      return 'ok';
    } catch (error) {
      if (error instanceof HmmError) return error.code;
      throw error;
    }
  }
}

export function words(pfns: BigUint64Array): string {
  return [...pfns]
    .map((pfn) => {
      const flags = `${pfn >> 63n ? 'V' : ''}${(pfn >> 62n) & 1n ? 'W' : ''}${(pfn >> 61n) & 1n ? 'E' : ''}`;
      return flags === '' ? '0' : flags;
    })
    .join(' ');
}

export async function openWorld(options: SimulationOptions = {}): Promise<World> {
  const simulation = openSimulation(options);
  if (!(simulation instanceof Simulation)) throw new Error('not the simulation');
  return new World(await simulation.createAddressSpace(), simulation);
}

export function worldOf(space: BackendAddressSpace, simulation: Simulation): World {
  return new World(space, simulation);
}
