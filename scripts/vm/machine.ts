import type { Progress } from '../provision/tools.js';
import { VmError, type VmFailure } from './errors.js';
import { encodeJob, HostLine, LineSplitter, parseGuestLine, type GuestMessage, type Job } from './control.js';
import { InputRelay, type GuestInput } from './guest-input.js';
import { findSplats, hasLostTimer, hasPanicked, hasTranslatorFault, logTail } from './kernel-log.js';
import { startQemu, type QemuProcess } from './qemu-process.js';

/** Takes output as it comes; a promise makes the machine wait until it settles. */
export type OutputSink = (chunk: Buffer) => void | Promise<void>;

export interface MachineOptions {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly job: Job;
  readonly stdout: OutputSink;
  readonly stderr: OutputSink;
  readonly console: OutputSink;
  /** Called with uname -r and QEMU's process when the first program runs, before the command's output. */
  readonly onBoot: (release: string, pid: number) => void;
  /** Limit for reaching the first program, milliseconds. */
  readonly bootTimeout: number;
  /** Limit for the whole run, milliseconds; undefined: none. */
  readonly timeout: number | undefined;
  readonly signal: AbortSignal | undefined;
  /** Of the command; undefined: it has none. The job says the same. */
  readonly stdin: GuestInput | undefined;
  /**
   * Whose processors run the kernel: the host's own, or a translator, of which old ones have a
   * fault.
   */
  readonly processors: 'own' | 'translated' | 'translated wrongly';
}

/** What the machine reported, and when, in milliseconds since QEMU was started. */
export interface MachineReport {
  readonly release: string;
  readonly exit: { readonly code: number } | { readonly signal: number };
  /** Why the module is still loaded after the command; undefined: it is not. */
  readonly unloadFailure: string | undefined;
  readonly log: string;
  readonly times: { readonly boot: number; readonly started: number; readonly exit: number; readonly end: number };
}

/** One run of one machine: from QEMU's start to its end. */
class MachineRun {
  readonly #options: MachineOptions;
  readonly #qemu: QemuProcess;
  readonly #start = performance.now();
  readonly #times = { boot: 0, started: 0, exit: 0 };
  readonly #relayed = { stdout: 0, stderr: 0 };
  readonly #log: Buffer[] = [];
  readonly #input: InputRelay | undefined;
  #failure: { readonly kind: VmFailure; readonly message: string; readonly cause?: unknown } | undefined;
  #release: string | undefined;
  #exit: MachineReport['exit'] | undefined;
  #expected: { readonly stdout: number; readonly stderr: number } | undefined;
  #unloadFailure: string | undefined;
  #done = false;

  constructor(options: MachineOptions) {
    this.#options = options;
    this.#qemu = startQemu(options.program, options.args, options.env);
    const { streams } = this.#qemu;
    this.#consume(streams.console, (chunk) => {
      this.#log.push(chunk);
      this.#watchBoot(chunk);
      return options.console(chunk);
    });
    for (const name of ['stdout', 'stderr'] as const) {
      this.#consume(streams[name], async (chunk) => {
        await options[name](chunk);
        this.#relayed[name] += chunk.length;
        this.#answerWhenDrained();
      });
    }
    if (options.stdin !== undefined) {
      this.#input = new InputRelay(
        options.stdin,
        {
          write: (chunk) => streams.stdin.write(chunk),
          onDrain: (resume) => streams.stdin.once('drain', resume),
          say: (line) => streams.control.write(line),
        },
        (error) => this.#fail('aborted', 'the standard input could not be read', error),
      );
    }
    const lines = new LineSplitter();
    streams.control.on('data', (chunk: Buffer) => {
      for (const line of lines.push(chunk)) this.#hear(line);
    });
  }

  async run(): Promise<MachineReport> {
    const { bootTimeout, timeout, signal } = this.#options;
    const late = setTimeout(() => {
      if (this.#release === undefined) this.#fail('boot', `no first program after ${bootTimeout / 1000} s`);
    }, bootTimeout);
    const over =
      timeout === undefined
        ? undefined
        : setTimeout(() => this.#fail('timeout', `the time limit of ${timeout / 1000} s ran out`), timeout);
    const abort = (): void => this.#fail('aborted', 'the run was stopped', signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    if (signal?.aborted === true) abort();
    try {
      const { status, messages } = await this.#qemu.ended;
      return this.#report(status, messages);
    } finally {
      clearTimeout(late);
      clearTimeout(over);
      this.#input?.stop();
      signal?.removeEventListener('abort', abort);
    }
  }

  /** A boot that hangs by QEMU's fault does not go on: its time need not run out. */
  #watchBoot(chunk: Buffer): void {
    if (this.#release !== undefined || this.#options.processors === 'own' || !chunk.includes('cpu=')) return;
    if (!hasLostTimer(Buffer.concat(this.#log).toString())) return;
    this.#fail('emulator', 'the machine failed to boot: under QEMU a processor got no timer interrupt any more');
  }

  /** Hands a stream's chunks to a sink, one at a time and not faster than it takes them. */
  #consume(stream: QemuProcess['streams']['console'], sink: OutputSink): void {
    stream.on('data', (chunk: Buffer) => {
      let taken: void | Promise<void>;
      try {
        taken = sink(chunk);
      } catch (error) {
        this.#fail('aborted', 'the output could not be delivered', error);
        return;
      }
      if (taken === undefined) return;
      stream.pause();
      taken
        .catch((error: unknown) => this.#fail('aborted', 'the output could not be delivered', error))
        .finally(() => stream.resume());
    });
  }

  #hear(line: string): void {
    let message: GuestMessage;
    try {
      message = parseGuestLine(line);
    } catch (error) {
      this.#fail('setup', error instanceof Error ? error.message : String(error));
      return;
    }
    const now = performance.now() - this.#start;
    switch (message.kind) {
      case 'boot':
        this.#release = message.release;
        this.#times.boot = now;
        this.#options.onBoot(message.release, this.#qemu.pid!);
        this.#qemu.streams.control.write(encodeJob(this.#options.job));
        break;
      case 'started':
        this.#times.started = now;
        this.#startInput();
        break;
      case 'exit':
      case 'signal':
        this.#exit = message;
        this.#times.exit = now;
        this.#input?.stop();
        break;
      case 'output':
        this.#expected = message;
        break;
      case 'unloaded':
        break;
      case 'loaded':
        this.#unloadFailure = message.reason;
        break;
      case 'failed':
        this.#fail('setup', message.reason);
        break;
      case 'done':
        this.#done = true;
        this.#answerWhenDrained();
    }
  }

  #startInput(): void {
    try {
      this.#input?.start();
    } catch (error) {
      this.#fail('setup', `the standard input: ${error instanceof Error ? error.message : String(error)}`, error);
    }
  }

  /**
   * The first program waits for an answer before it takes the machine down: bytes still on their way from a port to
   * the host would be lost with QEMU.
   */
  #answerWhenDrained(): void {
    const expected = this.#expected;
    if (!this.#done || expected === undefined) return;
    if (this.#relayed.stdout < expected.stdout || this.#relayed.stderr < expected.stderr) return;
    this.#qemu.streams.control.write(HostLine.drained);
  }

  /** The first failure counts; later ones follow from it. */
  #fail(kind: VmFailure, message: string, cause?: unknown): void {
    this.#failure ??= { kind, message, cause };
    this.#qemu.kill();
  }

  #report(status: string, messages: string): MachineReport {
    const log = Buffer.concat(this.#log).toString();
    if (this.#failure !== undefined) throw this.#error(this.#failure.kind, this.#failure.message, log, messages);
    const ending = `QEMU ended with ${status}`;
    if (hasPanicked(log)) throw this.#error('panic', 'the kernel panicked', log, messages);
    if (this.#release === undefined) throw this.#error('boot', `the kernel did not boot: ${ending}`, log, messages);
    if (!this.#done || this.#exit === undefined || status !== 'status 0') {
      throw this.#error('died', `the machine ended before the run did: ${ending}`, log, messages);
    }
    return {
      release: this.#release,
      exit: this.#exit,
      unloadFailure: this.#unloadFailure,
      log,
      times: { ...this.#times, end: performance.now() - this.#start },
    };
  }

  #error(kind: VmFailure, message: string, log: string, messages: string): VmError {
    const splats = findSplats(log);
    const commandStarted = this.#times.started > 0;
    const details = { logTail: logTail(log), splats, commandStarted, cause: this.#failure?.cause };
    if (kind !== 'aborted' && this.#translatorFailed(splats, commandStarted)) {
      const when = commandStarted ? 'the machine failed' : 'the machine failed to boot';
      return new VmError('emulator', `${when}: QEMU ran a stale or wrong translation of the kernel's code`, details);
    }
    return new VmError(kind, messages === '' ? message : `${message}\nQEMU says: ${messages}`, details);
  }

  /**
   * While it boots, a kernel has run nothing of the user's: such a fault is QEMU's. Later it could
   * be of the module's, unless QEMU is known to have it.
   */
  #translatorFailed(splats: readonly string[], commandStarted: boolean): boolean {
    const { processors } = this.#options;
    const possible = commandStarted ? processors === 'translated wrongly' : processors !== 'own';
    return possible && hasTranslatorFault(splats);
  }
}

/** Boots of one run. Before the command has started, another boot loses nothing; but it is told. */
const MAX_BOOTS = 2;

/**
 * Boots a machine, gives it its job and waits for its end.
 * @throws VmError for every end but that of the command.
 */
export async function runMachine(options: MachineOptions, progress: Progress): Promise<MachineReport> {
  for (let boots = 1; ; boots++) {
    try {
      return await new MachineRun(options).run();
    } catch (error) {
      if (!(error instanceof VmError) || error.failure !== 'emulator') throw error;
      if (error.commandStarted || boots === MAX_BOOTS) throw error;
      progress(`${error.message}. Once more:`);
    }
  }
}
