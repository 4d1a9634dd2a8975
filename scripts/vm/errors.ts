/** What went wrong with the machine itself, as opposed to the command that ran in it. */
export type VmFailure =
  | 'unsupported' // this host cannot run such a machine
  | 'provisioning' // a package, a tool or a build is missing or failed
  | 'boot' // the kernel did not reach its first program in time
  | 'emulator' // QEMU, not the kernel, was at fault: it ran code that was not the kernel's any more
  | 'setup' // the first program could not mount, load or start something
  | 'panic' // the kernel panicked
  | 'died' // QEMU ended without being asked to
  | 'timeout' // the time limit of the caller ran out
  | 'aborted'; // the caller's signal

export interface VmErrorDetails {
  /** The end of the kernel log, without splats singled out. */
  readonly logTail?: string;
  /** Kernel splats seen before the failure. */
  readonly splats?: readonly string[];
  /** Whether the command had been started: if not, the run can be repeated. */
  readonly commandStarted?: boolean;
  readonly cause?: unknown;
}

/** The machine did not end as it should. exit-status.ts says what the command line makes of it. */
export class VmError extends Error {
  override readonly name = 'VmError';
  readonly code = 'ERR_HMM_VM';
  readonly failure: VmFailure;
  readonly logTail: string;
  readonly splats: readonly string[];
  readonly commandStarted: boolean;

  constructor(failure: VmFailure, message: string, details: VmErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.failure = failure;
    this.logTail = details.logTail ?? '';
    this.splats = details.splats ?? [];
    this.commandStarted = details.commandStarted ?? false;
  }

  /** All that is known: what failed, the splats, and the end of the kernel log. */
  get report(): string {
    const splats = this.splats.map((splat) => `kernel splat:\n${splat}`);
    const tail = this.logTail === '' ? [] : [`the end of the kernel log:\n${this.logTail}`];
    return [`${this.failure}: ${this.message}`, ...splats, ...tail].join('\n');
  }
}
