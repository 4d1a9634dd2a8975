/** Pure readers of what apt prints, and the choice of a kernel version. */

/** Package names in the output of `apt-cache search --names-only`. */
export function parseSearch(output: string): string[] {
  return output
    .split('\n')
    .map((line) => line.split(' - ')[0]?.trim() ?? '')
    .filter((name) => name !== '');
}

/** Direct dependencies (alternatives included) in the output of `apt-cache depends PACKAGE`. */
export function parseDepends(output: string): string[] {
  const names = [...output.matchAll(/^\s*\|?(?:Pre)?Depends: <?([^\s<>:]+)>?/gm)].map((match) => match[1] ?? '');
  return [...new Set(names)];
}

/**
 * Packages that `apt-get --simulate install` would install.
 * @param version matches the versions of those to name; default: all
 */
export function parseSimulation(output: string, version = /(?:)/): string[] {
  return [...output.matchAll(/^Inst (\S+)(?: \[\S+\])?(?: \((\S+))?/gm)]
    .filter((match) => version.test(match[2] ?? ''))
    .map((match) => (match[1] ?? '').split(':')[0] ?? '');
}

/** Where a machine's own release of Debian comes from. */
export interface Archive {
  readonly uri: string;
  /** "bookworm" */
  readonly codename: string;
}

/**
 * The archive of the release itself, neither its updates nor its security fixes.
 * @param output of `apt-get indextargets --format
 *   '$(REPO_URI)|$(CODENAME)|$(COMPONENT)|$(ORIGIN)|$(LABEL)'`
 */
export function parseArchive(output: string): Archive | undefined {
  for (const line of output.split('\n')) {
    const [uri, codename, component, origin, label] = line.trim().split('|');
    if (uri === undefined || codename === undefined || !/^[a-z]+$/.test(codename)) continue;
    if (component === 'main' && origin === 'Debian' && label === 'Debian') return { uri, codename };
  }
  return undefined;
}

/** The candidate in the output of `apt-cache policy PACKAGE`. */
export function parseCandidate(output: string): string | undefined {
  const version = /^\s*Candidate: (\S+)$/m.exec(output)?.[1];
  return version === '(none)' ? undefined : version;
}

/** Orders release names by the numbers in them: 6.1.0-9 before 6.1.0-56. */
export function compareReleases(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}

export interface KernelPackages {
  /** uname -r */
  readonly release: string;
  readonly image: string;
  readonly headers: string;
}

/**
 * The newest kernel of which both image and headers are in the archive; a signed image before its unsigned twin.
 * @param names package names, in any order.
 * @param imagePattern matches image packages; group 1 is the release.
 */
export function pickKernel(names: readonly string[], imagePattern: RegExp): KernelPackages | undefined {
  const images = names.flatMap((image) => {
    const release = imagePattern.exec(image)?.[1];
    const headers = `linux-headers-${release}`;
    return release !== undefined && names.includes(headers) ? [{ release, image, headers }] : [];
  });
  images.sort((a, b) => compareReleases(b.release, a.release) || a.image.length - b.image.length);
  return images[0];
}
