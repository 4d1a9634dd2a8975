import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { VmError } from '../vm/errors.js';
import { Apt } from './apt.js';
import { cachedFolder, cacheRoot } from './cache.js';
import { findOnPath, runTool, type Progress } from './tools.js';

const PROGRAM = 'qemu-system-x86_64';
const PACKAGE = 'qemu-system-x86';

/** It looks for its modules and firmware in one place: all of them come from the cache, installed or not. */
const OWN_FILES = /^(?:qemu-.*|seabios|ipxe-qemu)$/;

/** A QEMU that can be started. */
export interface Qemu {
  readonly program: string;
  /** Where it came from, for `doctor`. */
  readonly origin: 'NODE_HMM_QEMU' | 'PATH' | 'cache';
  readonly env: NodeJS.ProcessEnv;
  /** Folders with its firmware; empty for one that finds its own. */
  readonly firmware: readonly string[];
}

function qemuFolder(): string {
  return join(cacheRoot(), 'qemu');
}

function cachedQemu(folder: string): Qemu {
  const libraries = ['usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu'].map((path) => join(folder, path));
  return {
    program: join(folder, 'usr', 'bin', PROGRAM),
    origin: 'cache',
    env: {
      ...process.env,
      LD_LIBRARY_PATH: libraries.join(':'),
      // Accelerators are loadable modules in distributions' builds.
      QEMU_MODULE_DIR: join(folder, 'usr/lib/x86_64-linux-gnu/qemu'),
    },
    firmware: ['usr/share/qemu', 'usr/share/seabios'].map((path) => join(folder, path)),
  };
}

/**
 * The QEMU that would be used, without fetching one: NODE_HMM_QEMU (a path, or "cache" for the one in the cache),
 * else one on PATH, else one in the cache.
 */
export function findQemu(): Qemu | undefined {
  const chosen = process.env['NODE_HMM_QEMU'];
  if (chosen !== undefined && chosen !== '' && chosen !== 'cache') {
    return { program: chosen, origin: 'NODE_HMM_QEMU', env: process.env, firmware: [] };
  }
  const installed = chosen === 'cache' ? undefined : findOnPath(PROGRAM);
  if (installed !== undefined) return { program: installed, origin: 'PATH', env: process.env, firmware: [] };
  return existsSync(qemuFolder()) ? cachedQemu(qemuFolder()) : undefined;
}

export async function qemuVersion(qemu: Qemu): Promise<string> {
  const output = (await runTool(qemu.program, ['--version'], { env: qemu.env })).toString();
  return /version (\S+)/.exec(output)?.[1] ?? output.trim();
}

/** A QEMU, fetched from the distribution's archive into the cache if this machine has none. */
export async function provideQemu(progress: Progress, signal?: AbortSignal): Promise<Qemu> {
  const found = findQemu();
  if (found !== undefined) return found;
  const folder = await cachedFolder(qemuFolder(), progress, async (draft) => {
    progress('no QEMU on this machine: fetching one into the cache');
    try {
      await fetchQemu(new Apt(progress, signal), draft);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new VmError('provisioning', `cannot fetch QEMU (installing ${PACKAGE} helps): ${why}`, { cause: error });
    }
    await qemuVersion(cachedQemu(draft)); // proves that every library is there
  });
  return cachedQemu(folder);
}

async function fetchQemu(apt: Apt, folder: string): Promise<void> {
  const downloads = join(folder, 'download');
  try {
    await apt.unpack(await apt.missing([PACKAGE], OWN_FILES), folder, downloads);
  } catch {
    // Missing or outdated package lists; a second failure is the caller's.
    await apt.update();
    await apt.unpack(await apt.missing([PACKAGE], OWN_FILES), folder, downloads);
  }
  rmSync(downloads, { recursive: true });
}
