/** What a shared library takes from the process that loads it, as `nm -D` and `readelf -d` tell it. */
import { compareReleases } from '../provision/packages.js';

/** Of Node 20's own programs for Linux. */
export const GLIBC_FLOOR = '2.28';

/** Node's own. */
const NODE_SYMBOL = /^(?:napi|uv)_/;

export interface Wanted {
  readonly name: string;
  /** "GLIBC_2.2.5" */
  readonly version: string | undefined;
  /** Null where the process does not have it. */
  readonly weak: boolean;
}

/** Reads the output of `nm -D --undefined-only`. */
export function parseWanted(output: string): Wanted[] {
  return [...output.matchAll(/^\s+([UwvW]) ([^\s@]+)(?:@@?(\S+))?$/gm)].map(([, kind, name, version]) => ({
    name: name!,
    version,
    weak: kind !== 'U',
  }));
}

/** Names in the output of `nm -D --defined-only`. */
export function parseDefined(output: string): Set<string> {
  return new Set([...output.matchAll(/^[0-9a-f]+ \w ([^\s@]+)/gm)].map((match) => match[1]!));
}

/** Libraries that have to be loaded, in the output of `readelf -d`. */
export function parseNeeded(output: string): string[] {
  return [...output.matchAll(/\(NEEDED\).*\[(.+)\]/g)].map((match) => match[1]!);
}

/** @returns what a glibc as old as the floor does not have, as text; none: it loads there */
export function beyondGlibc(wanted: readonly Wanted[]): string[] {
  return wanted.flatMap(({ name, version, weak }) => {
    if (version === undefined) return weak || NODE_SYMBOL.test(name) ? [] : [name];
    const release = /^GLIBC_([\d.]+)$/.exec(version)?.[1];
    return release !== undefined && compareReleases(release, GLIBC_FLOOR) <= 0 ? [] : [`${name}@${version}`];
  });
}

/** @returns what neither musl nor Node has */
export function beyondMusl(wanted: readonly Wanted[], musl: ReadonlySet<string>): string[] {
  return wanted
    .filter(({ name, weak }) => !weak && !NODE_SYMBOL.test(name) && !musl.has(name))
    .map(({ name, version }) => (version === undefined ? name : `${name}@${version}`));
}
