import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { provideTarball } from '../../scripts/testing/tarball.js';

/** Packing takes a compiler, and longer than a test. */
export const PACKING_LIMIT = 600_000;

export const tarball = await provideTarball((line) => process.stderr.write(`${line}\n`));

/** A folder of its own, with the package in node_modules as it was unpacked, and what it depends on. */
export function project(): { folder: string; remove: () => void } {
  const folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'node-hmm-consumer-')));
  const modules = path.join(folder, 'node_modules');
  mkdirSync(modules);
  cpSync(tarball.folder, path.join(modules, 'node-hmm'), { recursive: true });
  for (const name of ['bindings', 'detect-libc', 'file-uri-to-path', 'node-addon-api']) {
    symlinkSync(path.resolve('node_modules', name), path.join(modules, name));
  }
  writeFileSync(path.join(folder, 'package.json'), '{ "name": "consumer", "private": true }\n');
  return { folder, remove: () => rmSync(folder, { recursive: true }) };
}

export function run(program: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv = process.env) {
  const { status, signal, stdout, stderr, error } = spawnSync(program, args, { cwd, env, encoding: 'utf8' });
  if (error !== undefined) throw error;
  return { status: status ?? signal, stdout, stderr };
}
