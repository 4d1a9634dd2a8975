/**
 * npm's "install" step: builds the addon where that can work. Whatever happens it ends with 0: without the addon the
 * package works on the simulation, and a dependency must not break its user's installation.
 *
 * NODE_HMM_SKIP_BUILD=1 leaves it out.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A build takes seconds; one that waits for something that never comes must not keep npm. */
const BUILD_LIMIT_MS = 10 * 60 * 1000;

const root = dirname(dirname(fileURLToPath(import.meta.url)));

function say(line) {
  process.stderr.write(`node-hmm: ${line}\n`);
}

function onPath(name) {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return folder !== '';
    } catch {
      return false; // not here
    }
  });
}

/** Why there is no point in trying; undefined if there is. */
function obstacle() {
  if (process.env.NODE_HMM_SKIP_BUILD === '1') return 'NODE_HMM_SKIP_BUILD is set';
  if (process.platform !== 'linux') return `the kernel's HMM exists on Linux only, and this is ${process.platform}`;
  if (!existsSync(join(root, 'binding.gyp'))) return 'binding.gyp is missing';
  const compiler = process.env.CXX?.split(' ')[0] ?? 'g++';
  if (!onPath(compiler) && !existsSync(compiler)) return `there is no C++ compiler (${compiler})`;
  if (!onPath('make')) return 'there is no make';
  if (!onPath('python3') && process.env.npm_config_python === undefined) return 'node-gyp needs python3';
  return undefined;
}

/** node-gyp's script: the one that npm offers its lifecycle scripts, a local one, or npm's own. */
function nodeGyp() {
  const offered = process.env.npm_config_node_gyp;
  if (offered !== undefined && existsSync(offered)) return offered;
  const beside = [root, dirname(dirname(process.execPath))].map((folder) => join(folder, 'package.json'));
  const npm = process.env.npm_execpath;
  for (const from of npm === undefined ? beside : [...beside, npm]) {
    try {
      return createRequire(from).resolve('node-gyp/bin/node-gyp.js');
    } catch {
      // Not reachable from there.
    }
  }
  const bundled = join(
    dirname(dirname(process.execPath)),
    'lib/node_modules/npm/node_modules/node-gyp/bin/node-gyp.js',
  );
  return existsSync(bundled) ? bundled : undefined;
}

/**
 * Node's headers as installed beside it (most distributions and the official archives do), so that node-gyp need not
 * download them. Those of another version would build an addon for that one.
 */
function headerOptions() {
  if (process.env.npm_config_nodedir !== undefined) return []; // node-gyp reads it itself
  const prefix = dirname(dirname(realpathSync(process.execPath)));
  const header = join(prefix, 'include/node/node_version.h');
  if (!existsSync(header)) return [];
  const text = readFileSync(header, 'utf8');
  const part = (name) => new RegExp(`#define NODE_${name}_VERSION (\\d+)`).exec(text)?.[1];
  const version = ['MAJOR', 'MINOR', 'PATCH'].map(part).join('.');
  return version === process.versions.node ? [`--nodedir=${prefix}`] : [];
}

const FALLBACK = 'the simulation works without the addon; "npm rebuild node-hmm" tries again';

const reason = obstacle();
const gyp = reason === undefined ? nodeGyp() : undefined;
if (reason !== undefined) {
  say(`the addon is not built: ${reason}.`);
  say(FALLBACK);
} else if (gyp === undefined) {
  say('the addon is not built: node-gyp is nowhere to be found (npm brings one along).');
  say(FALLBACK);
} else {
  const build = spawnSync(process.execPath, [gyp, 'rebuild', '--release', '--jobs=max', ...headerOptions()], {
    cwd: root,
    encoding: 'utf8',
    timeout: BUILD_LIMIT_MS,
    killSignal: 'SIGKILL',
    maxBuffer: 64 * 1024 * 1024,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (build.status !== 0) {
    const how = build.error?.message ?? (build.signal === null ? `status ${build.status}` : build.signal);
    process.stderr.write(`${build.stdout ?? ''}${build.stderr ?? ''}`);
    say(`BUILDING THE ADDON FAILED (${how}); the output is above.`);
    say(FALLBACK);
  }
}
