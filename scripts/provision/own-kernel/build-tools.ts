import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { Apt } from '../apt.js';
import { cachedFolder, cacheRoot } from '../cache.js';
import { findOnPath, requireTool, runTool, type Progress } from '../tools.js';

/** What the kernel's build runs, by package; libelf is a library, told by its header. */
const PROGRAMS = ['flex', 'bison', 'bc'] as const;
const ELF_LIBRARY = 'libelf-dev';
const ELF_HEADER = 'gelf.h';
/** Comes along even if it is installed: the development package's link to it points into its own folder. */
const ELF_RUNTIME = /^libelf1/;

/** How a kernel's make is to be called so that it finds its tools. */
export interface BuildTools {
  readonly env: NodeJS.ProcessEnv;
  readonly makeArguments: readonly string[];
  /** Folders with shared libraries that this machine does not have, which the built host programs need. */
  readonly libraries: readonly string[];
}

async function hasElfLibrary(compiler: string): Promise<boolean> {
  try {
    await runTool(compiler, ['-fsyntax-only', '-include', ELF_HEADER, '-x', 'c', '/dev/null']);
    return true;
  } catch {
    return false; // the compiler's only complaint can be that the header is missing
  }
}

/** Tools that this machine lacks come from the distribution's archive into the cache; nothing is installed. */
export async function provideBuildTools(progress: Progress, signal?: AbortSignal): Promise<BuildTools> {
  for (const tool of ['make', 'ld', 'perl', 'awk']) {
    requireTool(tool, 'building a kernel', 'install build-essential and perl');
  }
  const compiler = requireTool('gcc', 'building a kernel', 'install build-essential');
  const lacking: string[] = PROGRAMS.filter((program) => findOnPath(program) === undefined);
  if (!(await hasElfLibrary(compiler))) lacking.push(ELF_LIBRARY);
  if (lacking.length === 0) return { env: process.env, makeArguments: [], libraries: [] };

  const target = join(cacheRoot(), 'build-tools', lacking.join('-'));
  const root = await cachedFolder(
    target,
    progress,
    async (draft) => {
      progress(`no ${lacking.join(', ')} on this machine: fetching into the cache`);
      const apt = new Apt(progress, signal);
      const downloads = join(draft, 'download');
      await apt.refreshing(async () => apt.unpack(await apt.missing(lacking, ELF_RUNTIME), draft, downloads));
      rmSync(downloads, { recursive: true });
    },
    signal,
  );
  return toolsBelow(root);
}

/** bison and flex know their data files and m4 by absolute paths; the variables are theirs for that case. */
function toolsBelow(root: string): BuildTools {
  const usr = join(root, 'usr');
  const libraries = ['usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu']
    .map((path) => join(root, path))
    .filter(existsSync);
  const m4 = join(usr, 'bin', 'm4');
  return {
    env: {
      ...process.env,
      PATH: `${join(usr, 'bin')}:${process.env['PATH'] ?? ''}`,
      LD_LIBRARY_PATH: libraries.join(':'),
      ...(existsSync(join(usr, 'share', 'bison')) ? { BISON_PKGDATADIR: join(usr, 'share', 'bison') } : {}),
      ...(existsSync(m4) ? { M4: m4 } : {}),
    },
    makeArguments: [
      `HOSTCFLAGS=-I${join(usr, 'include')} -I${join(usr, 'include', 'x86_64-linux-gnu')}`,
      `HOSTLDFLAGS=${libraries.map((folder) => `-L${folder}`).join(' ')}`,
    ],
    libraries,
  };
}
