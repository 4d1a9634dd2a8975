import type { VmError } from './vm/errors.js';

/** How the programs of this project end, where it is not with a command's own status. */
export const EXIT = {
  /** Wrong usage (EX_USAGE). */
  usage: 64,
  /** What was given to it cannot be used: a scenario, a result (EX_DATAERR). */
  data: 65,
  /** The machine, or its set-up, failed: nothing is known about the command (EX_UNAVAILABLE). */
  machine: 69,
  /** The kernel reported a fault, or the module could not be unloaded (EX_SOFTWARE). */
  kernel: 70,
  /** The time limit ran out, as timeout(1) says it. */
  timeout: 124,
  /** 128 + SIGINT, SIGPIPE, SIGTERM. */
  interrupted: 130,
  brokenPipe: 141,
  terminated: 143,
} as const;

/**
 * A machine that did not end as it should. What the kernel reported comes first: a hang, or the end
 * of QEMU, after that is its consequence.
 */
export function statusOfFailure({ failure, splats }: VmError): number {
  // The fault was QEMU's, whatever the kernel made of it.
  if (failure === 'emulator') return EXIT.machine;
  if (failure === 'aborted') return EXIT.interrupted;
  if (failure === 'panic' || splats.length > 0) return EXIT.kernel;
  return failure === 'timeout' ? EXIT.timeout : EXIT.machine;
}
