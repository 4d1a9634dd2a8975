/** Everything that a machine needs before it can be started. */
import { existsSync, realpathSync, statSync } from 'node:fs';
import { resolve } from 'node:path';

import { provideGuestProgram } from '../provision/guest-program.js';
import { provideInitramfs } from '../provision/initramfs.js';
import { provideKernel, type Kernel } from '../provision/kernel.js';
import { provideModule } from '../provision/module.js';
import { provideQemu, qemuVersion, type Qemu } from '../provision/qemu.js';
import type { Progress } from '../provision/tools.js';
import { chooseAccelerator, knownAccelerator, type AcceleratorChoice } from './accelerator.js';
import type { Job } from './control.js';
import { deviceMemoryCommandLine, moduleParameters } from './device-memory.js';
import { VmError } from './errors.js';
import { guestEnvironment, keptPaths, SCRATCH_DIRECTORIES } from './guest-view.js';
import { DEFAULT_KERNEL, kernelNamed, type KernelDescription } from './kernels.js';
import { baseCommandLine, consoleArgs, kernelArgs, machineArgs, portArgs, shareArgs } from './qemu-args.js';
import type { VmOptions } from './run.js';

export interface PreparedMachine {
  readonly description: KernelDescription;
  readonly kernel: Kernel;
  readonly qemu: Qemu;
  readonly qemuVersion: string;
  readonly choice: AcceleratorChoice;
  /** QEMU's. */
  readonly args: readonly string[];
  readonly job: Job;
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
 * Fetches and builds what is missing (kernel, QEMU, module), and says how the machine is started.
 * @param boots false: nothing may be booted, not even to probe KVM
 * @throws VmError
 */
export async function prepareMachine(options: VmOptions, boots = true): Promise<PreparedMachine> {
  checkHost();
  const { signal } = options;
  const progress = options.progress ?? ((): void => undefined);
  const description = kernelNamed(options.kernel ?? DEFAULT_KERNEL);
  const cwd = realpathSync(options.cwd ?? process.cwd());
  const env = guestEnvironment(options.env ?? process.env, cwd, description.name);
  const writable = (options.writable ?? []).map((folder) => writableFolder(cwd, folder));

  const qemu = await provideQemu(progress, signal);
  const version = qemuVersion(qemu);
  // Awaited below: asking it takes a moment, in which other things are done.
  version.catch(() => undefined);
  const kernel = await provideKernel(description, progress, { refresh: options.refresh ?? false, signal });
  const initramfs = provideInitramfs(await provideGuestProgram(progress, signal), kernel.modules);
  const module = await moduleToLoad(options.module ?? true, kernel, progress, signal);
  const choose = async (): Promise<AcceleratorChoice> => {
    if (options.accelerator !== undefined) return { accelerator: options.accelerator, reason: 'as asked' };
    if (boots) return await chooseAccelerator(qemu, { image: kernel.image, initramfs }, progress, signal);
    return knownAccelerator(qemu) ?? { accelerator: 'tcg', reason: 'KVM was not probed yet, which takes a boot' };
  };
  const choice = await choose();

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
  const ports = portArgs(options.stdin !== undefined);
  const terminal = options.stdin?.terminal;
  return {
    description,
    kernel,
    qemu,
    qemuVersion: await version,
    choice,
    args: [...machineArgs(machine), ...kernelArgs(machine), ...consoleArgs(), ...ports, ...shareArgs(writable)],
    job: {
      ...(module === undefined
        ? {}
        : { module, moduleParameters: moduleParameters(module, memory, options.moduleParameters) }),
      cwd,
      scratch: SCRATCH_DIRECTORIES,
      keep: keptPaths(options.command, cwd, env, [process.execPath], existsSync),
      writable,
      env,
      input: options.stdin !== undefined,
      ...(terminal === undefined ? {} : { terminal: { ...terminal.size(), error: terminal.error } }),
      argv: options.command,
    },
  };
}
