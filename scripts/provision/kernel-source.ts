import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { VmError } from '../vm/errors.js';
import { Apt } from './apt.js';
import { cachedFolder, cacheRoot } from './cache.js';
import { compareReleases } from './packages.js';
import { requireTool, runTool, type Progress } from './tools.js';

/** A kernel's source as the distribution ships it, its patches applied. */
export interface KernelSource {
  /** Such as linux-source-6.12; also the name of the tree's top folder. */
  readonly name: string;
  /** Of the package. */
  readonly version: string;
  readonly tarball: string;
}

export interface SourceOptions {
  /** Ask the archive for a newer one than the cache has. */
  readonly refresh?: boolean;
  readonly signal?: AbortSignal | undefined;
}

function sourcesFolder(name: string): string {
  return join(cacheRoot(), 'sources', name);
}

function sourceIn(name: string, version: string): KernelSource {
  return { name, version, tarball: join(sourcesFolder(name), version, `${name}.tar.xz`) };
}

/** The newest source in the cache. */
function cachedSource(name: string): KernelSource | undefined {
  const folder = sourcesFolder(name);
  if (!existsSync(folder)) return undefined;
  const versions = readdirSync(folder).filter((version) => existsSync(sourceIn(name, version).tarball));
  // Drafts hold a tarball for a moment, too; a version has no such ending.
  const newest = versions
    .filter((version) => !version.endsWith('.tmp'))
    .sort(compareReleases)
    .at(-1);
  return newest === undefined ? undefined : sourceIn(name, newest);
}

/** The source of a kernel, fetched from the distribution's archive into the cache if that has none. */
export async function provideKernelSource(
  name: string,
  progress: Progress,
  { refresh = false, signal }: SourceOptions = {},
): Promise<KernelSource> {
  const cached = cachedSource(name);
  if (cached !== undefined && !refresh) return cached;
  const apt = new Apt(progress, signal);
  const known = refresh ? undefined : await apt.candidate(name);
  if (known !== undefined) {
    try {
      return await fetchSource(apt, name, known, progress, signal);
    } catch (error) {
      if (signal?.aborted === true) throw error;
      // A version that the lists name disappears from the archive with each security update.
      progress(`fetching ${name} ${known} failed, trying again with new package lists`);
    }
  }
  await apt.update();
  const version = await apt.candidate(name);
  if (version === undefined) throw new VmError('provisioning', `this machine's package archive has no ${name}`);
  return await fetchSource(apt, name, version, progress, signal);
}

async function fetchSource(
  apt: Apt,
  name: string,
  version: string,
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<KernelSource> {
  await cachedFolder(
    join(sourcesFolder(name), version),
    progress,
    async (draft) => {
      const root = join(draft, 'root');
      await apt.unpack([`${name}=${version}`], root, join(draft, 'download'));
      renameSync(join(root, 'usr', 'src', `${name}.tar.xz`), join(draft, `${name}.tar.xz`));
      for (const folder of ['root', 'download']) rmSync(join(draft, folder), { recursive: true });
    },
    signal,
  );
  return sourceIn(name, version);
}

/**
 * Unpacks a source.
 * @param members paths in the tree, or wildcards, to unpack only those.
 * @returns the tree's top folder, below `folder`.
 */
export async function unpackSource(
  source: KernelSource,
  folder: string,
  { members = [], signal }: { members?: readonly string[]; signal?: AbortSignal | undefined } = {},
): Promise<string> {
  const tar = requireTool('tar', 'unpacking the kernel source', 'install tar');
  requireTool('xz', 'unpacking the kernel source', 'install xz-utils');
  const wanted = members.map((member) => `${source.name}/${member}`);
  await runTool(tar, ['--wildcards', '-C', folder, '-xf', source.tarball, ...wanted], { signal });
  return join(folder, source.name);
}
