/** The side of the differential test that runs on the simulation. */
import { openHmm, type AddressSpace, type Hmm } from 'node-hmm';
import { execute, type Execution } from './execute.js';
import type { Program } from './program.js';
import type { Machine } from './protocol.js';

export class Simulation {
  readonly #machine: Machine;
  #hmm: Promise<{ readonly hmm: Hmm; readonly origin: AddressSpace }> | null = null;

  /** @param machine the one to behave as: its kernel and its devices */
  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** @returns what the program showed; for a fault of the simulation's own, that instead of an answer */
  async run(program: Program): Promise<Execution> {
    this.#hmm ??= this.#open();
    const { hmm, origin } = await this.#hmm;
    try {
      return await execute(hmm, origin, program);
    } catch (error) {
      // It may be in any state now: the next program gets another.
      this.#hmm = null;
      return { log: [[`the simulation threw ${error instanceof Error ? error.stack : String(error)}`]] };
    }
  }

  async #open() {
    const { release, devices } = this.#machine;
    const kernel = profileOf(release);
    const hmm = await openHmm({ backend: 'simulation', kernel, devices });
    return { hmm, origin: await hmm.createAddressSpace() };
  }
}

/** Newer kernels than were read are taken for the newest that was. */
export function profileOf(release: string): '6.1' | '6.12' {
  return /^6\.1\./.test(release) ? '6.1' : '6.12';
}
