import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { cacheRoot, contentKey, writeFileAtomically } from '../provision/cache.js';
import type { Qemu } from '../provision/qemu.js';
import { findOnPath, programIdentity, type Progress } from '../provision/tools.js';
import { bootBare } from './bare.js';
import { VmError } from './errors.js';
import type { Accelerator } from './qemu-args.js';

/** An accelerator and why it is the one. */
export interface AcceleratorChoice {
  readonly accelerator: Accelerator;
  readonly reason: string;
}

/** A machine with working KVM boots in a second; one that hangs must not be waited for long. */
const PROBE_LIMIT_MS = 10_000;

interface Verdict extends AcceleratorChoice {
  readonly key: string;
}

function verdictPath(qemu: Qemu): string {
  return join(cacheRoot(), 'kvm', `${contentKey(qemu.program)}.json`);
}

/** Another boot of the host, or another QEMU, may give another answer. */
function verdictKey(qemu: Qemu): string {
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return `${bootId} ${programIdentity(findOnPath(qemu.program) ?? qemu.program)}`;
}

/** Why KVM cannot be used, if that can be seen without a boot. */
function obviousObstacle(): string | undefined {
  if (!existsSync('/dev/kvm')) return 'there is no /dev/kvm';
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return undefined;
  } catch (error) {
    return `/dev/kvm cannot be opened (${(error as NodeJS.ErrnoException).code ?? String(error)})`;
  }
}

/** What is known without booting anything; undefined: only a probe can tell. */
export function knownAccelerator(qemu: Qemu): AcceleratorChoice | undefined {
  const obstacle = obviousObstacle();
  if (obstacle !== undefined) return { accelerator: 'tcg', reason: obstacle };
  if (!existsSync(verdictPath(qemu))) return undefined;
  const { key, accelerator, reason } = JSON.parse(readFileSync(verdictPath(qemu), 'utf8')) as Verdict;
  return key === verdictKey(qemu) ? { accelerator, reason } : undefined;
}

/**
 * KVM if a machine boots under it, else tcg. That the device exists says nothing: under nested virtualization guests
 * may hang. The verdict is kept until the host's next boot.
 */
export async function chooseAccelerator(
  qemu: Qemu,
  kernel: { readonly image: string; readonly initramfs: string },
  progress: Progress,
  signal?: AbortSignal,
): Promise<AcceleratorChoice> {
  const known = knownAccelerator(qemu);
  if (known !== undefined) return known;
  progress('probing KVM by booting a machine under it');
  const choice = await probe(qemu, kernel, signal);
  writeFileAtomically(verdictPath(qemu), JSON.stringify({ ...choice, key: verdictKey(qemu) } satisfies Verdict));
  return choice;
}

async function probe(
  qemu: Qemu,
  kernel: { readonly image: string; readonly initramfs: string },
  signal?: AbortSignal,
): Promise<AcceleratorChoice> {
  try {
    await bootBare(qemu, { ...kernel, accelerator: 'kvm', memory: '512M', cpus: 2 }, PROBE_LIMIT_MS, signal);
    return { accelerator: 'kvm', reason: 'a machine boots under it' };
  } catch (error) {
    // Only a machine that was started and did not boot says something about KVM.
    if (!(error instanceof VmError) || error.failure !== 'boot') throw error;
    return { accelerator: 'tcg', reason: `KVM does not work here: ${error.message}` };
  }
}
