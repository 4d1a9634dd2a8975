import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { expect } from 'vitest';

/** Waits for something that must come: polls, and fails with `what` after half a minute. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`${what}: not after 30 s`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Gone, or dead and only waiting for its parent to look. */
export function hasEnded(pid: number): boolean {
  if (!existsSync(`/proc/${pid}`)) return true;
  try {
    return /^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || (error as NodeJS.ErrnoException).code === 'ESRCH')
      return true;
    throw error;
  }
}

/** Open files of the module's devices, in all processes: contexts that are alive. */
export function contexts(): number {
  return Number(readFileSync('/sys/module/hmm_mirror/refcnt', 'utf8'));
}

export function openFiles(): number {
  return readdirSync('/proc/self/fd').length;
}

/** Nobody holds a context any more. */
export async function noContextLeft(): Promise<void> {
  await until('every context is released', () => contexts() === 0);
  expect(contexts()).toBe(0);
}

/** A line of /proc/meminfo, in KiB. */
export function meminfo(field: string): number {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync('/proc/meminfo', 'utf8'));
  if (match === null) throw new Error(`/proc/meminfo has no ${field}`);
  return Number(match[1]);
}
