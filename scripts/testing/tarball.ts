/** The package as its users get it: what `npm pack` makes of this clone. */
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';

import { cachedFolder, cacheRoot, contentKey } from '../provision/cache.js';
import { packageRoot } from '../provision/package-root.js';
import { runTool, type Progress } from '../provision/tools.js';

/** What is made in a clone, and what packing has no use for. */
const LEFT_OUT = new Set(['.git', 'node_modules', 'dist', 'build', 'prebuilds', 'test', 'coverage']);

export interface PackedFile {
  readonly path: string;
  readonly size: number;
  readonly mode: number;
}

export interface Tarball {
  readonly file: string;
  /** Where it is unpacked. */
  readonly folder: string;
  /** Bytes of the tarball, and of what is in it. */
  readonly size: number;
  readonly unpackedSize: number;
  /** As `npm pack --json` lists them. */
  readonly files: readonly PackedFile[];
}

function sources(folder: string, below = ''): string[] {
  return readdirSync(path.join(folder, below), { withFileTypes: true })
    .filter(({ name }) => below !== '' || (!LEFT_OUT.has(name) && !name.endsWith('.tgz')))
    .flatMap((entry) => {
      const name = path.join(below, entry.name);
      return entry.isDirectory() ? sources(folder, name) : [name];
    })
    .sort();
}

/**
 * Packs a copy of the clone, with all of npm's steps; the clone stays as it is. The same sources
 * are packed once.
 */
export async function provideTarball(progress: Progress): Promise<Tarball> {
  const root = packageRoot();
  // dist/test/fuzz is compiled with the rest.
  const files = [...sources(root), ...sources(root, path.join('test', 'fuzz'))];
  const modes = files.map((name) => (statSync(path.join(root, name)).mode & 0o111).toString());
  const key = contentKey(
    process.version,
    ...modes,
    ...files.flatMap((name) => [name, readFileSync(path.join(root, name))]),
  );
  const folder = await cachedFolder(path.join(cacheRoot(), 'tarballs', key), progress, async (draft) => {
    progress('packing the package');
    const clone = path.join(draft, 'clone');
    for (const name of files) {
      mkdirSync(path.dirname(path.join(clone, name)), { recursive: true });
      cpSync(path.join(root, name), path.join(clone, name));
    }
    symlinkSync(path.join(root, 'node_modules'), path.join(clone, 'node_modules'));
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));
    const listing = await runTool('npm', ['pack', '--json', '--silent', `--pack-destination=${draft}`], {
      cwd: clone,
      env,
    });
    const { filename } = parseListing(listing.toString());
    renameSync(path.join(draft, filename), path.join(draft, 'node-hmm.tgz'));
    await runTool('tar', ['-xzf', path.join(draft, 'node-hmm.tgz'), '-C', draft]);
    writeFileSync(path.join(draft, 'listing.json'), listing);
    rmSync(clone, { recursive: true });
  });
  const listing = parseListing(readFileSync(path.join(folder, 'listing.json'), 'utf8'));
  return { ...listing, file: path.join(folder, 'node-hmm.tgz'), folder: path.join(folder, 'package') };
}

interface Listing {
  readonly filename: string;
  readonly size: number;
  readonly unpackedSize: number;
  readonly files: readonly PackedFile[];
}

/** The scripts of the package may have printed before it. */
function parseListing(output: string): Listing {
  const start = /^[[{]$/m.exec(output)?.index ?? 0;
  const parsed = JSON.parse(output.slice(start)) as Listing[] | Record<string, Listing>;
  // npm 12 gives an object with the package's name.
  return (Array.isArray(parsed) ? parsed[0] : Object.values(parsed)[0])!;
}
