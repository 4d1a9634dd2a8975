import { cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';

import { VmError } from '../vm/errors.js';
import { cachedFolder, cacheRoot, contentKey } from './cache.js';
import type { Kernel } from './kernel.js';
import { packageRoot } from './package-root.js';
import { findOnPath, programIdentity, requireTool, runTool, type Progress } from './tools.js';

const MODULE = 'hmm_mirror.ko';

/** What a build in the source folder itself leaves behind: not sources. */
const BUILD_PRODUCT = /\.(?:o|ko|mod|mod\.c|cmd|order|symvers)$|^\./;

function sourceFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true, encoding: 'utf8' })
    .filter((entry) => entry.isFile() && !BUILD_PRODUCT.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

/** The compiler that the kernel was built with, or else the machine's: they need not be the same. */
function moduleCompiler(kernel: Kernel): string {
  const config = readFileSync(join(kernel.folder, 'config'), 'utf8');
  const own = /^CONFIG_CC_VERSION_TEXT="(?:\S*-)?gcc-(\d+)/m.exec(config)?.[1];
  const found = own === undefined ? undefined : findOnPath(`gcc-${own}`);
  return found ?? requireTool('gcc', 'building the kernel module', 'install gcc and make, or use --no-module');
}

/**
 * hmm_mirror.ko for a kernel, built in the cache from the package's sources.
 * @returns its path; the same sources, kernel and compiler give the same file again.
 */
export async function provideModule(kernel: Kernel, progress: Progress, signal?: AbortSignal): Promise<string> {
  const sources = join(packageRoot(), 'kernel-module');
  const files = sourceFiles(sources);
  if (!files.includes('Kbuild')) {
    throw new VmError('provisioning', `${sources} holds no Kbuild: there is no module to build (use --no-module)`);
  }
  const compiler = moduleCompiler(kernel);
  const key = contentKey(
    kernel.release,
    // Of one release there may be several configurations.
    basename(kernel.folder),
    programIdentity(compiler),
    ...files.flatMap((file) => [file, readFileSync(join(sources, file))]),
  );
  const folder = await cachedFolder(
    join(cacheRoot(), 'modules', key),
    progress,
    async (draft) => {
      progress(`building ${MODULE} for ${kernel.release}`);
      const work = join(draft, 'work');
      const output = await buildModule(kernel, work, [], signal);
      if (!existsSync(join(work, MODULE))) {
        throw new VmError('provisioning', `building for ${kernel.release} left no ${MODULE}:\n${output}`);
      }
      renameSync(join(work, MODULE), join(draft, MODULE));
      rmSync(work, { recursive: true });
    },
    signal,
  );
  return join(folder, MODULE);
}

/**
 * Builds a module for a kernel, in a new folder.
 * @param options of make: W=1, C=2
 * @param sources default: the package's own
 * @returns what make printed
 */
export async function buildModule(
  kernel: Kernel,
  work: string,
  options: readonly string[],
  signal?: AbortSignal,
  sources = join(packageRoot(), 'kernel-module'),
): Promise<string> {
  const make = requireTool('make', 'building the kernel module', 'install make and gcc, or use --no-module');
  for (const file of sourceFiles(sources)) cpSync(join(sources, file), join(work, file));
  const library = join(kernel.folder, 'headers', 'usr', 'lib', 'x86_64-linux-gnu');
  const env = existsSync(library) ? { ...process.env, LD_LIBRARY_PATH: library } : process.env;
  const args = ['-C', kernel.headers, `M=${work}`, `CC=${moduleCompiler(kernel)}`, ...options];
  // Without type information for BPF: it needs a tool (pahole) that few machines have, and nobody reads it.
  args.push('CONFIG_DEBUG_INFO_BTF_MODULES=', '-j', String(availableParallelism()), 'modules');
  return (await runTool(make, args, { env, signal })).toString();
}
