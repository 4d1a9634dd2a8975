import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { runTool, type Progress } from '../provision/tools.js';
import { VmError } from '../vm/errors.js';
import { compileForGlibc, compileForMusl, compileWorkload } from './compile.js';
import { beyondGlibc, beyondMusl, parseDefined, parseNeeded, parseWanted, type Wanted } from './symbols.js';
import { findCompiler, provideMusl, provideNodeHeaders, type Musl } from './toolchain.js';

export const PREBUILT_PLATFORM = 'linux-x64';

/**
 * Makes the binaries of the package.
 * @param prebuilds the folder that gets a folder of the platform; what it held is replaced
 * @throws VmError 'provisioning' if one cannot be made, or would not load where it has to
 */
export async function makePrebuilds(prebuilds: string, progress: Progress): Promise<void> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new VmError('provisioning', `the binaries of the package are made on Linux x64, not on ${process.platform}`);
  }
  const compiler = await findCompiler();
  const musl = await provideMusl(progress);
  const headers = await provideNodeHeaders(progress);
  const folder = join(prebuilds, PREBUILT_PLATFORM);
  rmSync(prebuilds, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const work = mkdtempSync(join(tmpdir(), 'node-hmm-prebuild-'));
  const [glibcAddon, muslAddon] = ['glibc', 'musl'].map((libc) => join(folder, `hmm_mirror.${libc}.node`));
  try {
    progress('compiling the addon for glibc');
    await compileForGlibc(compiler, headers, work, glibcAddon!);
    await checkGlibc(glibcAddon!);
    progress('compiling the addon for musl');
    await compileForMusl(compiler, musl, headers, work, muslAddon!);
    await checkMusl(muslAddon!, musl);
    progress('compiling the workload program');
    await compileWorkload(compiler, musl, join(folder, 'hmm_workload'));
  } finally {
    rmSync(work, { recursive: true });
  }
  // Node maps addons as any library: they need not be executable, and package managers treat them alike then.
  for (const addon of [glibcAddon!, muslAddon!]) chmodSync(addon, 0o644);
}

async function wantedBy(addon: string): Promise<Wanted[]> {
  return parseWanted((await runTool('nm', ['-D', '--undefined-only', addon])).toString());
}

async function neededBy(addon: string): Promise<string[]> {
  return parseNeeded((await runTool('readelf', ['-d', addon])).toString());
}

function refuse(addon: string, what: string, names: readonly string[]): void {
  if (names.length > 0) throw new VmError('provisioning', `${addon} ${what}: ${names.join(', ')}`);
}

export async function checkGlibc(addon: string): Promise<void> {
  refuse(addon, 'asks for what old releases of glibc do not have', beyondGlibc(await wantedBy(addon)));
  const needed = (await neededBy(addon)).filter((name) => name !== 'libc.so.6');
  refuse(addon, 'needs libraries', needed);
}

export async function checkMusl(addon: string, { loader }: Musl): Promise<void> {
  const defined = parseDefined((await runTool('nm', ['-D', '--defined-only', loader])).toString());
  refuse(addon, 'asks for what musl does not have', beyondMusl(await wantedBy(addon), defined));
  refuse(addon, 'needs libraries', await neededBy(addon));
}
