/** Which binary is loaded, and what is said where there is none. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadFile, prebuiltAddon, thisTarget } from '../../lib/kernel/binaries.js';

let prebuilds = '';

beforeAll(() => {
  prebuilds = mkdtempSync(path.join(tmpdir(), 'node-hmm-prebuilds-'));
  for (const name of ['linux-x64/hmm_mirror.glibc.node', 'linux-x64/hmm_mirror.musl.node', 'linux-x64/hmm_workload']) {
    mkdirSync(path.dirname(path.join(prebuilds, name)), { recursive: true });
    writeFileSync(path.join(prebuilds, name), 'no library');
  }
});
afterAll(() => rmSync(prebuilds, { recursive: true }));

it('is the one for the platform and its C library', () => {
  const file = (libc: string): string => path.join(prebuilds, 'linux-x64', `hmm_mirror.${libc}.node`);
  for (const libc of ['glibc', 'musl']) {
    expect(prebuiltAddon(prebuilds, { platform: 'linux-x64', libc })).toBe(file(libc));
  }
});

it('without one: names this machine, what there is, and a command', () => {
  expect(() => prebuiltAddon(prebuilds, { platform: 'linux-arm64', libc: 'musl' })).toThrow(
    'there is no binary of it for linux-arm64 with musl: the package has those for linux-x64 (glibc), linux-x64 (musl), ' +
      'and none was built on this machine; "npx node-hmm build-addon" builds it from source, with g++, make and python3',
  );
  expect(() => prebuiltAddon(path.join(prebuilds, 'none'), thisTarget())).toThrow(
    `for ${process.platform}-${process.arch} with ${thisTarget().libc}: the package has none, and none was built`,
  );
});

it('one that cannot be loaded: names the file, the machine, and a command', () => {
  const file = path.join(prebuilds, 'linux-x64', 'hmm_mirror.glibc.node');
  const { platform, libc } = thisTarget();
  expect(() => loadFile(file)).toThrow(`${file} does not load on ${platform} with ${libc}: `);
  expect(() => loadFile(file)).toThrow('"npx node-hmm build-addon" builds another one');
});
