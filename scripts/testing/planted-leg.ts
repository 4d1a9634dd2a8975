import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { provideKernel } from '../provision/kernel.js';
import { buildModule } from '../provision/module.js';
import { packageRoot } from '../provision/package-root.js';
import { VmError } from '../vm/errors.js';
import { kernelNamed } from '../vm/kernels.js';
import { runInVm } from '../vm/run.js';
import type { LegContext } from './leg.js';
import { merge, single, type LegResult } from './report.js';

const MODULE = 'planted_faults.ko';

/** What test/scripts/planted/ does on purpose, as the kernel's log tells it. */
const PLANTED = [
  { name: 'a warning', report: /WARNING: .*planted_faults_init/ },
  { name: 'a use after free', report: /KASAN: slab-use-after-free in planted_faults_init/ },
  { name: 'a leak', report: /unreferenced object 0x[0-9a-f]+ \(size 96\)/ },
] as const;

/** The runner tested on a module that is at fault: every fault must be among the splats, or silence would mean nothing. */
export async function runPlantedLeg(
  leg: string,
  kernel: string,
  { output, booted }: Pick<LegContext, 'output' | 'booted'>,
): Promise<LegResult> {
  const work = mkdtempSync(path.join(tmpdir(), 'node-hmm-planted-'));
  try {
    const progress = (line: string): void => output(`${leg}: ${line}\n`);
    const sources = path.join(packageRoot(), 'test', 'scripts', 'planted');
    await buildModule(await provideKernel(kernelNamed(kernel), progress), work, [], undefined, sources);
    const { splats } = await runInVm({
      kernel,
      module: path.join(work, MODULE),
      command: ['true'],
      progress,
      onBoot: ({ kernelRelease }) => booted(kernelRelease),
    });
    const log = splats.join('\n');
    return merge(
      leg,
      PLANTED.map(({ name, report }) => single(name, report.test(log), 'was not seen')),
    );
  } catch (error) {
    if (!(error instanceof VmError)) throw error;
    return single(leg, false, error.report);
  } finally {
    rmSync(work, { recursive: true });
  }
}
