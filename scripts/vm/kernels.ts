import { VmError } from './errors.js';

/** A kernel that a machine can boot: data only, so that a new one is a new row. */
export interface KernelDescription {
  readonly name: string;
  /** One line for `--help`. */
  readonly summary: string;
  readonly source: DebianPackages;
  /** Added to every machine's kernel command line. */
  readonly commandLine: readonly string[];
}

/** A stock kernel from the distribution's archive; the version is resolved when it is first used. */
export interface DebianPackages {
  readonly kind: 'debian';
  /** Matches the names of image packages; group 1 is the kernel release (uname -r). */
  readonly imagePattern: RegExp;
  /** The pattern in the archive's own (extended regular expression) syntax, to search with. */
  readonly search: string;
}

export const KERNELS: readonly KernelDescription[] = [
  {
    name: 'debian-6.1',
    summary: "Debian's stock 6.1: mirroring and device-coherent memory",
    source: {
      kind: 'debian',
      imagePattern: /^linux-image-(6\.1\.0-\d+-amd64)(?:-unsigned)?$/,
      search: '^linux-image-6\\.1\\.0-[0-9]+-amd64',
    },
    commandLine: [],
  },
  {
    name: 'debian-6.12',
    summary: "Debian's stock 6.12: mirroring and device-coherent memory",
    source: {
      kind: 'debian',
      imagePattern: /^linux-image-(6\.12\.\d+(?:\+deb\d+)?-amd64)(?:-unsigned)?$/,
      search: '^linux-image-6\\.12\\.[0-9]+(\\+deb[0-9]+)?-amd64',
    },
    commandLine: [],
  },
];

export const DEFAULT_KERNEL = 'debian-6.12';

/** @throws VmError 'unsupported', listing the known names, if there is no such kernel. */
export function kernelNamed(name: string): KernelDescription {
  const found = KERNELS.find((kernel) => kernel.name === name);
  if (found === undefined) {
    const known = KERNELS.map((kernel) => kernel.name).join(', ');
    throw new VmError('unsupported', `unknown kernel "${name}"; known are ${known}`);
  }
  return found;
}
