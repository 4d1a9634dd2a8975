import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { cachedFolder, cacheRoot, contentKey } from './cache.js';
import { packageRoot } from './package-root.js';
import { programIdentity, requireTool, runTool, type Progress } from './tools.js';

const FLAGS = ['-std=gnu11', '-D_GNU_SOURCE', '-O2', '-Wall', '-Wextra', '-static', '-s'];

/**
 * The guest's first program, compiled from scripts/vm/guest/. Static: it runs before anything is mounted.
 * @returns its path in the cache.
 */
export async function provideGuestProgram(progress: Progress, signal?: AbortSignal): Promise<string> {
  const sources = join(packageRoot(), 'scripts', 'vm', 'guest');
  const files = readdirSync(sources).sort();
  const compiler = requireTool('gcc', 'compiling the first program of the machine', 'install gcc and libc6-dev');
  const key = contentKey(
    programIdentity(compiler),
    FLAGS.join(' '),
    ...files.flatMap((file) => [file, readFileSync(join(sources, file))]),
  );
  const folder = await cachedFolder(
    join(cacheRoot(), 'guest', key),
    progress,
    async (draft) => {
      progress("compiling the machine's first program");
      const units = files.filter((file) => file.endsWith('.c'));
      await runTool(compiler, [...FLAGS, '-o', join(draft, 'init'), ...units], { cwd: sources, signal });
    },
    signal,
  );
  return join(folder, 'init');
}
