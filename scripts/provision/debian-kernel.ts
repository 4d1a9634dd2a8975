import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { VmError } from '../vm/errors.js';
import type { DebianPackages } from '../vm/kernels.js';
import { Apt } from './apt.js';
import { bootModules, writeBootModule } from './boot-modules.js';
import { pickKernel, type KernelPackages } from './packages.js';
import type { KernelRecord } from './kernel.js';
import type { Progress } from './tools.js';
import { extractVmlinux } from './vmlinux.js';

async function resolveKernel(apt: Apt, source: DebianPackages): Promise<KernelPackages | undefined> {
  const headers = source.search.replace('linux-image', 'linux-headers');
  const names = [...(await apt.search(source.search)), ...(await apt.search(headers))];
  return pickKernel(names, source.imagePattern);
}

/** Downloads a stock kernel with its headers and leaves in `folder` what a machine and a module build need. */
export async function provisionDebianKernel(
  source: DebianPackages,
  folder: string,
  progress: Progress,
  signal?: AbortSignal,
): Promise<void> {
  const apt = new Apt(progress, signal);
  let kernel = await resolveKernel(apt, source);
  if (kernel !== undefined) {
    try {
      return await fetchKernel(apt, kernel, folder, progress);
    } catch (error) {
      if (signal?.aborted === true) throw error;
      // A version that the lists name disappears from the archive with each security update.
      progress(`fetching ${kernel.image} failed, trying again with new package lists`);
      for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true });
    }
  }
  await apt.update();
  kernel = await resolveKernel(apt, source);
  if (kernel === undefined) {
    throw new VmError('provisioning', `this machine's package archive has no kernel matching ${source.search}`);
  }
  await fetchKernel(apt, kernel, folder, progress);
}

async function fetchKernel(apt: Apt, kernel: KernelPackages, folder: string, progress: Progress): Promise<void> {
  const { release } = kernel;
  const direct = await apt.depends(kernel.headers);
  const build = direct.filter((name) => /^linux-(?:headers|kbuild)-/.test(name));
  const kbuild = build.filter((name) => name.startsWith('linux-kbuild-'));
  const packages = [kernel.image, kernel.headers, ...build];
  // The build tools are programs; this machine may lack a library of theirs.
  const libraries = (await apt.missing(kbuild)).filter((name) => name.startsWith('lib'));
  const image = join(folder, 'image');
  const headers = join(folder, 'headers');
  await apt.unpack([kernel.image], image, join(folder, 'download-image'));
  await apt.unpack([kernel.headers, ...build, ...libraries], headers, join(folder, 'download-headers'));

  renameSync(join(image, 'boot', `vmlinuz-${release}`), join(folder, 'vmlinuz'));
  const vmlinux = await extractVmlinux(readFileSync(join(folder, 'vmlinuz')));
  if (vmlinux !== undefined) writeFileSync(join(folder, 'vmlinux'), vmlinux);
  renameSync(join(image, 'boot', `config-${release}`), join(folder, 'config'));
  const tree = ['lib/modules', 'usr/lib/modules'].map((path) => join(image, path, release)).find(existsSync);
  if (tree === undefined) throw new VmError('provisioning', `${kernel.image} holds no modules for ${release}`);
  const modules = await bootModules(tree);
  mkdirSync(join(folder, 'modules'));
  for (const module of modules) await writeBootModule(module, join(folder, 'modules', module.file));
  const headersPath = relocateHeaders(folder, release);

  const record: KernelRecord = {
    release,
    image: vmlinux === undefined ? 'vmlinuz' : 'vmlinux',
    packages,
    headers: headersPath,
    modules: modules.map(({ file }) => file),
  };
  writeFileSync(join(folder, 'kernel.json'), JSON.stringify(record, null, 2));
  for (const name of ['image', 'download-image', 'download-headers']) rmSync(join(folder, name), { recursive: true });
  progress(`kernel ${release} is ready`);
}

/** The headers' makefile names its other half by an absolute path; here both lie side by side, anywhere. */
function relocateHeaders(folder: string, release: string): string {
  const path = join('headers', 'usr', 'src', `linux-headers-${release}`);
  const makefile = join(folder, path, 'Makefile');
  const text = readFileSync(makefile, 'utf8');
  const here = '$(dir $(realpath $(lastword $(MAKEFILE_LIST))))..';
  const relocated = text.replaceAll(/^include \/usr\/src\//gm, `include ${here}/`);
  if (relocated === text) throw new VmError('provisioning', `${makefile} has an unknown form:\n${text}`);
  writeFileSync(makefile, relocated);
  return path;
}
