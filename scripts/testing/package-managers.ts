/** Package managers that the package is installed with, each of one release, kept in the cache. */
import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import path from 'node:path';

import { cacheRoot, cachedFolder } from '../provision/cache.js';
import { findOnPath, runTool, type Progress } from '../provision/tools.js';

interface Release {
  /** "name@version" in the registry. */
  readonly package: string;
  /** The program in it, and whether Node runs it. */
  readonly program: string;
  readonly script: boolean;
}

const RELEASES = {
  // pnpm's own program for this platform: the package "pnpm" only chooses among them.
  pnpm: { package: '@pnpm/exe.linux-x64@12.23.0', program: 'pnpm', script: false },
  yarn: { package: '@yarnpkg/cli-dist@4.18.1', program: 'bin/yarn.js', script: true },
  'yarn-classic': { package: 'yarn@1.22.22', program: 'bin/yarn.js', script: true },
} as const satisfies Record<string, Release>;

export type ManagerName = keyof typeof RELEASES;

/**
 * The command line that starts it.
 * @throws VmError 'provisioning' if it cannot be fetched
 */
export async function provideManager(name: ManagerName, progress: Progress): Promise<readonly string[]> {
  const release: Release = RELEASES[name];
  const key = release.package.replace(/[^\w.]+/g, '-').replace(/^-/, '');
  const folder = await cachedFolder(path.join(cacheRoot(), 'managers', key), progress, async (draft) => {
    progress(`fetching ${release.package}`);
    const packed = await runTool('npm', ['pack', '--silent', `--pack-destination=${draft}`, release.package]);
    const archive = path.join(draft, packed.toString().trim());
    await runTool('tar', ['-xzf', archive, '-C', draft]);
    rmSync(archive);
    // Archives of yarn have a folder named after the release.
    const [top] = readdirSync(draft);
    if (top !== 'package') renameSync(path.join(draft, top!), path.join(draft, 'package'));
    chmodSync(path.join(draft, 'package', release.program), 0o755);
  });
  const program = path.join(folder, 'package', release.program);
  return release.script ? [process.execPath, program] : [program];
}

/** Programs that build addons. */
const COMPILERS =
  /^(?:(?:.*-)?(?:cc|gcc|g\+\+|c\+\+|cpp|clang|clang\+\+|make|ld)(?:-[\d.]+)?|[cg]make|python[\d.]*|pypy[\d.]*)$/;

/** Fills a folder with links to all programs of PATH, the first of each name, but those that build addons. */
export function pathWithoutCompiler(folder: string, from = process.env['PATH'] ?? ''): string {
  mkdirSync(folder);
  for (const place of from.split(path.delimiter)) {
    if (!existsSync(place)) continue;
    for (const name of readdirSync(place)) {
      const link = path.join(folder, name);
      if (!COMPILERS.test(name) && !existsSync(link)) {
        rmSync(link, { force: true }); // a link that leads nowhere
        symlinkSync(path.join(place, name), link);
      }
    }
  }
  for (const name of ['cc', 'gcc', 'g++', 'make', 'python3']) {
    if (findOnPath(name, folder) !== undefined) throw new Error(`${folder} has ${name}`);
  }
  return folder;
}
