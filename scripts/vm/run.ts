import type { Progress } from '../provision/tools.js';
import { translatesRightly } from '../provision/qemu.js';
import type { AcceleratorChoice } from './accelerator.js';
import type { GuestInput } from './guest-input.js';
import { findSplats } from './kernel-log.js';
import { runMachine, type MachineOptions, type OutputSink } from './machine.js';
import { prepareMachine, type PreparedMachine } from './prepare.js';
import type { Accelerator } from './qemu-args.js';
import { recordBoot } from './under-test.js';

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
  /** Standard input of the command; default none. */
  readonly stdin?: GuestInput;
  readonly stdout?: OutputSink;
  readonly stderr?: OutputSink;
  readonly console?: OutputSink;
  readonly progress?: Progress;
  /** Must hold before a machine is started; what is missing is fetched and built meanwhile. */
  readonly precondition?: (signal: AbortSignal) => Promise<void>;
  readonly onBoot?: (info: BootInfo & { readonly pid: number }) => void;
}

export interface BootInfo extends AcceleratorChoice {
  readonly kernelRelease: string;
  readonly qemuVersion: string;
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

/** Of the preparation and of the precondition, whichever fails first ends the other. */
async function prepared(options: VmOptions): Promise<PreparedMachine> {
  const { precondition, signal } = options;
  if (precondition === undefined) return await prepareMachine(options);
  const stop = new AbortController();
  const either = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  const [held, machine] = await Promise.allSettled([
    precondition(either).catch((error: unknown) => {
      stop.abort();
      throw error;
    }),
    prepareMachine({ ...options, signal: either }),
  ]);
  if (held.status === 'rejected') throw held.reason;
  if (machine.status === 'rejected') throw machine.reason;
  return machine.value;
}

function processors({ choice, qemuVersion }: PreparedMachine): MachineOptions['processors'] {
  if (choice.accelerator === 'kvm') return 'own';
  return translatesRightly(qemuVersion) ? 'translated' : 'translated wrongly';
}

/**
 * Boots a kernel in a virtual machine, loads the module, runs one command with the host's files in view, and takes the
 * machine down. What is missing (kernel, QEMU, module) is fetched and built first, into the cache.
 * @throws VmError if the machine, not the command, fails.
 */
export async function runInVm(options: VmOptions): Promise<VmResult> {
  const start = performance.now();
  const machine = await prepared(options);
  const provisioned = performance.now();
  const { description, qemu, qemuVersion, choice } = machine;
  const ignore: OutputSink = () => undefined;
  const report = await runMachine(
    {
      program: qemu.program,
      args: machine.args,
      env: qemu.env,
      job: machine.job,
      stdin: options.stdin,
      stdout: options.stdout ?? ignore,
      stderr: options.stderr ?? ignore,
      console: options.console ?? ignore,
      onBoot: (kernelRelease, pid) => {
        recordBoot({ kernel: description.name, kernelRelease, accelerator: choice.accelerator, qemuVersion });
        options.onBoot?.({ kernelRelease, pid, qemuVersion, ...choice });
      },
      bootTimeout: (options.bootTimeout ?? description.bootTimeout) * 1000,
      timeout: options.timeout === undefined ? undefined : options.timeout * 1000,
      signal: options.signal,
      processors: processors(machine),
    },
    options.progress ?? ((): void => undefined),
  );
  const { times, exit } = report;
  return {
    kernelRelease: report.release,
    qemuVersion,
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
