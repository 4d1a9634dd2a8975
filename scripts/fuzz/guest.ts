/** A machine that runs programs of the differential test, one boot for many. */
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { POOL, type Log, type Numbered } from '../../test/fuzz/program.js';
import type { FromGuest, Machine, ToGuest } from '../../test/fuzz/protocol.js';
import { packageRoot } from '../provision/package-root.js';
import type { Progress } from '../provision/tools.js';
import { VmError } from '../vm/errors.js';
import { LineSplitter } from '../vm/control.js';
import { kernelNamed, type KernelFeatures } from '../vm/kernels.js';
import { runInVm, type VmResult } from '../vm/run.js';

/** A program takes a fraction of a second; one that takes as long as this many seconds hangs. */
const PATIENCE = 120;

/** USER_HZ, in which /proc counts: 100 wherever there is an x86 or an ARM. */
const CLOCK_TICKS = 100;

/** V8's flags in a guest: without other threads, which the guest has no processor for. */
const NODE_FLAGS = ['--single-threaded', '--no-warnings'];

interface Waiting {
  readonly resolve: (result: GuestResult) => void;
  readonly reject: (error: unknown) => void;
}

export interface GuestResult {
  readonly log: Log;
  /** In the guest, for this program alone. */
  readonly milliseconds: number;
}

/**
 * What the row of the kernel promises and the machine does not have: a campaign without it would
 * say less than it seems to.
 */
function lacking({ devices, exclusive }: Machine, features: KernelFeatures): string | undefined {
  const has = (kind: string): boolean => devices.some((device) => device.kind === kind && device.capacity > 0);
  if (features.devicePrivate && !has('private')) return 'private device memory';
  if (features.deviceCoherent && !has('coherent')) return 'coherent device memory';
  return features.exclusive && !exclusive ? 'exclusive access' : undefined;
}

export class Guest {
  readonly machine: Machine;
  readonly #folder: string;
  readonly #ended: Promise<VmResult>;
  readonly #abort: AbortController;
  readonly #waiting: Map<number, Waiting>;
  readonly #slowness: number;
  readonly #pid: number;
  #files = 0;
  #tag = 0;
  #timer: NodeJS.Timeout | undefined;

  private constructor(parts: {
    machine: Machine;
    folder: string;
    ended: Promise<VmResult>;
    abort: AbortController;
    waiting: Map<number, Waiting>;
    slowness: number;
    pid: number;
  }) {
    this.machine = parts.machine;
    this.#folder = parts.folder;
    this.#ended = parts.ended;
    this.#abort = parts.abort;
    this.#waiting = parts.waiting;
    this.#slowness = parts.slowness;
    this.#pid = parts.pid;
  }

  /** @throws VmError if the machine does not get as far as to run programs */
  static async boot(kernel: string, progress: Progress, output: (chunk: Buffer) => void): Promise<Guest> {
    const folder = mkdtempSync(path.join(tmpdir(), 'node-hmm-fuzz-'));
    const abort = new AbortController();
    const waiting = new Map<number, Waiting>();
    const lines = new LineSplitter();
    let ready: (machine: Machine) => void;
    const greeted = new Promise<Machine>((resolve) => (ready = resolve));
    const hear = (message: FromGuest): void => {
      if (message.kind === 'ready') ready(message);
      if (message.kind !== 'result') return;
      const { index, log, milliseconds } = message;
      waiting.get(index)?.resolve({ log, milliseconds });
      waiting.delete(index);
    };
    let qemu = 0;
    const ended = runInVm({
      kernel,
      cpus: 1,
      hugePages: POOL,
      command: [process.execPath, ...NODE_FLAGS, path.join(packageRoot(), 'dist', 'test', 'fuzz', 'guest.js'), folder],
      cwd: packageRoot(),
      writable: [folder],
      signal: abort.signal,
      stdout: (chunk) => lines.push(chunk).forEach((line) => hear(JSON.parse(line) as FromGuest)),
      stderr: output,
      progress,
      onBoot: ({ pid, kernelRelease, accelerator, reason }) => {
        qemu = pid;
        progress(`${kernel}: Linux ${kernelRelease} under ${accelerator} (${reason})`);
      },
    }).finally(() => rmSync(folder, { recursive: true }));
    const early = ended.then((result): never => {
      const splats = result.splats.map((splat) => `\n${splat}`).join('');
      throw new VmError('died', `the guest's part of the test ended with status ${result.status}${splats}`);
    });
    const machine = await Promise.race([greeted, early]);
    const { slowness, features } = kernelNamed(kernel);
    const lacks = lacking(machine, features);
    if (lacks !== undefined) {
      early.catch(() => undefined);
      abort.abort();
      await ended.catch(() => undefined);
      throw new VmError('setup', `${kernel} has ${lacks}, and the module did not find it: programs would leave it out`);
    }
    const guest = new Guest({ machine, folder, ended, abort, waiting, slowness, pid: qemu });
    early.catch((error: unknown) => {
      clearTimeout(guest.#timer);
      for (const { reject } of waiting.values()) reject(error);
      waiting.clear();
    });
    return guest;
  }

  /** Runs the programs, after those that it was given before; each settles when it is done. */
  run(programs: readonly Numbered['program'][]): Promise<GuestResult>[] {
    const numbered = programs.map((program) => ({ index: this.#tag++, program }));
    const results = numbered.map(
      ({ index }) =>
        new Promise<GuestResult>((resolve, reject) => {
          this.#waiting.set(index, { resolve: (result) => (this.#watch(), resolve(result)), reject });
        }),
    );
    this.#watch();
    this.#send({ kind: 'programs', programs: numbered });
    return results;
  }

  /** Seconds of processors that the machine has taken since its start, as long as it runs: on an emulated processor it is these that programs cost. */
  cpuSeconds(): number {
    // utime and stime; what comes before them is in parentheses, and may be anything.
    const fields = readFileSync(`/proc/${this.#pid}/stat`, 'utf8').replace(/^.*\)/s, '').trim().split(' ');
    return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS;
  }

  /** @returns what the kernel complains of: nothing, if all is well */
  async close(): Promise<string[]> {
    clearTimeout(this.#timer);
    this.#send({ kind: 'end' });
    const { status, splats, unloadFailure } = await this.#ended;
    return [
      ...splats.map((splat) => `kernel splat:\n${splat}`),
      ...(status === 0 ? [] : [`the guest's part of the test ended with status ${status}`]),
      ...(unloadFailure === undefined ? [] : [`the module could not be unloaded: ${unloadFailure}`]),
    ];
  }

  /** Ends the machine at once. */
  async kill(): Promise<void> {
    clearTimeout(this.#timer);
    this.#abort.abort();
    await this.#ended.catch((error: unknown) => {
      if (!(error instanceof VmError)) throw error;
    });
  }

  /** A file appears whole: it is renamed to where the guest looks for it. */
  #send(message: ToGuest): void {
    const file = path.join(this.#folder, `${this.#files++}.json`);
    writeFileSync(`${file}.part`, JSON.stringify(message));
    renameSync(`${file}.part`, file);
  }

  #watch(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => {
        const [first] = this.#waiting.keys();
        if (first === undefined) return;
        const error = new VmError(
          'timeout',
          `a program has been running for ${PATIENCE} s: number ${first} of this machine`,
        );
        for (const { reject } of this.#waiting.values()) reject(error);
        this.#waiting.clear();
      },
      PATIENCE * this.#slowness * 1000,
    );
    this.#timer.unref();
  }
}
