import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

import { cacheRoot, contentKey, writeFileAtomically } from './cache.js';
import { encodeArchive, S_IFCHR, S_IFDIR, S_IFREG, type ArchiveEntry } from './newc.js';

/**
 * The file system that a kernel starts with: the first program and the modules that it loads, uncompressed.
 * @param modules paths of modules, in the order of loading.
 * @returns its path in the cache.
 */
export function provideInitramfs(init: string, modules: readonly string[]): string {
  const data = [init, ...modules].map((path) => readFileSync(path));
  const path = join(cacheRoot(), 'initramfs', `${contentKey(...modules.map((m) => basename(m)), ...data)}.cpio`);
  if (!existsSync(path)) {
    const order = modules.map((module) => `${basename(module)}\n`).join('');
    const entries: ArchiveEntry[] = [
      { path: 'dev', mode: S_IFDIR | 0o755 },
      // The first program's standard streams, before it has mounted anything.
      { path: 'dev/console', mode: S_IFCHR | 0o600, device: [5, 1] },
      { path: 'init', mode: S_IFREG | 0o755, data: data[0] ?? new Uint8Array(0) },
      { path: 'modules', mode: S_IFDIR | 0o755 },
      { path: 'modules/order', mode: S_IFREG | 0o644, data: Buffer.from(order) },
      ...modules.map((module, i) => ({
        path: `modules/${basename(module)}`,
        mode: S_IFREG | 0o644,
        data: data[i + 1] ?? new Uint8Array(0),
      })),
    ];
    writeFileAtomically(path, encodeArchive(entries));
  }
  return path;
}
