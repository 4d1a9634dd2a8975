/** Which stable release a kernel was built from: `uname -r` of a distribution's kernel does not say it. */
import type { Machine } from './protocol.js';

/**
 * @param release `uname -r`: 6.1.0-50-amd64, 6.12.117-own
 * @param version `uname -v`, in which Debian writes the version of its package
 * @returns 6.1.176, 6.12.117
 */
export function stableVersion(release: string, version: string): string {
  const debian = /\bDebian (\d+\.\d+\.\d+)/.exec(version);
  const parts = debian?.[1] ?? /^\d+\.\d+\.\d+/.exec(release)?.[0];
  if (parts === undefined) throw new Error(`no version in the release ${release}`);
  return parts;
}

/** Release and version, as reports name the kernel under test. */
export function kernelName({ release, version }: Pick<Machine, 'release' | 'version'>): string {
  return version === undefined || release.startsWith(version) ? release : `${release}, ${version}`;
}
