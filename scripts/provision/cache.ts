import { createHash, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { VmError } from '../vm/errors.js';
import type { Progress } from './tools.js';

/** Where kernels, QEMU and builds are kept: NODE_HMM_CACHE, or node-hmm below the user's cache folder. */
export function cacheRoot(env: NodeJS.ProcessEnv = process.env): string {
  const own = env['NODE_HMM_CACHE'];
  if (own !== undefined && own !== '') return own;
  const xdg = env['XDG_CACHE_HOME'];
  return join(xdg !== undefined && xdg !== '' ? xdg : join(homedir(), '.cache'), 'node-hmm');
}

/** A short name for what a result was made from; different inputs give different names. */
export function contentKey(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(`${part.length}:`).update(part);
  return hash.digest('hex').slice(0, 20);
}

/**
 * Returns the folder at `target`, made by `make` if it is not there. It appears whole or not at all: it is made
 * under another name and renamed. Two processes that need it at once: one makes it, the other waits.
 * @param make fills the empty folder that it is given.
 * @param signal ends the waiting for another process; `make` looks at it itself.
 */
export async function cachedFolder(
  target: string,
  progress: Progress,
  make: (folder: string) => Promise<void>,
  signal?: AbortSignal,
): Promise<string> {
  if (existsSync(target)) return target;
  mkdirSync(dirname(target), { recursive: true });
  const work = async (): Promise<string> => {
    if (existsSync(target)) return target;
    removeAbandonedDrafts(target);
    const draft = `${target}.${process.pid}.${randomUUID()}.tmp`;
    mkdirSync(draft);
    try {
      await make(draft);
      publish(draft, target);
    } finally {
      rmSync(draft, { recursive: true, force: true });
    }
    return target;
  };
  return await withLock(`${target}.lock`, progress, work, signal);
}

/** A process that was killed leaves its draft: of a kernel, gigabytes. Only those of processes that are gone are removed. */
function removeAbandonedDrafts(target: string): void {
  const folder = dirname(target);
  for (const name of readdirSync(folder)) {
    if (!name.startsWith(`${basename(target)}.`) || !name.endsWith('.tmp')) continue;
    const pid = Number(name.slice(basename(target).length + 1).split('.')[0]);
    if (Number.isInteger(pid) && pid > 0 && isGone(pid)) rmSync(join(folder, name), { recursive: true, force: true });
  }
}

function publish(draft: string, target: string): void {
  try {
    renameSync(draft, target);
  } catch (error) {
    // Somebody else was faster (see withLock); theirs is as good.
    if (!existsSync(target)) throw error;
  }
}

/** Replaces a small file at once, for readers that do not lock. */
export function writeFileAtomically(path: string, data: string | Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true });
  const draft = `${path}.${randomUUID()}.tmp`;
  try {
    writeFileSync(draft, data);
    renameSync(draft, path);
  } finally {
    rmSync(draft, { force: true });
  }
}

function holderIsGone(lock: string): boolean {
  let pid: number;
  try {
    pid = Number(readFileSync(lock, 'utf8'));
  } catch {
    return false; // released just now
  }
  if (!Number.isInteger(pid) || pid <= 0) return false; // not written yet
  return isGone(pid);
}

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

/**
 * Saves work, not correctness: taking over the lock of a dead process has a race that lets two in, and then the
 * atomic rename in `publish` decides.
 */
async function withLock<T>(
  lock: string,
  progress: Progress,
  work: () => Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  for (let announced = false; ;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    if (holderIsGone(lock)) {
      rmSync(lock, { force: true });
      continue;
    }
    if (!announced) progress(`waiting for another process that holds ${lock}`);
    announced = true;
    await sleep(200);
    if (signal?.aborted === true) throw new VmError('aborted', `the waiting for ${lock} was stopped`);
  }
  try {
    return await work();
  } finally {
    rmSync(lock, { force: true });
  }
}
