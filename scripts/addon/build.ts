import { spawnSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { packageRoot } from '../provision/package-root.js';
import { VmError } from '../vm/errors.js';
import { buildObstacle, nodeGyp, nodePrefix } from './node-gyp.js';

/** A build takes seconds; one that waits for something that never comes must not keep npm. */
const BUILD_LIMIT_MS = 10 * 60 * 1000;

/** An installed package has no binding.gyp: package managers would build whatever has one. */
const BINDING = "{ 'includes': ['native/addon.gypi'] }\n";

/**
 * Builds the addon and the workload program with node-gyp.
 * @returns the folder that holds them
 * @throws VmError 'provisioning' that says why they could not be built, with node-gyp's output
 */
export function buildAddon(): string {
  const obstacle = buildObstacle();
  if (obstacle !== undefined) throw new VmError('provisioning', `the addon is not built: ${obstacle}`);
  const root = packageRoot();
  const binding = join(root, 'binding.gyp');
  const own = existsSync(binding);
  if (!own) writeFileSync(binding, BINDING);
  try {
    runNodeGyp(root);
  } finally {
    if (!own) rmSync(binding);
  }
  const folder = join(root, 'build', 'Release');
  for (const name of ['hmm_mirror.node', 'hmm_workload']) {
    if (!existsSync(join(folder, name)))
      throw new VmError('provisioning', `node-gyp has built no ${name} in ${folder}`);
  }
  return folder;
}

function runNodeGyp(cwd: string): void {
  const prefix = nodePrefix();
  const headers = prefix === undefined ? [] : [`--nodedir=${prefix}`];
  const args = [nodeGyp()!, 'rebuild', '--release', '--jobs=max', ...headers];
  const build = spawnSync(process.execPath, args, {
    cwd,
    encoding: 'utf8',
    timeout: BUILD_LIMIT_MS,
    killSignal: 'SIGKILL',
    maxBuffer: 64 * 1024 * 1024,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (build.status === 0) return;
  const how = build.error?.message ?? (build.signal === null ? `status ${build.status}` : build.signal);
  const output = `${build.stdout ?? ''}${build.stderr ?? ''}`.trimEnd();
  throw new VmError('provisioning', `${output}\nBUILDING THE ADDON FAILED (${how}); node-gyp's output is above`);
}
