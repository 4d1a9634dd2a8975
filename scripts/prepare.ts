/**
 * npm's "prepare" step, after the compilation: builds the addon where that can work. npm runs it in a clone, and before it
 * packs a dependency that was named by a git address. Where the addon cannot be built it says so and ends with 0: the
 * simulation works without it.
 *
 * NODE_HMM_SKIP_BUILD=1 leaves it out.
 */
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { thisTarget } from '../lib/kernel/binaries.js';
import { buildAddon } from './addon/build.js';
import { packageRoot } from './provision/package-root.js';
import { VmError } from './vm/errors.js';

const FALLBACK = 'the simulation works without the addon; "npm run build:addon" tries again';

function say(line: string): void {
  process.stderr.write(`node-hmm: ${line}\n`);
}

/** Only npm sets it: this folder is a dependency's checkout, which is packed without its build/ when this has ended. */
const gitDependency = process.env['_PACOTE_NO_PREPARE_'] !== undefined;
/** A package is made with the binaries of its own step, "prepack". */
const packing = ['pack', 'publish'].includes(process.env['npm_command'] ?? '');

if (process.env['NODE_HMM_SKIP_BUILD'] === '1') {
  say('the addon is not built: NODE_HMM_SKIP_BUILD is set.');
  say(FALLBACK);
} else if (!packing) {
  try {
    const built = buildAddon();
    if (gitDependency) keepForPackage(built);
  } catch (error) {
    if (!(error instanceof VmError)) throw error;
    say(error.message);
    say(FALLBACK);
  }
}

/** The machine that packs it is the one that will run it. */
function keepForPackage(built: string): void {
  const { platform, libc } = thisTarget();
  const folder = join(packageRoot(), 'prebuilds', platform);
  mkdirSync(folder, { recursive: true });
  cpSync(join(built, 'hmm_mirror.node'), join(folder, `hmm_mirror.${libc}.node`));
  cpSync(join(built, 'hmm_workload'), join(folder, 'hmm_workload'));
}
