/** `vm -- true` beside bare boots of the same kernel to its first program. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { provideGuestProgram } from '../scripts/provision/guest-program.js';
import { provideInitramfs } from '../scripts/provision/initramfs.js';
import { provideKernel } from '../scripts/provision/kernel.js';
import { provideQemu, qemuVersion } from '../scripts/provision/qemu.js';
import { chooseAccelerator } from '../scripts/vm/accelerator.js';
import { bootBare } from '../scripts/vm/bare.js';
import { kernelNamed } from '../scripts/vm/kernels.js';
import { recordBoot } from '../scripts/vm/under-test.js';
import { compare, once, timed, type Comparison } from './measure.js';

const CLI = fileURLToPath(new URL('../scripts/cli.js', import.meta.url));

export async function boots(name: string, emit: (row: Comparison) => void): Promise<void> {
  const progress = (line: string) => console.error(line);
  const qemu = await provideQemu(progress);
  const kernel = await provideKernel(kernelNamed(name), progress, { refresh: false, signal: undefined });
  const initramfs = provideInitramfs(await provideGuestProgram(progress), kernel.modules);
  const { accelerator } = await chooseAccelerator(qemu, { image: kernel.image, initramfs }, progress);
  recordBoot({ kernel: name, kernelRelease: kernel.release, accelerator, qemuVersion: await qemuVersion(qemu) });
  const vmTrue = () =>
    timed(1e9, () => {
      const { status, stderr } = spawnSync(process.execPath, [CLI, 'vm', '--kernel', name, '--', 'true']);
      if (status !== 0) throw new Error(`vm -- true: status ${status}\n${stderr.toString()}`);
    });
  // The kernel as the distribution ships it, and the image that the runner makes of it, which need not decompress itself.
  for (const [against, image, goal] of [
    ['bare boot of the shipped image', path.join(kernel.folder, 'vmlinuz'), '<= 1.3'],
    ["bare boot of the runner's image", kernel.image, undefined],
  ] as const) {
    const machine = { image, initramfs, accelerator, memory: '4G', cpus: 2 };
    emit(
      await compare(
        { name: `vm --kernel ${name} -- true`, unit: 's', against, ...(goal === undefined ? {} : { goal }) },
        vmTrue,
        async () => (await bootBare(qemu, machine, 120_000)).firstProgram / 1000,
        5,
        once,
      ),
    );
  }
}
