/**
 * Whether the package that will run in the machine can reach the kernel from there: it loads its
 * addon and finds its workload program. Without them a test would have nothing to run on, which is
 * better said before a machine is booted.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, extname, join, resolve } from 'node:path';

import { BUILD_COMMAND } from '../../lib/kernel/binaries.js';
import { packageRoot } from '../provision/package-root.js';
import { VmError } from './errors.js';

/** What runs in Node and may import the package. */
const SCRIPT = /^\.[cm]?[jt]sx?$/;

/**
 * Exists everywhere and is no device of the module: whoever complains of it has got as far as to
 * open it.
 */
const NOT_THE_MODULE = '/dev/null';

/**
 * Opens what is no module by the public interface, which every copy of the package has, whatever
 * its version.
 */
const PROBE = `
import { pathToFileURL } from 'node:url';
const say = (outcome) => process.stdout.write(JSON.stringify(outcome));
try {
  const { openHmm } = await import(pathToFileURL(process.argv[1]).href);
  await openHmm({ backend: 'kernel', device: ${JSON.stringify(NOT_THE_MODULE)} });
  say({ message: 'it took ${NOT_THE_MODULE} for the module' });
} catch (error) {
  say({ code: error.code, message: String(error.message) });
}
`;

/** The main file of the copy that a module in `folder` would import. */
function copySeenFrom(folder: string): string | undefined {
  try {
    return realpathSync(createRequire(join(folder, 'any.js')).resolve('node-hmm'));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'MODULE_NOT_FOUND' || code === 'ENOENT' || code === 'ERR_PACKAGE_PATH_NOT_EXPORTED') return undefined;
    throw error;
  }
}

/**
 * The copies of the package that a command would load: those that its scripts see, else the one
 * that the folder sees, else the one that this program is of.
 * @returns their main files
 */
export function copiesFor(command: readonly string[], cwd: string): string[] {
  const scripts = command
    .map((argument) => resolve(cwd, argument))
    .filter((path) => SCRIPT.test(extname(path)) && existsSync(path) && statSync(path).isFile());
  const seen = scripts.flatMap((path) => copySeenFrom(dirname(realpathSync(path))) ?? []);
  if (seen.length > 0) return [...new Set(seen)];
  return [copySeenFrom(cwd) ?? ownCopy()];
}

export function ownCopy(): string {
  return copySeenFrom(packageRoot()) ?? join(packageRoot(), 'dist', 'lib', 'index.js');
}

/** @returns why that copy cannot use the kernel, wherever it runs; undefined: it can */
export async function kernelProblem(
  main: string,
  { env = process.env, signal }: { env?: NodeJS.ProcessEnv; signal?: AbortSignal | undefined } = {},
): Promise<string | undefined> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PROBE, main], {
    env,
    signal,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const ended = await new Promise<string>((settle, reject) => {
    child.on('error', reject);
    child.on('close', (code, name) => settle(name ?? `status ${code}`));
  }).catch((cause: unknown) => {
    if (signal?.aborted === true) throw new VmError('aborted', 'the run was stopped', { cause });
    return String(cause);
  });
  let message: string;
  try {
    ({ message } = JSON.parse(out) as { message: string });
  } catch {
    // No answer: it crashed, or could not be started.
    return `loading it ended with ${ended}${err === '' ? '' : `: ${err.trimEnd().split('\n').at(-1)}`}`;
  }
  return message.includes(NOT_THE_MODULE) ? undefined : message;
}

export const BUILD_ADVICE = `${BUILD_COMMAND}, in the folder of the project (in a clone: npm run build:addon), builds it from source`;

/** "/w/node_modules/node-hmm (0.1.0)" */
export function describeCopy(main: string): string {
  for (let folder = dirname(main); folder !== dirname(folder); folder = dirname(folder)) {
    const manifest = join(folder, 'package.json');
    if (!existsSync(manifest)) continue;
    const { name, version } = JSON.parse(readFileSync(manifest, 'utf8')) as { name?: string; version?: string };
    if (name === 'node-hmm') return `${folder} (${version})`;
  }
  return main;
}

/** @throws VmError 'setup' if a copy that the command would load cannot use the kernel */
export async function requireKernelBackend(
  command: readonly string[],
  cwd: string,
  options: { env?: NodeJS.ProcessEnv; signal?: AbortSignal | undefined } = {},
): Promise<void> {
  for (const copy of copiesFor(command, cwd)) {
    const problem = await kernelProblem(copy, options);
    if (problem === undefined) continue;
    throw new VmError(
      'setup',
      `no machine was started: in it, ${describeCopy(copy)} could not use the kernel: ${problem}\n` +
        `${BUILD_ADVICE}; --no-module runs a command that needs neither`,
    );
  }
}
