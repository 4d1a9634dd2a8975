/** node-gyp, and what it needs of a machine. */
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

import { packageRoot } from '../provision/package-root.js';
import { findOnPath } from '../provision/tools.js';

/** @returns why there is no point in trying to build; undefined if there is */
export function buildObstacle(): string | undefined {
  if (process.platform !== 'linux') return `the kernel's HMM exists on Linux only, and this is ${process.platform}`;
  const compiler = process.env['CXX']?.split(' ')[0] ?? 'g++';
  if (findOnPath(compiler) === undefined && !existsSync(compiler)) return `there is no C++ compiler (${compiler})`;
  if (findOnPath('make') === undefined) return 'there is no make';
  if (findOnPath('python3') === undefined && process.env['npm_config_python'] === undefined) {
    return 'node-gyp needs python3';
  }
  if (nodeGyp() === undefined) return 'there is no node-gyp: npm brings one along; or install it in the project';
  return undefined;
}

/**
 * node-gyp's script: the one that npm offers its lifecycle scripts, one of the project or of this
 * package, or npm's own.
 */
export function nodeGyp(): string | undefined {
  const offered = process.env['npm_config_node_gyp'];
  if (offered !== undefined && existsSync(offered)) return offered;
  const prefix = dirname(dirname(realpathSync(process.execPath)));
  const bases = [
    join(process.cwd(), 'package.json'),
    join(packageRoot(), 'package.json'),
    ...(process.env['npm_execpath'] === undefined ? [] : [process.env['npm_execpath']]),
    join(prefix, 'lib', 'node_modules', 'npm', 'package.json'),
  ];
  for (const base of bases) {
    try {
      return createRequire(base).resolve('node-gyp/bin/node-gyp.js');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error;
    }
  }
  return undefined;
}

/**
 * Where Node's headers are installed beside it, as most distributions and the official archives
 * have them; otherwise node-gyp downloads them.
 * @returns undefined if there are none, or those of another version
 */
export function nodePrefix(): string | undefined {
  const prefix = process.env['npm_config_nodedir'] ?? dirname(dirname(realpathSync(process.execPath)));
  const header = join(prefix, 'include', 'node', 'node_version.h');
  if (!existsSync(header)) return undefined;
  const text = readFileSync(header, 'utf8');
  const part = (name: string): string | undefined => new RegExp(`#define NODE_${name}_VERSION (\\d+)`).exec(text)?.[1];
  const version = ['MAJOR', 'MINOR', 'PATCH'].map(part).join('.');
  return version === process.versions.node ? prefix : undefined;
}
