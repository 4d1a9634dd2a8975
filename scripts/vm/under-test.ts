/**
 * What the reports of this process are about: every kernel that it has booted, with its release. A
 * stock kernel moves.
 */

const booted = new Map<string, Set<string>>();

export interface Booted {
  /** A name from KERNELS. */
  readonly kernel: string;
  /** uname -r */
  readonly kernelRelease: string;
  readonly accelerator: string;
  readonly qemuVersion: string;
}

export function recordBoot({ kernel, kernelRelease, accelerator, qemuVersion }: Booted): void {
  const seen = booted.get(kernel) ?? new Set<string>();
  booted.set(kernel, seen.add(`Linux ${kernelRelease} under ${accelerator} (QEMU ${qemuVersion})`));
}

/**
 * For the end of a report.
 * @returns a line for each kernel, in the order of their first boots: "debian-6.12: Linux
 *   6.12.117+deb12-amd64 under tcg (QEMU 10.0.2)"
 */
export function underTest(): string[] {
  return [...booted].map(([kernel, seen]) => `${kernel}: ${[...seen].join('; ')}`);
}
