import { existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';

import { cachedFolder, cacheRoot, contentKey } from '../provision/cache.js';
import { provideKernelSource, unpackSource } from '../provision/kernel-source.js';
import { programIdentity, requireTool, runTool, type Progress } from '../provision/tools.js';
import { VmError } from '../vm/errors.js';

const PROGRAM = 'hmm-tests';

/** Of the kernel's tree: what `make headers` reads, and the test itself. */
const MEMBERS = [
  ...['Makefile', 'scripts', 'include', 'arch/x86', 'tools/include'],
  ...['tools/testing/selftests/kselftest*.h', `tools/testing/selftests/mm/${PROGRAM}.c`],
];

/**
 * Headers that the test includes by their path from the kernel's root. The root itself cannot be on the compiler's path: libc's
 * headers would be looked for there first.
 */
const FROM_ROOT = ['lib/test_hmm_uapi.h', 'mm/gup_test.h'];

/** As the kernel's own Makefile for this folder has them; the distributions' fortification makes warnings of its style. */
const FLAGS = ['-Wall', '-O2', '-U_FORTIFY_SOURCE'];
const LIBRARIES = ['-lrt', '-lpthread', '-lm'];

/**
 * The kernel's hmm-tests, compiled unchanged from the distribution's source of that kernel.
 * @param sourcePackage such as linux-source-6.12
 * @returns its path in the cache
 */
export async function provideHmmTests(
  sourcePackage: string,
  progress: Progress,
  signal?: AbortSignal,
): Promise<string> {
  const source = await provideKernelSource(sourcePackage, progress, { signal });
  const compiler = requireTool('gcc', 'building hmm-tests', 'install gcc and libc6-dev');
  const make = requireTool('make', 'building hmm-tests', 'install make');
  const key = contentKey(source.version, programIdentity(compiler), ...FLAGS, ...LIBRARIES);
  const folder = await cachedFolder(
    join(cacheRoot(), 'selftests', `${source.name}-${key}`),
    progress,
    async (draft) => {
      progress(`building ${PROGRAM} from ${source.name} ${source.version}`);
      const work = join(draft, 'work');
      mkdirSync(work);
      const tree = await unpackSource(source, work, { members: [...MEMBERS, ...FROM_ROOT], signal });
      await runTool(make, ['-s', 'headers'], { cwd: tree, signal });
      const links = join(work, 'from-root');
      for (const header of FROM_ROOT) {
        if (!existsSync(join(tree, header))) throw new VmError('provisioning', `${source.name} has no ${header}`);
        mkdirSync(join(links, header, '..'), { recursive: true });
        symlinkSync(join(tree, header), join(links, header));
      }
      const selftests = join(tree, 'tools', 'testing', 'selftests');
      const include = ['-I', links, '-isystem', join(tree, 'usr', 'include')];
      const output = ['-o', join(draft, PROGRAM)];
      const unit = join(selftests, 'mm', `${PROGRAM}.c`);
      await runTool(compiler, [...FLAGS, ...include, unit, ...output, ...LIBRARIES], { signal });
      rmSync(work, { recursive: true });
    },
  );
  return join(folder, PROGRAM);
}
