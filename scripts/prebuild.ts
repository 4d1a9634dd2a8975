/**
 * npm's "prepack" step: makes the binaries that the package brings, in prebuilds/. It fails where it cannot make all of
 * them, since a package without them would still install. NODE_HMM_PREBUILDS=none makes a package without.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';

import { makePrebuilds } from './prebuild/make.js';
import { packageRoot } from './provision/package-root.js';
import { VmError } from './vm/errors.js';

const say = (line: string): void => void process.stderr.write(`node-hmm: ${line}\n`);
const folder = join(packageRoot(), 'prebuilds');

if (process.env['NODE_HMM_PREBUILDS'] === 'none') {
  rmSync(folder, { recursive: true, force: true });
  say('the package is made without binaries (NODE_HMM_PREBUILDS=none): its users build them with node-hmm build-addon');
} else {
  try {
    await makePrebuilds(folder, say);
  } catch (error) {
    if (!(error instanceof VmError)) throw error;
    say(`${error.message}\nThe package needs its binaries; NODE_HMM_PREBUILDS=none makes one without.`);
    process.exitCode = 1;
  }
}
