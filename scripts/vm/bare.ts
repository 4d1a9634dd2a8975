import type { Qemu } from '../provision/qemu.js';
import { VmError } from './errors.js';
import { findSplats, logTail } from './kernel-log.js';
import { baseCommandLine, consoleArgs, kernelArgs, machineArgs, type Accelerator } from './qemu-args.js';
import { startQemu } from './qemu-process.js';

/** What the first program prints when it is told to do nothing else; guest/init.c. */
const MARKER = 'node-hmm: first program';

export interface BareMachine {
  readonly image: string;
  readonly initramfs: string;
  readonly accelerator: Accelerator;
  readonly memory: string;
  readonly cpus: number;
}

export interface BareTimes {
  /** Milliseconds from QEMU's start to the first program. */
  readonly firstProgram: number;
  /** Milliseconds from QEMU's start to its end. */
  readonly end: number;
}

/**
 * Boots a kernel whose first program says that it runs and takes the machine down: no shares, no ports, no module.
 * @param limit milliseconds
 * @throws VmError 'boot' if the first program does not run in time, 'aborted' by the signal.
 */
export async function bootBare(
  qemu: Qemu,
  machine: BareMachine,
  limit: number,
  signal?: AbortSignal,
): Promise<BareTimes> {
  const description = {
    ...machine,
    firmware: qemu.firmware,
    kernelImage: machine.image,
    // What follows "--" goes to the first program.
    kernelCommandLine: [...baseCommandLine(machine.accelerator, false), '--', 'bare'],
  };
  const start = performance.now();
  const args = [...machineArgs(description), ...kernelArgs(description), ...consoleArgs()];
  const running = startQemu(qemu.program, args, qemu.env);
  let log = '';
  let firstProgram: number | undefined;
  running.streams.console.on('data', (chunk: Buffer) => {
    log += chunk.toString();
    if (firstProgram === undefined && log.includes(MARKER)) firstProgram = performance.now() - start;
  });
  const { control, stdout, stderr } = running.streams;
  for (const stream of [control, stdout, stderr]) stream.resume();
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    running.kill();
  }, limit);
  signal?.addEventListener('abort', running.kill, { once: true });
  if (signal?.aborted === true) running.kill();
  try {
    const { status, messages } = await running.ended;
    if (signal?.aborted === true) throw new VmError('aborted', 'the run was stopped');
    if (firstProgram === undefined || late) {
      const how = late ? `no end after ${limit / 1000} s` : `QEMU ended with ${status}`;
      throw new VmError('boot', `${how}${messages === '' ? '' : `; QEMU says: ${messages.split('\n')[0]}`}`, {
        logTail: logTail(log),
        splats: findSplats(log),
      });
    }
    return { firstProgram, end: performance.now() - start };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', running.kill);
  }
}
