import { existsSync, realpathSync, statSync } from 'node:fs';
import { resolve } from 'node:path';

import { provideGuestProgram } from '../provision/guest-program.js';
import { provideInitramfs } from '../provision/initramfs.js';
import { provideKernel, type Kernel } from '../provision/kernel.js';
import { provideModule } from '../provision/module.js';
import { provideQemu } from '../provision/qemu.js';
import type { Progress } from '../provision/tools.js';
import { chooseAccelerator, type AcceleratorChoice } from './accelerator.js';
import { deviceMemoryCommandLine, moduleParameters } from './device-memory.js';
import { VmError } from './errors.js';
import { guestEnvironment, keptPaths, SCRATCH_DIRECTORIES } from './guest-view.js';
import { findSplats } from './kernel-log.js';
import { DEFAULT_KERNEL, kernelNamed } from './kernels.js';
import { runMachine, type OutputSink } from './machine.js';
import {
  baseCommandLine,
  consoleArgs,
  kernelArgs,
  machineArgs,
  portArgs,
  shareArgs,
  type Accelerator,
} from './qemu-args.js';

export interface VmOptions {
  /** The program and its arguments; looked up on PATH in the guest. */
  readonly command: readonly string[];
  /** A name from KERNELS; default debian-6.12. */
  readonly kernel?: string;
  /** As QEMU takes it; default 4G. */
  readonly memory?: string;
  /** Default 2. */
  readonly cpus?: number;
  /** Build and load hmm_mirror; default true. A path: load that module instead. */
  readonly module?: boolean | string;
  /** For the module, as insmod takes them: "name=value name=value". They follow those of the runner's own and so decide. */
  readonly moduleParameters?: string;
  /** Huge pages reserved at boot, 2 MiB each; default none. */
  readonly hugePages?: number;
  /** Default: kvm if it works here, else tcg. */
  readonly accelerator?: Accelerator;
  /** Folders of the host that the command may change; everything else is read-only or the guest's own. */
  readonly writable?: readonly string[];
  /** Added to the kernel's command line. */
  readonly append?: readonly string[];
  /** The command's folder; default this process's. */
  readonly cwd?: string;
  /** The command's environment; default this process's. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Limit for the machine's whole run, seconds; default none. Provisioning does not count. */
  readonly timeout?: number;
  /** Limit for the boot, seconds; default the kernel's own: debug kernels under tcg are slow. */
  readonly bootTimeout?: number;
  /** Fetch the kernel anew. */
  readonly refresh?: boolean;
  /** Ends the machine. */
  readonly signal?: AbortSignal;
  /** The kernel prints everything from its first line on. */
  readonly verbose?: boolean;
  readonly stdout?: OutputSink;
  readonly stderr?: OutputSink;
  readonly console?: OutputSink;
  readonly progress?: Progress;
  readonly onBoot?: (info: BootInfo & { readonly pid: number }) => void;
}

export interface BootInfo extends AcceleratorChoice {
  readonly kernelRelease: string;
}

export interface VmResult extends BootInfo {
  /** The command's exit status, or 128 + n if signal n ended it. */
  readonly status: number;
  /** Set if a signal ended the command. */
  readonly signal: number | undefined;
  /** Kernel splats, each with its report; anything here is a failure of the kernel or of the module. */
  readonly splats: readonly string[];
  /** Why the module could not be removed after the command; a leak. */
  readonly unloadFailure: string | undefined;
  /** The kernel's console from the start of the machine to its end. */
  readonly log: string;
  readonly timings: VmTimings;
}

/** Milliseconds. */
export interface VmTimings {
  /** Fetching and building what was missing. */
  readonly provisioning: number;
  /** From QEMU's start to the guest's first program. */
  readonly boot: number;
  /** From there to the command's start: mounting and loading. */
  readonly setup: number;
  readonly command: number;
  /** From the command's end to QEMU's. */
  readonly shutdown: number;
}

function writableFolder(cwd: string, folder: string): string {
  const path = resolve(cwd, folder);
  if (!existsSync(path) || !statSync(path).isDirectory()) {
    throw new VmError('setup', `the writable folder ${path} is not there or not a folder`);
  }
  return realpathSync(path);
}

async function moduleToLoad(
  module: boolean | string,
  kernel: Kernel,
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  if (module === false) return undefined;
  return realpathSync(module === true ? await provideModule(kernel, progress, signal) : module);
}

function checkHost(): void {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new VmError('unsupported', `machines run on Linux x64 hosts, not on ${process.platform} ${process.arch}`);
  }
}

/**
 * Boots a kernel in a virtual machine, loads the module, runs one command with the host's files in view, and takes the
 * machine down. What is missing (kernel, QEMU, module) is fetched and built first, into the cache.
 * @throws VmError if the machine, not the command, fails.
 */
export async function runInVm(options: VmOptions): Promise<VmResult> {
  checkHost();
  const start = performance.now();
  const progress = options.progress ?? ((): void => undefined);
  const { signal } = options;
  const description = kernelNamed(options.kernel ?? DEFAULT_KERNEL);
  const cwd = realpathSync(options.cwd ?? process.cwd());
  const env = guestEnvironment(options.env ?? process.env, cwd, description.name);
  const writable = (options.writable ?? []).map((folder) => writableFolder(cwd, folder));

  const qemu = await provideQemu(progress, signal);
  const kernel = await provideKernel(description, progress, { refresh: options.refresh ?? false, signal });
  const initramfs = provideInitramfs(await provideGuestProgram(progress, signal), kernel.modules);
  const module = await moduleToLoad(options.module ?? true, kernel, progress, signal);
  const choice: AcceleratorChoice =
    options.accelerator === undefined
      ? await chooseAccelerator(qemu, { image: kernel.image, initramfs }, progress, signal)
      : { accelerator: options.accelerator, reason: 'as asked' };
  const provisioned = performance.now();

  const memory = options.memory ?? '4G';
  const machine = {
    accelerator: choice.accelerator,
    memory,
    cpus: options.cpus ?? 2,
    firmware: qemu.firmware,
    kernelImage: kernel.image,
    initramfs,
    kernelCommandLine: [
      ...baseCommandLine(choice.accelerator, options.verbose ?? false),
      ...description.commandLine,
      ...deviceMemoryCommandLine(memory),
      ...(options.hugePages === undefined ? [] : [`hugepages=${options.hugePages}`]),
      ...(options.append ?? []),
    ],
  };
  const ignore: OutputSink = () => undefined;
  const report = await runMachine(
    {
      program: qemu.program,
      args: [...machineArgs(machine), ...kernelArgs(machine), ...consoleArgs(), ...portArgs(), ...shareArgs(writable)],
      env: qemu.env,
      job: {
        ...(module === undefined
          ? {}
          : { module, moduleParameters: moduleParameters(module, memory, options.moduleParameters) }),
        cwd,
        scratch: SCRATCH_DIRECTORIES,
        keep: keptPaths(options.command, cwd, env, [process.execPath], existsSync),
        writable,
        env,
        argv: options.command,
      },
      stdout: options.stdout ?? ignore,
      stderr: options.stderr ?? ignore,
      console: options.console ?? ignore,
      onBoot: (kernelRelease, pid) => options.onBoot?.({ kernelRelease, pid, ...choice }),
      bootTimeout: (options.bootTimeout ?? description.bootTimeout) * 1000,
      timeout: options.timeout === undefined ? undefined : options.timeout * 1000,
      signal,
    },
    progress,
  );
  const { times, exit } = report;
  return {
    kernelRelease: report.release,
    ...choice,
    status: 'signal' in exit ? 128 + exit.signal : exit.code,
    signal: 'signal' in exit ? exit.signal : undefined,
    splats: findSplats(report.log),
    unloadFailure: report.unloadFailure,
    log: report.log,
    timings: {
      provisioning: provisioned - start,
      boot: times.boot,
      setup: times.started - times.boot,
      command: times.exit - times.started,
      shutdown: times.end - times.exit,
    },
  };
}
