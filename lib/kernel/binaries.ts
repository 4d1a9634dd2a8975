/** The binaries of this package: the addon and the workload program, built here or brought along. */
import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type Bindings from 'bindings';
import type DetectLibc from 'detect-libc';

const ADDON = 'hmm_mirror';

/** What builds the addon from source. */
export const BUILD_COMMAND = 'npx node-hmm build-addon';

const require = createRequire(import.meta.url);

/** What a binary must be made for. */
export interface Target {
  /** "linux-x64" */
  readonly platform: string;
  /** The C library of this Node, which the addon is loaded beside. */
  readonly libc: string;
}

export function thisTarget(): Target {
  const { familySync } = require('detect-libc') as typeof DetectLibc;
  return { platform: `${process.platform}-${process.arch}`, libc: familySync() ?? 'an unknown C library' };
}

/**
 * The addon's file: the one that was built here, else the one that the package brings for this
 * machine. The workload program is in the same folder.
 * @throws Error that says what there is and what to do, if neither exists
 */
export function findAddon(): string {
  const bindings = require('bindings') as typeof Bindings;
  // By default it asks the call stack who calls it, which has no answer for an ES module.
  const root = bindings.getRoot(fileURLToPath(import.meta.url));
  return builtAddon(bindings, root) ?? prebuiltAddon(join(root, 'prebuilds'), thisTarget());
}

function builtAddon(bindings: typeof Bindings, root: string): string | null {
  try {
    const options: Bindings.Options & { path: true } = {
      bindings: ADDON,
      module_root: root,
      // Where it is, instead of what it exports; missing in its types.
      path: true,
      try: [
        ['module_root', 'build', 'Release', 'bindings'],
        ['module_root', 'build', 'Debug', 'bindings'],
      ],
    };
    return bindings(options) as string;
  } catch (error) {
    if ((error as { tries?: unknown }).tries === undefined) throw error;
    return null; // not built here
  }
}

/** @throws Error if there is none */
export function prebuiltAddon(folder: string, { platform, libc }: Target): string {
  const file = join(folder, platform, `${ADDON}.${libc}.node`);
  if (existsSync(file)) return file;
  const list = prebuiltTargets(folder);
  throw new Error(
    `there is no binary of it for ${platform} with ${libc}: the package has ` +
      `${list.length === 0 ? 'none' : `those for ${list.join(', ')}`}, and none was built on this machine; ` +
      `"${BUILD_COMMAND}" builds it from source, with g++, make and python3`,
  );
}

/** Such as "linux-x64 (musl)". */
function prebuiltTargets(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).flatMap((name) => {
    const libc = new RegExp(`${ADDON}\\.(\\w+)\\.node$`).exec(name)?.[1];
    return libc === undefined ? [] : `${dirname(name)} (${libc})`;
  });
}

/** @throws Error that names the file, if this Node cannot load it */
export function loadFile(file: string): unknown {
  try {
    return require(file);
  } catch (cause) {
    const { platform, libc } = thisTarget();
    throw new Error(
      `${file} does not load on ${platform} with ${libc}: ${(cause as Error).message}; ` +
        `"${BUILD_COMMAND}" builds another one from source, with g++, make and python3`,
      { cause },
    );
  }
}
