import type { Features } from '../../lib/backend.js';
import { UsageError } from '../usage-error.js';

/** A kernel that a machine can boot: data only, so that a new one is a new row. */
export interface KernelDescription {
  readonly name: string;
  /** One line for `--help`. */
  readonly summary: string;
  readonly source: DebianPackages | OwnBuild;
  /** The package with its source code, from which own kernels and the kernel's selftests are built. */
  readonly sourcePackage: string;
  /** Added to every machine's kernel command line. */
  readonly commandLine: readonly string[];
  /** Limit for reaching the first program if the caller sets none, seconds: several times what it takes under tcg. */
  readonly bootTimeout: number;
  /** How much slower than a stock kernel it runs, as a factor for limits on time. */
  readonly slowness: number;
  /**
   * What hmm.features must say there, in a machine of the default size. A test may be skipped for a
   * feature that the row lacks; a feature that the row has and the module does not see is a
   * failure.
   */
  readonly features: KernelFeatures;
}

export type KernelFeatures = Readonly<Record<Exclude<keyof Features, 'reasons'>, boolean>>;

const EVERYTHING: KernelFeatures = {
  devicePrivate: true,
  deviceCoherent: true,
  exclusive: true,
  transparentHugePages: true,
  hugetlb: true,
};
/** Debian built these without CONFIG_DEVICE_PRIVATE, which exclusive access takes as well. */
const WITHOUT_DEVICE_PRIVATE: KernelFeatures = { ...EVERYTHING, devicePrivate: false, exclusive: false };

/** A stock kernel from the distribution's archive; the version is resolved when it is first used. */
export interface DebianPackages {
  readonly kind: 'debian';
  /** Matches the names of image packages; group 1 is the kernel release (uname -r). */
  readonly imagePattern: RegExp;
  /** The pattern in the archive's own (extended regular expression) syntax, to search with. */
  readonly search: string;
}

/** A kernel that is configured and built here, from the distribution's source; done once for each version of it. */
export interface OwnBuild {
  readonly kind: 'own';
  readonly configuration: 'own' | 'own-debug';
}

/**
 * What makes the address sanitizer's kernel boot under a translator. Its interpreter of ACPI's tables is so slow there that it
 * gives up on the interrupt routing of PCI, which has another description (the MP table); all of ACPI cannot be off, as
 * without its timer no clock is calibrated and only one processor starts. The slab allocator's own checks and
 * the sanitizer's do not go together. The self-test of page table helpers is long, and about processors, not about HMM.
 */
const SANITIZED = ['pci=noacpi', 'slub_debug=-', 'initcall_blacklist=debug_vm_pgtable'];

export const KERNELS: readonly KernelDescription[] = [
  {
    name: 'debian-6.1',
    summary: "Debian's stock 6.1: mirroring and device-coherent memory",
    source: {
      kind: 'debian',
      imagePattern: /^linux-image-(6\.1\.0-\d+-amd64)(?:-unsigned)?$/,
      search: '^linux-image-6\\.1\\.0-[0-9]+-amd64',
    },
    sourcePackage: 'linux-source-6.1',
    commandLine: [],
    bootTimeout: 180,
    slowness: 1,
    features: WITHOUT_DEVICE_PRIVATE,
  },
  {
    name: 'debian-6.12',
    summary: "Debian's stock 6.12: mirroring and device-coherent memory",
    source: {
      kind: 'debian',
      imagePattern: /^linux-image-(6\.12\.\d+(?:\+deb\d+)?-amd64)(?:-unsigned)?$/,
      search: '^linux-image-6\\.12\\.[0-9]+(\\+deb[0-9]+)?-amd64',
    },
    sourcePackage: 'linux-source-6.12',
    commandLine: [],
    bootTimeout: 180,
    slowness: 1,
    features: WITHOUT_DEVICE_PRIVATE,
  },
  {
    name: 'own-6.12',
    summary: "Debian's 6.12 built here, small: device-private memory, exclusive access, the kernel's own test module",
    source: { kind: 'own', configuration: 'own' },
    sourcePackage: 'linux-source-6.12',
    commandLine: [],
    bootTimeout: 180,
    slowness: 1,
    features: EVERYTHING,
  },
  {
    name: 'own-6.12-debug',
    summary: 'the same with KASAN, lockdep, kmemleak, page table checks and fault injection; slow',
    source: { kind: 'own', configuration: 'own-debug' },
    sourcePackage: 'linux-source-6.12',
    commandLine: [...SANITIZED, 'page_owner=on'],
    bootTimeout: 600,
    slowness: 8,
    features: EVERYTHING,
  },
];

export const DEFAULT_KERNEL = 'debian-6.12';

/** @throws UsageError, listing the known names, if there is no such kernel. */
export function kernelNamed(name: string): KernelDescription {
  const found = KERNELS.find((kernel) => kernel.name === name);
  if (found === undefined) {
    const known = KERNELS.map((kernel) => kernel.name).join(', ');
    throw new UsageError(`unknown kernel "${name}"; known are ${known}`);
  }
  return found;
}
