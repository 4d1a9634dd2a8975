/** The workload process by itself, with no device: what of the kernel backend can be tested where the module is not. */
import { onTestFinished } from 'vitest';
import { loadAddon } from '../../lib/kernel/addon.js';
import { Workload } from '../../lib/kernel/workload.js';

export const loaded = loadAddon();
export const { addon } = loaded;

export const PAGE = 4096;
/** A gibibyte that nothing else of the process lies in. */
export const BASE = 2 ** 40;

/** The workload ends with the test that it belongs to. */
export function keep(workload: Workload): Workload {
  // Not by afterEach(): files that share this module (--no-isolate) would register that for the first of them alone.
  onTestFinished(() => workload.exit());
  return workload;
}

export async function startWorkload(): Promise<Workload> {
  return keep(await Workload.start(loaded, null));
}

/** Polls, since nothing tells when the kernel has removed a process. */
export async function until(condition: () => boolean, milliseconds = 5000): Promise<boolean> {
  for (const end = Date.now() + milliseconds; Date.now() < end;) {
    if (condition()) return true;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return condition();
}

export function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
