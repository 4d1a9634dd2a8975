import { once } from 'node:events';
import { existsSync, realpathSync } from 'node:fs';
import { constants } from 'node:os';

import { EXIT, statusOfFailure } from '../exit-status.js';
import { onBrokenPipe } from '../program.js';
import { requireKernelBackend } from './addon-check.js';
import { VmError } from './errors.js';
import { hostInput, releaseInput } from './host-terminal.js';
import type { OutputSink } from './machine.js';
import { parseVmCommandLine, type VmCommandLine } from './options.js';
import { prepareMachine } from './prepare.js';
import { runInVm, type VmOptions, type VmResult } from './run.js';
import { shellCommand } from './shell-quote.js';

function say(line: string): void {
  process.stderr.write(`node-hmm vm: ${line}\n`);
}

function sinkTo(stream: NodeJS.WriteStream): OutputSink {
  return (chunk) => (stream.write(chunk) ? undefined : once(stream, 'drain').then(() => undefined));
}

/** Ends the machine when this process is told to end, and remembers by what. */
class Interruption {
  readonly #controller = new AbortController();
  status: number | undefined;

  constructor() {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(name, () => this.stop(128 + constants.signals[name]));
    }
    // Nobody is left to work for.
    onBrokenPipe(() => this.stop(EXIT.brokenPipe));
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  stop(status: number): void {
    // Whoever asks twice does not want to wait for the end of what cannot be stopped.
    if (this.status !== undefined) process.exit(this.status);
    this.status = status;
    this.#controller.abort();
  }
}

function statusOf(result: VmResult): number {
  for (const splat of result.splats) say(`kernel splat:\n${splat}`);
  if (result.unloadFailure !== undefined) say(`the module could not be unloaded: ${result.unloadFailure}`);
  return result.splats.length > 0 || result.unloadFailure !== undefined ? EXIT.kernel : result.status;
}

/** The user's shell, where it is a program of this machine's. */
function shell(): string[] {
  const own = process.env['SHELL'];
  return [own !== undefined && existsSync(own) ? own : '/bin/sh'];
}

function optionsOf(line: VmCommandLine): VmOptions {
  return { ...line, command: line.shell ? shell() : line.command, progress: say };
}

async function run(line: VmCommandLine, interruption: Interruption): Promise<VmResult> {
  const options = optionsOf(line);
  const input = hostInput(() => interruption.stop(EXIT.interrupted), say);
  if (input?.terminal !== undefined && line.shell) say('Ctrl-] ends the machine at once, exit when it is idle');
  return await runInVm({
    ...options,
    signal: interruption.signal,
    ...(input === undefined ? {} : { stdin: input }),
    stdout: sinkTo(process.stdout),
    stderr: sinkTo(process.stderr),
    ...(line.verbose ? { console: sinkTo(process.stderr) } : {}),
    ...(line.module
      ? {
          precondition: (signal: AbortSignal) =>
            requireKernelBackend(options.command, realpathSync(process.cwd()), { signal }),
        }
      : {}),
    onBoot: ({ kernelRelease, accelerator, reason, qemuVersion }) =>
      say(`Linux ${kernelRelease} under ${accelerator} (${reason}; QEMU ${qemuVersion})`),
  });
}

/** As a shell takes it, with the variables that QEMU needs to find its files. */
async function showCommand(line: VmCommandLine, signal: AbortSignal): Promise<number> {
  const { qemu, args, choice } = await prepareMachine({ ...optionsOf(line), signal }, false);
  const own = Object.entries(qemu.env).filter(([name, value]) => value !== undefined && process.env[name] !== value);
  const variables = own.map(([name, value]) => `${name}=${value}`);
  process.stdout.write(
    `${shellCommand([...(variables.length > 0 ? ['env', ...variables] : []), qemu.program, ...args])}\n`,
  );
  say(`${choice.accelerator} (${choice.reason}); the runner's end of the sockets fd=3, 4, … is not in this line`);
  return 0;
}

/** @returns the exit status. */
export async function vmCommand(args: readonly string[]): Promise<number> {
  const line = parseVmCommandLine(args);
  const interruption = new Interruption();
  try {
    return line.showCommand ? await showCommand(line, interruption.signal) : statusOf(await run(line, interruption));
  } catch (error) {
    if (interruption.status !== undefined) return interruption.status;
    if (!(error instanceof VmError)) throw error;
    say(error.report);
    return statusOfFailure(error);
  } finally {
    releaseInput();
  }
}
