import { isAbsolute, resolve, sep } from 'node:path';

/** What of the host the command sees, and where it can write. */
export interface GuestView {
  readonly scratch: readonly string[];
  readonly keep: readonly string[];
  readonly env: Record<string, string>;
}

/** Covered by an empty file system in the guest's memory: programs expect to write there. */
export const SCRATCH_DIRECTORIES: readonly string[] = ['/tmp', '/run', '/var/tmp'];

/** Belong to the runner's own process or shell, and mean nothing, or the wrong thing, in the guest. */
const DROPPED_VARIABLES =
  /^(?:_|SHLVL|OLDPWD|TMP|TEMP|TMPDIR|NODE_CHANNEL_.*|NODE_UNIQUE_ID|BASH_FUNC_.*|SSH_.*|DBUS_.*|DISPLAY|WAYLAND_DISPLAY|XDG_RUNTIME_DIR|XDG_CACHE_HOME)$/;

function isBelow(path: string, directory: string): boolean {
  return path.startsWith(directory + sep);
}

/**
 * Paths that the command names and that scratch space would hide: the current folder, absolute paths among the
 * arguments (also as `--option=PATH`), relative ones that exist, the folders of PATH, HOME.
 * @param exists asks the host's file system.
 */
export function keptPaths(
  command: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>>,
  extra: readonly string[],
  exists: (path: string) => boolean,
): string[] {
  const named = command.flatMap((argument) => {
    const value = argument.slice(argument.indexOf('=') + 1);
    return [resolve(cwd, argument), ...(isAbsolute(value) ? [resolve(value)] : [])];
  });
  const folders = (env['PATH'] ?? '').split(':').filter((folder) => isAbsolute(folder));
  const candidates = [cwd, ...named, ...folders, ...(env['HOME'] === undefined ? [] : [env['HOME']]), ...extra]
    .map((path) => resolve(path))
    .filter((path) => SCRATCH_DIRECTORIES.some((directory) => isBelow(path, directory)) && exists(path));
  const unique = [...new Set(candidates)].sort();
  // A path below a kept folder comes with it.
  return unique.filter((path) => !unique.some((other) => isBelow(path, other)));
}

/** The runner's environment as the command gets it, with caches and temporary files where it can write. */
export function guestEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  cwd: string,
  kernelName: string,
): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && !DROPPED_VARIABLES.test(name)) result[name] = value;
  }
  return { ...result, PWD: cwd, XDG_CACHE_HOME: '/tmp/.cache', NODE_HMM_VM: kernelName };
}
