/** The side of the differential test that runs on the simulation. */
import { openHmm, type OpenHmmOptions } from 'node-hmm';
import { execute, type Execution } from './execute.js';
import type { Program } from './program.js';
import type { Machine } from './protocol.js';
import { Origin } from './origin.js';

export class Simulation {
  readonly #machine: Machine;
  #origin: Promise<Origin> | null = null;

  /** @param machine the one to behave as: its kernel and its devices */
  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** @returns what the program showed; for a fault of the simulation's own, that instead of an answer */
  async run(program: Program): Promise<Execution> {
    // Most of what an error costs is the trace of its stack, and a program meets a dozen that are answers, of which nobody reads it.
    const errors: { stackTraceLimit: number | undefined } = Error;
    const limit = errors.stackTraceLimit;
    // With 0 the stack would be walked all the same.
    errors.stackTraceLimit = undefined;
    let fault: unknown;
    try {
      return await this.#execute(program);
    } catch (error) {
      fault = error;
    } finally {
      errors.stackTraceLimit = limit;
    }
    // Once more, with the trace.
    try {
      await this.#execute(program);
    } catch (error) {
      return { log: [[`the simulation threw ${error instanceof Error ? error.stack : String(error)}`]] };
    }
    return { log: [[`the simulation threw ${String(fault)}, but not when the program ran again`]] };
  }

  async #execute(program: Program): Promise<Execution> {
    this.#origin ??= this.#open();
    const origin = await this.#origin;
    try {
      return await execute(origin, program);
    } catch (error) {
      // It may be in any state now: the next program gets another.
      this.#origin = null;
      throw error;
    }
  }

  async #open(): Promise<Origin> {
    const { devices } = this.#machine;
    return await Origin.create(await openHmm({ backend: 'simulation', kernel: profileOf(this.#machine), devices }));
  }
}

/** Newer kernels than were read are taken for the newest that was. */
export function profileOf({ release, version }: Pick<Machine, 'release' | 'version'>): Kernel {
  const stable = /^6\.(?:1|12)\.\d+$/.exec(version ?? '');
  if (stable !== null) return stable[0] as Kernel;
  return /^6\.1\./.test(release) ? '6.1' : '6.12';
}

type Kernel = NonNullable<OpenHmmOptions['kernel']>;
