import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

import { VmError } from '../vm/errors.js';
import { requireTool, runTool } from './tools.js';

/** What the guest's first program cannot do without; built in on some kernels, modules on others. */
const NEEDED = ['virtio_pci', 'virtio_console', '9pnet_virtio', '9p'];

function moduleName(path: string): string {
  return basename(path)
    .replace(/\.ko(?:\.[a-z]+)?$/, '')
    .replaceAll('-', '_');
}

function modulesBelow(folder: string): Map<string, string> {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  const modules = files.filter((path) => /\.ko(?:\.(?:xz|zst|gz))?$/.test(path));
  return new Map(modules.map((path) => [moduleName(path), join(folder, path)]));
}

/** The names in a module's "depends=" (its .modinfo section, NUL-separated). */
export function parseDependencies(module: Uint8Array): string[] {
  const image = Buffer.from(module.buffer, module.byteOffset, module.byteLength);
  const start = image.indexOf('\0depends=');
  if (start < 0) return [];
  const value = image.toString('latin1', start + '\0depends='.length, image.indexOf(0, start + 1));
  return value
    .split(',')
    .filter((name) => name !== '')
    .map((name) => name.replaceAll('-', '_'));
}

async function readModule(path: string): Promise<Buffer> {
  if (path.endsWith('.ko')) return readFileSync(path);
  const [tool, hint] = path.endsWith('.xz') ? ['xz', 'install xz-utils'] : ['zstd', 'install zstd'];
  return await runTool(requireTool(tool, 'unpacking kernel modules', hint), ['-dc', path]);
}

/**
 * Writes a module without what costs a translated guest time: its type information, for which the kernel would first
 * read its own (half a second), and its signature (a tenth of a second; hmm_mirror, which is not signed, taints the
 * kernel in the same way).
 */
export async function writeBootModule(module: BootModule, path: string): Promise<void> {
  writeFileSync(path, module.data);
  const objcopy = requireTool('objcopy', 'preparing kernel modules', 'install binutils');
  // A signature is no section: it goes with the rewriting.
  await runTool(objcopy, ['--strip-debug', '--remove-section=.BTF', path]);
}

export interface BootModule {
  /** File name, ending in .ko. */
  readonly file: string;
  readonly data: Buffer;
}

/**
 * The modules that a machine loads before it can mount anything, each after what it depends on.
 * @param tree lib/modules/RELEASE of the kernel's package. It has no modules.dep: depmod writes that at installation.
 * @throws VmError 'provisioning' if one is neither a file nor built in.
 */
export async function bootModules(tree: string): Promise<BootModule[]> {
  const files = modulesBelow(tree);
  const builtIn = new Set(readFileSync(join(tree, 'modules.builtin'), 'utf8').split('\n').map(moduleName));
  const ordered = new Map<string, BootModule>();
  const visit = async (name: string): Promise<void> => {
    if (ordered.has(name) || builtIn.has(name)) return;
    const path = files.get(name);
    if (path === undefined) throw new VmError('provisioning', `the kernel has no module ${name}, nor is it built in`);
    const data = await readModule(path);
    for (const dependency of parseDependencies(data)) await visit(dependency);
    ordered.set(name, { file: `${name}.ko`, data });
  };
  for (const name of NEEDED) await visit(name);
  return [...ordered.values()];
}
