/**
 * Compiles what the npm package brings: the addon for glibc and for musl, and the workload program.
 *
 * The addon takes from the machine only its C library, of a version as old as Node's own floor: the part of the C++
 * library that it uses is in native/prebuilt/runtime.cc. The workload program is linked with musl, so that one serves
 * both, and its licence (MIT) asks for nothing.
 */
import { readdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

import { packageRoot } from '../provision/package-root.js';
import { runTool } from '../provision/tools.js';
import type { Compiler, Musl } from './toolchain.js';

const NATIVE = join(packageRoot(), 'native');
const ABI = `-I${join(packageRoot(), 'kernel-module', 'uapi')}`;

const COMMON = ['-std=gnu++17', '-O2', '-Wall', '-Wextra', '-Werror', '-fno-exceptions', '-fno-rtti', '-s'];
const ADDON = [
  ...['-fPIC', '-shared', '-fvisibility=hidden', '-ffunction-sections', '-fdata-sections'],
  ...['-DNAPI_VERSION=8', '-DNODE_ADDON_API_DISABLE_CPP_EXCEPTIONS'],
  // See native/addon.gypi for nodelete.
  ...['-Wl,--gc-sections', '-Wl,-z,nodelete', '-Wl,-z,relro', '-Wl,-z,now', '-nostdlib'],
];
const WORKLOAD = ['-fno-pie', '-no-pie', '-static', '-nostdlib', '-fno-threadsafe-statics'];

/** What Node asks an addon for; everything else stays inside. */
const EXPORTS = '{ global: napi_register_module_v1; node_api_module_get_api_version_v1; local: *; };\n';

function sources(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.cc'))
    .sort()
    .map((name) => join(folder, name));
}

function before(name: string): string[] {
  return ['-include', join(NATIVE, 'prebuilt', name)];
}

async function addonSources(): Promise<string[]> {
  return [...sources(NATIVE), join(NATIVE, 'prebuilt', 'runtime.cc')];
}

function addonIncludes(nodeHeaders: string): string[] {
  const api = createRequire(import.meta.url)('node-addon-api') as { include_dir: string };
  return [`-I${NATIVE}`, ABI, '-isystem', resolve(api.include_dir), '-isystem', nodeHeaders];
}

function exportsScript(folder: string): string {
  const file = join(folder, 'exports.map');
  writeFileSync(file, EXPORTS);
  return `-Wl,--version-script=${file}`;
}

/** musl's headers in place of the machine's, behind those of the C++ library, which include them. */
async function muslIncludes(compiler: Compiler, musl: Musl): Promise<string[]> {
  const folders = [...compiler.cxxHeaders, musl.headers, await compiler.file('include'), musl.kernelHeaders];
  return ['-nostdinc', ...folders.flatMap((folder) => ['-isystem', folder])];
}

/** @param folder for what the linker is told */
export async function compileForGlibc(
  compiler: Compiler,
  nodeHeaders: string,
  folder: string,
  output: string,
): Promise<void> {
  await runTool(compiler.program, [
    ...[...COMMON, ...ADDON, ...before('glibc.h'), ...addonIncludes(nodeHeaders), exportsScript(folder)],
    ...(await addonSources()),
    ...[await compiler.file('libstdc++.a'), '-lc', '-lgcc', '-o', output],
  ]);
}

/** Not linked with musl itself: by what name to ask for it differs, and Node has it loaded anyway. */
export async function compileForMusl(
  compiler: Compiler,
  musl: Musl,
  nodeHeaders: string,
  folder: string,
  output: string,
): Promise<void> {
  await runTool(compiler.program, [
    ...[...COMMON, ...ADDON, ...before('musl.h'), ...(await muslIncludes(compiler, musl))],
    ...[...addonIncludes(nodeHeaders), exportsScript(folder)],
    ...(await addonSources()),
    ...[await compiler.file('libstdc++.a'), '-lgcc', '-o', output],
  ]);
}

export async function compileWorkload(compiler: Compiler, musl: Musl, output: string): Promise<void> {
  const start = ['crt1.o', 'crti.o'].map((name) => join(musl.library, name));
  await runTool(compiler.program, [
    ...[...COMMON, ...WORKLOAD, ...before('musl.h'), ...(await muslIncludes(compiler, musl))],
    ...[`-I${join(NATIVE, 'workload')}`, ABI],
    ...[...start, await compiler.file('crtbeginT.o'), join(NATIVE, 'prebuilt', 'data_start.cc')],
    ...sources(join(NATIVE, 'workload')),
    ...[`-L${musl.library}`, '-lc', '-lgcc', await compiler.file('crtend.o'), join(musl.library, 'crtn.o')],
    ...['-o', output],
  ]);
}
