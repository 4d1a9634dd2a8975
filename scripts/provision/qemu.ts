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

/**
 * An older one, when it translates for several processors in parallel, may run code that the kernel
 * is just patching as it was before: it translated without holding the page that it read (cured in
 * 8.1). The kernel then dies of its own breakpoint, "int3".
 */
const FIRST_RIGHT = [8, 1] as const;

/** A QEMU that can be started. */
export interface Qemu {
  readonly program: string;
  /** Where it came from, for `doctor`. */
  readonly origin: 'NODE_HMM_QEMU' | 'PATH' | 'cache';
  readonly env: NodeJS.ProcessEnv;
  /** Folders with its firmware; empty for one that finds its own. */
  readonly firmware: readonly string[];
}

/** Another folder than those that hold, on Debian 12, a QEMU that translates wrongly. */
function qemuFolder(): string {
  return join(cacheRoot(), `qemu-${FIRST_RIGHT.join('.')}`);
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
 * The QEMU that would be used, without fetching one: NODE_HMM_QEMU (a path, or "cache" for the one
 * in the cache), else one on PATH that translates rightly, else one in the cache, else any on PATH.
 */
export async function findQemu(): Promise<Qemu | undefined> {
  const chosen = process.env['NODE_HMM_QEMU'];
  if (chosen !== undefined && chosen !== '' && chosen !== 'cache') {
    return { program: chosen, origin: 'NODE_HMM_QEMU', env: process.env, firmware: [] };
  }
  const path = chosen === 'cache' ? undefined : findOnPath(PROGRAM);
  const installed: Qemu | undefined =
    path === undefined ? undefined : { program: path, origin: 'PATH', env: process.env, firmware: [] };
  if (installed !== undefined && translatesRightly(await qemuVersion(installed))) return installed;
  return existsSync(qemuFolder()) ? cachedQemu(qemuFolder()) : installed;
}

const versions = new Map<string, Promise<string>>();

/** @throws VmError 'provisioning' if it does not start */
export async function qemuVersion({ program, env }: Qemu): Promise<string> {
  const asked = versions.get(program) ?? runTool(program, ['--version'], { env }).then(parseVersion);
  versions.set(program, asked);
  return await asked;
}

function parseVersion(output: Buffer): string {
  return /version (\S+)/.exec(output.toString())?.[1] ?? output.toString().trim();
}

/** @param version as QEMU says it: "10.0.2" */
export function translatesRightly(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > FIRST_RIGHT[0] || (major === FIRST_RIGHT[0] && minor >= FIRST_RIGHT[1]);
}

/**
 * A QEMU, fetched from the distribution's archive into the cache if this machine has none, or one
 * that translates wrongly.
 */
export async function provideQemu(progress: Progress, signal?: AbortSignal): Promise<Qemu> {
  const found = await findQemu();
  if (found !== undefined && found.origin !== 'PATH') return found;
  const old = found === undefined ? undefined : await qemuVersion(found);
  if (found !== undefined && translatesRightly(old!)) return found;
  try {
    return await fetchedQemu(old, progress, signal);
  } catch (error) {
    if (found === undefined || signal?.aborted === true) throw error;
    progress(`${(error as Error).message}\nso QEMU ${old} is used, under which an emulated boot may fail by its fault`);
    return found;
  }
}

async function fetchedQemu(old: string | undefined, progress: Progress, signal?: AbortSignal): Promise<Qemu> {
  const folder = await cachedFolder(
    qemuFolder(),
    progress,
    async (draft) => {
      const why = old === undefined ? 'no QEMU on this machine' : `QEMU ${old} on PATH translates wrongly (before 8.1)`;
      progress(`${why}: fetching one into the cache`);
      try {
        await fetchQemu(new Apt(progress, signal), draft, progress);
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        throw new VmError('provisioning', `cannot fetch QEMU (installing ${PACKAGE} helps): ${reason}`, {
          cause: error,
        });
      }
    },
    signal,
  );
  return cachedQemu(folder);
}

/** The release's own if that translates rightly, else that of its backports, if there is one. */
async function fetchQemu(apt: Apt, folder: string, progress: Progress): Promise<void> {
  let candidate = await apt.candidate(PACKAGE);
  if (candidate === undefined) {
    // Missing package lists.
    await apt.update();
    candidate = await apt.candidate(PACKAGE);
  }
  if (candidate === undefined || !translatesRightly(upstream(candidate))) {
    if (!(await apt.useBackports())) progress(`this distribution has no newer QEMU than ${candidate ?? 'none'}`);
  }
  const downloads = join(folder, 'download');
  await apt.refreshing(async () => apt.unpack(await apt.missing([PACKAGE], OWN_FILES), folder, downloads));
  rmSync(downloads, { recursive: true });
  // Proves that every library is there.
  await qemuVersion(cachedQemu(folder));
}

/** "1:10.0.2+ds-2" is version 10.0.2 of QEMU. */
function upstream(version: string): string {
  return version.replace(/^\d+:/, '').replace(/[+-].*$/, '');
}
