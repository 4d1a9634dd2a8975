import { accessSync, constants, existsSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { cacheRoot } from '../provision/cache.js';
import { findKernel } from '../provision/kernel.js';
import { packageRoot } from '../provision/package-root.js';
import { findQemu, qemuVersion, translatesRightly, type Qemu } from '../provision/qemu.js';
import { findOnPath } from '../provision/tools.js';
import { knownAccelerator } from '../vm/accelerator.js';
import { BUILD_ADVICE, copiesFor, describeCopy, kernelProblem, ownCopy } from '../vm/addon-check.js';
import { KERNELS } from '../vm/kernels.js';
import { later, missing, ok, optional, type Finding } from './findings.js';

/** package.json's "engines": of each line the first release that is supported, and the line from which on all are. */
const NODE_FLOORS = [
  [20, 19],
  [22, 12],
] as const;

const DEVICE = '/dev/hmm_mirror0';

function reasonOf(error: unknown): string {
  return error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
}

export function checkNode(version = process.versions.node): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const newest = NODE_FLOORS.at(-1)!;
  const enough = major > newest[0] || NODE_FLOORS.some((floor) => major === floor[0] && minor >= floor[1]);
  if (enough) return ok('Node.js', version);
  const floors = NODE_FLOORS.map((floor) => floor.join('.')).join(' or later of that line, or ');
  return missing('Node.js', `${version} is not supported: it takes ${floors} or later`, 'install another Node.js');
}

/** The simulation is plain JavaScript: if it can be imported, it works. */
export async function checkSimulation(): Promise<Finding> {
  const entry = join(packageRoot(), 'dist', 'lib', 'simulation', 'index.js');
  try {
    await import(pathToFileURL(entry).href);
    return ok('simulation', 'works on every machine');
  } catch (error) {
    return missing('simulation', reasonOf(error), 'npm run build (in a clone), or install the package again');
  }
}

/**
 * The addon and the workload program: of this package, and of another copy of it that a program in
 * `folder` would load. Whether they work is asked of the copy itself.
 */
export async function checkAddons(folder: string): Promise<Finding[]> {
  const copies = [...new Set([ownCopy(), ...copiesFor([], realpathSync(folder))])];
  return await Promise.all(
    copies.map(async (copy, index) => {
      const name = index === 0 ? 'addon' : "addon of this folder's copy";
      if (process.platform !== 'linux') return missing(name, `needs Linux, and this is ${process.platform}`);
      const problem = await kernelProblem(copy);
      return problem === undefined
        ? ok(name, describeCopy(copy))
        : missing(name, `${describeCopy(copy)}: ${problem}`, BUILD_ADVICE);
    }),
  );
}

export function checkDevice(): Finding {
  if (!existsSync(DEVICE)) {
    return optional(
      'module',
      `${DEVICE} is not there: hmm_mirror is not loaded on this machine, nor has it to be`,
      'run in a virtual machine (node-hmm vm -- COMMAND…); on a machine kept for testing: make -C kernel-module, insmod hmm_mirror.ko',
    );
  }
  try {
    accessSync(DEVICE, constants.R_OK | constants.W_OK);
    return ok('module', DEVICE);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    return optional(
      'module',
      `${DEVICE} cannot be opened (${code})`,
      'run as root: page frame numbers are for it alone',
    );
  }
}

/**
 * QEMU and, if one is there, what is known of KVM under it.
 * @param needless a kernel is at hand without a machine
 */
export async function checkMachines(needless = false): Promise<Finding[]> {
  const lack = needless ? optional : missing;
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return [lack('QEMU', `machines run on Linux x64 hosts, not on ${process.platform} ${process.arch}`)];
  }
  const fetchable = findOnPath('apt-get') !== undefined;
  let qemu: Qemu | undefined;
  let version: string;
  try {
    qemu = await findQemu();
    if (qemu === undefined) {
      return fetchable
        ? [later('QEMU', 'not installed: the first node-hmm vm fetches it into the cache')]
        : [
            lack(
              'QEMU',
              'qemu-system-x86_64 is not on PATH, nor apt-get, which would fetch it',
              'install QEMU for x86',
            ),
          ];
    }
    version = await qemuVersion(qemu);
  } catch (error) {
    const advice =
      qemu?.origin === 'cache' ? `delete what begins with ${join(cacheRoot(), 'qemu')}` : 'install QEMU again';
    return [lack('QEMU', `it does not start: ${reasonOf(error)}`, advice)];
  }
  if (!translatesRightly(version) && qemu.origin === 'PATH' && fetchable) {
    return [
      later('QEMU', `${version} on PATH translates wrongly (before 8.1): the first node-hmm vm fetches another one`),
    ];
  }
  const found = ok('QEMU', `${version}, ${qemu.program} (${qemu.origin})`);
  const known = knownAccelerator(qemu);
  if (known === undefined) {
    return [found, later('KVM', 'not probed yet: the first node-hmm vm probes it by booting a machine')];
  }
  if (known.accelerator === 'kvm') return [found, ok('KVM', known.reason)];
  return [found, optional('KVM', `${known.reason}: machines run under tcg, several times slower`)];
}

export function checkKernels(): Finding[] {
  return KERNELS.map((description) => {
    const { name, source } = description;
    const title = `kernel ${name}`;
    try {
      const kernel = findKernel(description);
      if (kernel !== undefined) return ok(title, `${kernel.release}, ${kernel.folder}`);
    } catch (error) {
      return missing(title, reasonOf(error), `delete what of it is in ${join(cacheRoot(), 'kernels')}`);
    }
    const how = source.kind === 'own' ? 'builds it, which takes minutes, once' : 'fetches it';
    return later(title, `not in the cache: node-hmm vm --kernel ${name} ${how}`);
  });
}

interface Needs {
  /** The addon is there, and need not be built. */
  readonly addonWorks: boolean;
  readonly machineNeeded: boolean;
}

/** What builds the module and the addon, and what fetches kernels. */
export function checkTools({ addonWorks, machineNeeded }: Needs): Finding[] {
  const tools: readonly (readonly [name: string, purpose: string, install: string, needed: boolean])[] = [
    ['gcc', "builds the module and the machine's first program", 'install gcc', machineNeeded],
    ['make', 'builds the module, and the addon from source', 'install make', machineNeeded || !addonWorks],
    ['g++', 'builds the addon from source', 'install g++', !addonWorks],
    ['python3', 'runs node-gyp, which builds the addon from source', 'install python3', !addonWorks],
    ['apt-get', 'fetches kernels and QEMU', 'use a Debian machine for node-hmm vm', machineNeeded],
    ['dpkg-deb', 'unpacks them', 'use a Debian machine for node-hmm vm', machineNeeded],
    ['xz', 'unpacks kernel modules', 'install xz-utils', machineNeeded],
    ['objcopy', 'prepares kernel modules', 'install binutils', machineNeeded],
    ['setpriv', 'ends QEMU together with its parent', 'install util-linux', machineNeeded],
  ];
  return tools.map(([name, purpose, install, needed]) => {
    const path = findOnPath(name);
    if (path !== undefined) return ok(name, path);
    return needed ? missing(name, `not on PATH; it ${purpose}`, install) : optional(name, `not on PATH; it ${purpose}`);
  });
}
