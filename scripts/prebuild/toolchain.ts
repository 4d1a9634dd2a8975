/** What the binaries of the package are compiled with: the machine's g++, and the headers and start files of musl. */
import { existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';

import { nodeGyp, nodePrefix } from '../addon/node-gyp.js';
import { Apt } from '../provision/apt.js';
import { cachedFolder, cacheRoot } from '../provision/cache.js';
import { requireTool, runTool, type Progress } from '../provision/tools.js';
import { VmError } from '../vm/errors.js';

export interface Compiler {
  readonly program: string;
  /** Folders with the headers of the C++ library. */
  readonly cxxHeaders: readonly string[];
  /** A file of the compiler's own: libstdc++.a, crtbeginT.o, the folder "include". */
  readonly file: (name: string) => Promise<string>;
}

export async function findCompiler(): Promise<Compiler> {
  const program = requireTool('g++', 'compiling the binaries of the package', 'install g++');
  const listing = await runTool('sh', ['-c', '"$1" -E -x c++ -v /dev/null 2>&1', 'sh', program]);
  const search = /^#include <...> search starts here:\n([\s\S]*?)^End of search list/m.exec(listing.toString())?.[1];
  const folders = (search ?? '').split('\n').map((line) => line.trim());
  const file = async (name: string): Promise<string> => {
    const path = (await runTool(program, [`-print-file-name=${name}`])).toString().trim();
    if (!path.startsWith('/')) throw new VmError('provisioning', `${program} has no ${name}`);
    return path;
  };
  return { program, cxxHeaders: folders.filter((folder) => /\/c\+\+\//.test(folder)), file };
}

export interface Musl {
  readonly headers: string;
  /** Folder with libc.a and the start files. */
  readonly library: string;
  /** The shared library, which is the program loader as well. */
  readonly loader: string;
  /** Folder with linux/, asm/ and asm-generic/ alone. */
  readonly kernelHeaders: string;
}

const MUSL_PACKAGES = ['musl', 'musl-dev', 'linux-libc-dev'];

/** musl from the distribution's archive, kept in the cache: nothing is installed. */
export async function provideMusl(progress: Progress): Promise<Musl> {
  const root = await cachedFolder(join(cacheRoot(), 'musl-1'), progress, async (draft) => {
    progress('fetching musl');
    const apt = new Apt(progress);
    const downloads = join(draft, 'download');
    await apt.refreshing(() => apt.unpack(MUSL_PACKAGES, draft, downloads));
    rmSync(downloads, { recursive: true });
    const kernelHeaders = join(draft, 'kernel-headers');
    mkdirSync(kernelHeaders);
    symlinkSync('../usr/include/linux', join(kernelHeaders, 'linux'));
    symlinkSync('../usr/include/asm-generic', join(kernelHeaders, 'asm-generic'));
    symlinkSync('../usr/include/x86_64-linux-gnu/asm', join(kernelHeaders, 'asm'));
  });
  const musl = {
    headers: join(root, 'usr/include/x86_64-linux-musl'),
    library: join(root, 'usr/lib/x86_64-linux-musl'),
    loader: join(root, 'lib/x86_64-linux-musl/libc.so'),
    kernelHeaders: join(root, 'kernel-headers'),
  };
  for (const path of Object.values(musl)) {
    if (!existsSync(path)) throw new VmError('provisioning', `the distribution's musl has no ${path}`);
  }
  return musl;
}

/** The folder with node_api.h and uv.h. */
export async function provideNodeHeaders(progress: Progress): Promise<string> {
  const prefix = nodePrefix();
  if (prefix !== undefined) return join(prefix, 'include', 'node');
  const gyp = nodeGyp();
  if (gyp === undefined) throw new VmError('provisioning', "there is no node-gyp to fetch Node's headers");
  const { node } = process.versions;
  const folder = await cachedFolder(join(cacheRoot(), `node-headers-${node}`), progress, async (draft) => {
    progress(`fetching the headers of Node ${node}`);
    await runTool(process.execPath, [gyp, 'install', `--devdir=${draft}`]);
  });
  return join(folder, node, 'include', 'node');
}
