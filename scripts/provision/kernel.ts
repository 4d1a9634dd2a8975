import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import type { KernelDescription, OwnBuild } from '../vm/kernels.js';
import { cachedFolder, cacheRoot, contentKey } from './cache.js';
import { provisionDebianKernel } from './debian-kernel.js';
import { provideKernelSource } from './kernel-source.js';
import { buildOwnKernel } from './own-kernel/build.js';
import { CONFIGURATIONS, renderConfiguration } from './own-kernel/configuration.js';
import { compareReleases } from './packages.js';
import type { Progress } from './tools.js';

/** What kernel.json says of a cached kernel. */
export interface KernelRecord {
  /** uname -r */
  readonly release: string;
  /** File to boot, below the kernel's own folder. */
  readonly image: string;
  /** What it was made of, as the archive names it. */
  readonly packages: readonly string[];
  /** Folder to build modules against, below the kernel's own. */
  readonly headers: string;
  /** File names below modules/, dependencies first. */
  readonly modules: readonly string[];
  /** The kernel's own test_hmm.ko, below its folder; a stock kernel comes without. */
  readonly reference?: string;
}

/** A kernel in the cache, ready to boot. Paths are absolute. */
export interface Kernel {
  readonly name: string;
  readonly folder: string;
  readonly image: string;
  readonly headers: string;
  readonly modules: readonly string[];
  readonly reference: string | undefined;
  readonly release: string;
}

/** Of the folder's contents; another one is another folder, so that old caches are not misread. */
const LAYOUT = 'layout-3';
/** The same of kernels that are built here: what of a build is kept, and how it is made, beside its configuration. */
const OWN_LAYOUT = 'own-1';

function kernelsFolder(): string {
  return join(cacheRoot(), 'kernels', LAYOUT);
}

/** Of an own kernel's folder, up to the version of the source that it was built from. */
function ownPrefix(name: string, source: OwnBuild): string {
  return `${name}-${contentKey(OWN_LAYOUT, renderConfiguration(CONFIGURATIONS[source.configuration]))}-`;
}

/** The kernel's folder in the cache; of several versions built here, the newest. */
function cachedKernelFolder({ name, source }: KernelDescription): string | undefined {
  if (source.kind === 'debian') {
    const folder = join(kernelsFolder(), name);
    return existsSync(folder) ? folder : undefined;
  }
  if (!existsSync(kernelsFolder())) return undefined;
  const prefix = ownPrefix(name, source);
  const built = readdirSync(kernelsFolder())
    // Beside them lie the locks and drafts of builds that are under way.
    .filter((entry) => entry.startsWith(prefix) && !/\.(?:tmp|lock)$/.test(entry))
    .sort(compareReleases)
    .at(-1);
  return built === undefined ? undefined : join(kernelsFolder(), built);
}

/**
 * The kernel in the cache, without fetching or building one.
 * @throws if its folder is damaged.
 */
export function findKernel(description: KernelDescription): Kernel | undefined {
  const folder = cachedKernelFolder(description);
  return folder === undefined ? undefined : readKernel(description.name, folder);
}

export interface KernelOptions {
  /** Ask the archive for its newest version even if there is one in the cache. */
  readonly refresh?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** The cached kernel; the archive is asked only if there is none, or to replace it. */
export async function provideKernel(
  description: KernelDescription,
  progress: Progress,
  options: KernelOptions = {},
): Promise<Kernel> {
  const { name, source } = description;
  const found = options.refresh === true ? undefined : findKernel(description);
  if (found !== undefined) return found;
  if (source.kind === 'own') return readKernel(name, await provideOwnKernel(description, source, progress, options));
  const folder = join(kernelsFolder(), name);
  if (options.refresh === true) rmSync(folder, { recursive: true, force: true });
  await cachedFolder(
    folder,
    progress,
    async (draft) => {
      progress(`providing kernel ${name}`);
      await provisionDebianKernel(source, draft, progress, options.signal);
    },
    options.signal,
  );
  return readKernel(name, folder);
}

/** A version that is built already is not built again, refreshed or not: it would be the same. */
async function provideOwnKernel(
  { name, sourcePackage }: KernelDescription,
  source: OwnBuild,
  progress: Progress,
  options: KernelOptions,
): Promise<string> {
  const sources = await provideKernelSource(sourcePackage, progress, options);
  const folder = join(kernelsFolder(), ownPrefix(name, source) + sources.version);
  return await cachedFolder(
    folder,
    progress,
    async (draft) => {
      const build = { name, source: sources, configuration: CONFIGURATIONS[source.configuration] };
      await buildOwnKernel(build, draft, progress, options.signal);
    },
    options.signal,
  );
}

function readKernel(name: string, folder: string): Kernel {
  const record = JSON.parse(readFileSync(join(folder, 'kernel.json'), 'utf8')) as KernelRecord;
  return {
    name,
    folder,
    image: join(folder, record.image),
    headers: join(folder, record.headers),
    modules: record.modules.map((module) => join(folder, 'modules', module)),
    reference: record.reference === undefined ? undefined : join(folder, record.reference),
    release: record.release,
  };
}
