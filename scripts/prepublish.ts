/** npm's "prepublishOnly" step: package.json names no repository of anybody's until its owner has put one in. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { packageRoot } from './provision/package-root.js';

const { repository } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as {
  repository: { url: string };
};
if (/\/OWNER\//.test(repository.url)) {
  process.stderr.write('node-hmm: package.json: put the owner in place of OWNER in homepage, bugs and repository\n');
  process.exitCode = 1;
}
