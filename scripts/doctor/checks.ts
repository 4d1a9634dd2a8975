import { accessSync, constants, existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { cacheRoot } from '../provision/cache.js';
import { findKernel } from '../provision/kernel.js';
import { packageRoot } from '../provision/package-root.js';
import { findQemu, qemuVersion } from '../provision/qemu.js';
import { findOnPath } from '../provision/tools.js';
import { knownAccelerator } from '../vm/accelerator.js';
import { KERNELS } from '../vm/kernels.js';
import { missing, ok, type Finding } from './findings.js';

/** package.json's "engines". */
const NODE_FLOOR = [20, 19] as const;

const DEVICE = '/dev/hmm_mirror0';

function reasonOf(error: unknown): string {
  return error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
}

export function checkNode(version = process.versions.node): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const enough = major > NODE_FLOOR[0] || (major === NODE_FLOOR[0] && minor >= NODE_FLOOR[1]);
  if (enough) return ok('Node.js', version);
  return missing('Node.js', `${version} is older than ${NODE_FLOOR.join('.')}`, 'install a newer Node.js');
}

/** The simulation is plain JavaScript: if it can be imported, it works. */
export async function checkSimulation(): Promise<Finding> {
  const entry = join(packageRoot(), 'dist', 'lib', 'simulation', 'index.js');
  try {
    await import(entry);
    return ok('simulation', 'works on every machine');
  } catch (error) {
    return missing('simulation', reasonOf(error), 'npm run build (in a clone), or install the package again');
  }
}

export function checkAddon(): Finding {
  const path = join(packageRoot(), 'build', 'Release', 'hmm_mirror.node');
  const rebuild = 'npm rebuild node-hmm (in a clone: npm run build:addon) with g++, make and python3 installed';
  if (process.platform !== 'linux') return missing('addon', `needs Linux, and this is ${process.platform}`);
  if (!existsSync(path)) return missing('addon', `${path} is not built`, rebuild);
  try {
    createRequire(import.meta.url)(path);
    return ok('addon', path);
  } catch (error) {
    return missing('addon', `${path} does not load: ${reasonOf(error)}`, rebuild);
  }
}

export function checkDevice(): Finding {
  if (!existsSync(DEVICE)) {
    return missing(
      'module',
      `${DEVICE} is not there: hmm_mirror is not loaded`,
      'run in a virtual machine (node-hmm vm -- COMMAND…); on a machine kept for testing: make -C kernel-module, insmod hmm_mirror.ko',
    );
  }
  try {
    accessSync(DEVICE, constants.R_OK | constants.W_OK);
    return ok('module', DEVICE);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    return missing(
      'module',
      `${DEVICE} cannot be opened (${code})`,
      'run as root: page frame numbers are for it alone',
    );
  }
}

/** QEMU and, if one is there, what is known of KVM under it. */
export async function checkMachines(): Promise<Finding[]> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return [missing('QEMU', `machines run on Linux x64 hosts, not on ${process.platform} ${process.arch}`)];
  }
  const qemu = findQemu();
  if (qemu === undefined) {
    return findOnPath('apt-get') === undefined
      ? [missing('QEMU', 'qemu-system-x86_64 is not on PATH', 'install QEMU for x86')]
      : [missing('QEMU', 'not installed', 'nothing: the first node-hmm vm fetches it into the cache')];
  }
  let version: string;
  try {
    version = await qemuVersion(qemu);
  } catch (error) {
    const advice = qemu.origin === 'cache' ? `delete ${join(cacheRoot(), 'qemu')}` : 'install QEMU again';
    return [missing('QEMU', `${qemu.program} does not start: ${reasonOf(error)}`, advice)];
  }
  const found = ok('QEMU', `${version}, ${qemu.program} (${qemu.origin})`);
  const known = knownAccelerator(qemu);
  if (known === undefined) {
    return [found, missing('KVM', 'not probed yet', 'nothing: the first node-hmm vm probes it by booting a machine')];
  }
  if (known.accelerator === 'kvm') return [found, ok('KVM', known.reason)];
  return [found, missing('KVM', known.reason, 'nothing: machines run under tcg, several times slower')];
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
    return missing(title, 'not in the cache', `nothing: node-hmm vm --kernel ${name} ${how}`);
  });
}

/** What builds the module and the addon, and what fetches kernels. */
export function checkTools(): Finding[] {
  const tools: readonly (readonly [name: string, purpose: string, install: string])[] = [
    ['gcc', "builds the module and the machine's first program", 'install gcc'],
    ['make', 'builds the module and the addon', 'install make'],
    ['g++', 'builds the addon', 'install g++'],
    ['python3', 'runs node-gyp, which builds the addon', 'install python3'],
    ['apt-get', 'fetches kernels and QEMU', 'use a Debian machine for node-hmm vm'],
    ['dpkg-deb', 'unpacks them', 'use a Debian machine for node-hmm vm'],
    ['xz', 'unpacks kernel modules', 'install xz-utils'],
    ['objcopy', 'prepares kernel modules', 'install binutils'],
    ['setpriv', 'ends QEMU together with its parent', 'install util-linux'],
  ];
  return tools.map(([name, purpose, install]) => {
    const path = findOnPath(name);
    return path === undefined ? missing(name, `not on PATH; it ${purpose}`, install) : ok(name, path);
  });
}
