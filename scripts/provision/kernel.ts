import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import type { KernelDescription } from '../vm/kernels.js';
import { cachedFolder, cacheRoot } from './cache.js';
import { provisionDebianKernel } from './debian-kernel.js';
import type { Progress } from './tools.js';

/** What kernel.json says of a cached kernel. */
export interface KernelRecord {
  /** uname -r */
  readonly release: string;
  /** File to boot, below the kernel's own folder. */
  readonly image: string;
  readonly packages: readonly string[];
  /** Folder to build modules against, below the kernel's own. */
  readonly headers: string;
  /** File names below modules/, dependencies first. */
  readonly modules: readonly string[];
}

/** A kernel in the cache, ready to boot. Paths are absolute. */
export interface Kernel {
  readonly name: string;
  readonly folder: string;
  readonly image: string;
  readonly headers: string;
  readonly modules: readonly string[];
  readonly release: string;
}

/** Of the folder's contents; another one is another folder, so that old caches are not misread. */
const LAYOUT = 'layout-3';

export function kernelFolder(name: string): string {
  return join(cacheRoot(), 'kernels', LAYOUT, name);
}

/** The cached kernel; the archive is asked only if there is none, or to replace it. */
export async function provideKernel(
  description: KernelDescription,
  progress: Progress,
  options: { refresh?: boolean; signal?: AbortSignal | undefined } = {},
): Promise<Kernel> {
  const folder = kernelFolder(description.name);
  if (options.refresh === true) rmSync(folder, { recursive: true, force: true });
  await cachedFolder(folder, progress, async (draft) => {
    progress(`providing kernel ${description.name}`);
    await provisionDebianKernel(description.source, draft, progress, options.signal);
  });
  return readKernel(description.name);
}

/** @throws if the kernel is not in the cache. */
export function readKernel(name: string): Kernel {
  const folder = kernelFolder(name);
  const record = JSON.parse(readFileSync(join(folder, 'kernel.json'), 'utf8')) as KernelRecord;
  return {
    name,
    folder,
    image: join(folder, record.image),
    headers: join(folder, record.headers),
    modules: record.modules.map((module) => join(folder, 'modules', module)),
    release: record.release,
  };
}
