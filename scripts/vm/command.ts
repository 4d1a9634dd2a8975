import { once } from 'node:events';
import { constants } from 'node:os';

import { VmError } from './errors.js';
import { DEFAULT_KERNEL, KERNELS } from './kernels.js';
import type { OutputSink } from './machine.js';
import { parseVmCommandLine, type VmCommandLine } from './options.js';
import { runInVm, type VmResult } from './run.js';

/** The machine failed; nothing is known about the command (EX_UNAVAILABLE). */
const EXIT_MACHINE_FAILED = 69;
/** The kernel splatted, or the module would not go (EX_SOFTWARE). */
const EXIT_KERNEL_FAULT = 70;

const HELP = `Usage: node-hmm vm [OPTIONS] -- COMMAND…

Boots a Linux kernel in a virtual machine, loads hmm_mirror, and runs COMMAND there with this machine's files
at their usual paths, in the current folder. Files are read-only; /tmp, /run and /var/tmp are the guest's own.

  --kernel NAME        the kernel to boot (default ${DEFAULT_KERNEL}):
${KERNELS.map(({ name, summary }) => `                         ${name.padEnd(16)} ${summary}`).join('\n')}
  --memory SIZE        such as 512M or 4G (default 4G)
  --cpus N             (default 2)
  --hugepages N        reserve N huge pages of 2 MiB at boot
  --module-args "K=V"  parameters of the module, after those of the runner's own
  --no-module          do not build and load the module
  --writable DIR       a folder that COMMAND may change; may be repeated
  --timeout SECONDS    end the machine after this time
  --append "ARGS"      more of the kernel's command line; may be repeated
  --accel NAME         kvm or tcg: do not choose by probing. icount: tcg, and the clock counts instructions
  --refresh            fetch the kernel again (the newest version in the archive)
  --verbose            the kernel's console, on standard error

Exit status: COMMAND's (128 + n if signal n ended it); 64 wrong usage; 69 the machine failed; 70 the kernel
reported a fault (BUG, WARNING, KASAN, …) or the module could not be unloaded; 130 and 143 after SIGINT and SIGTERM.

Kernels, QEMU and modules are kept in NODE_HMM_CACHE (default ~/.cache/node-hmm); deleting it is safe.
`;

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
      process.on(name, () => this.#stop(128 + constants.signals[name]));
    }
    // A reader that went away (a pipe into head): nobody is left to work for.
    for (const stream of [process.stdout, process.stderr]) {
      stream.on('error', () => this.#stop(128 + constants.signals.SIGPIPE));
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  #stop(status: number): void {
    this.status ??= status;
    this.#controller.abort();
  }
}

function statusOf(result: VmResult): number {
  for (const splat of result.splats) say(`kernel splat:\n${splat}`);
  if (result.unloadFailure !== undefined) say(`the module could not be unloaded: ${result.unloadFailure}`);
  return result.splats.length > 0 || result.unloadFailure !== undefined ? EXIT_KERNEL_FAULT : result.status;
}

function run(line: VmCommandLine, signal: AbortSignal): Promise<VmResult> {
  return runInVm({
    ...line,
    signal,
    stdout: sinkTo(process.stdout),
    stderr: sinkTo(process.stderr),
    ...(line.verbose ? { console: sinkTo(process.stderr) } : {}),
    progress: say,
    onBoot: ({ kernelRelease, accelerator, reason }) => say(`Linux ${kernelRelease} under ${accelerator} (${reason})`),
  });
}

/** @returns the exit status. */
export async function vmCommand(args: readonly string[]): Promise<number> {
  const line = parseVmCommandLine(args);
  if (line.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const interruption = new Interruption();
  try {
    return statusOf(await run(line, interruption.signal));
  } catch (error) {
    if (interruption.status !== undefined) return interruption.status;
    if (!(error instanceof VmError)) throw error;
    say(error.report);
    return EXIT_MACHINE_FAILED;
  }
}
