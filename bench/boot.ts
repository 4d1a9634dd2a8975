/** `vm -- true` beside a bare boot of the same kernel to its first program. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { provideGuestProgram } from '../scripts/provision/guest-program.js';
import { provideInitramfs } from '../scripts/provision/initramfs.js';
import { provideKernel } from '../scripts/provision/kernel.js';
import { provideQemu } from '../scripts/provision/qemu.js';
import { chooseAccelerator } from '../scripts/vm/accelerator.js';
import { bootBare } from '../scripts/vm/bare.js';
import { kernelNamed } from '../scripts/vm/kernels.js';
import { compare, timed, type Comparison } from './measure.js';

const CLI = fileURLToPath(new URL('../scripts/cli.js', import.meta.url));

export async function boots(name: string, emit: (row: Comparison) => void): Promise<void> {
  const progress = (line: string) => console.error(line);
  const qemu = await provideQemu(progress);
  const kernel = await provideKernel(kernelNamed(name), progress, { refresh: false, signal: undefined });
  const initramfs = provideInitramfs(await provideGuestProgram(progress), kernel.modules);
  const { accelerator } = await chooseAccelerator(qemu, { image: kernel.image, initramfs }, progress);
  const machine = { image: kernel.image, initramfs, accelerator, memory: '4G', cpus: 2 };
  emit(
    await compare(
      {
        name: `vm --kernel ${name} -- true, whole process`,
        unit: 's',
        against: 'bare boot to first program',
        goal: '<= 1.3',
      },
      () =>
        timed(1e9, () => {
          const { status, stderr } = spawnSync(process.execPath, [CLI, 'vm', '--kernel', name, '--', 'true']);
          if (status !== 0) throw new Error(`vm -- true: status ${status}\n${stderr.toString()}`);
        }),
      async () => (await bootBare(qemu, machine, 120_000)).firstProgram / 1000,
      7,
    ),
  );
}
