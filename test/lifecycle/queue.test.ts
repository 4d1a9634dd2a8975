/** What bounds the event queue, each with the race that it is for. Real kernels only: C programs, for threads that sleep where they are told. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { noContextLeft } from './support.js';

const SOURCES = fileURLToPath(new URL('../stress/queue', import.meta.url));

let folder: string;
let program: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'node-hmm-queue-'));
  program = path.join(folder, 'queue');
  const sources = readdirSync(SOURCES).filter((name) => name.endsWith('.c'));
  const options = ['-std=gnu11', '-D_GNU_SOURCE', '-O2', '-pthread', '-o', program];
  execFileSync('cc', [...options, ...sources.map((name) => path.join(SOURCES, name))], { stdio: 'inherit' });
});
afterAll(() => rmSync(folder, { recursive: true }));

async function kept(check: 'read' | 'remove'): Promise<string> {
  const { status, signal, stdout, stderr } = spawnSync(program, [check], { encoding: 'utf8' });
  expect({ status, signal, stderr }, stdout).toEqual({ status: 0, signal: null, stderr: '' });
  await noContextLeft();
  return stdout;
}

it('one read gives no more records than the queue holds, though there are new ones while it copies', async () => {
  expect(await kept('read')).toMatch(/^capacity \d+: the first read gave \d+ bytes, the second 4096\n$/);
});

it('a removal waits for the invalidations that wait when it begins, not for all that come after them', async () => {
  // The last of the answers that it took was to an invalidation that the kernel's own removal waits for.
  expect(await kept('remove')).toMatch(/^removed after [1-3] answers\n$/);
});
