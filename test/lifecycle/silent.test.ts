/**
 * Listeners that never answer cost others one bound for each invalidation, however many there are. The programs are in C:
 * a listener in Node reads its events, which is a sign of life.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { openHmm } from 'node-hmm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const SOURCE = fileURLToPath(new URL('./silent/silent.c', import.meta.url));
const UAPI = fileURLToPath(new URL('../../kernel-module/uapi', import.meta.url));
const PARAMETER = '/sys/module/hmm_mirror/parameters/callback_timeout_ms';

/** Milliseconds. */
const BOUND = 3_000;
/** Seconds: one bound, and the time that a slow guest takes. Two bounds would be more. */
const ONE_BOUND = 5.5;

let folder: string;
let before: string;

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'node-hmm-silent-'));
  const flags = ['-std=gnu11', '-D_GNU_SOURCE', '-O1', '-Wall', '-Wextra', '-Werror', '-I', UAPI];
  execFileSync('cc', [...flags, '-o', path.join(folder, 'silent'), SOURCE], { stdio: 'inherit' });
  before = readFileSync(PARAMETER, 'utf8');
  writeFileSync(PARAMETER, String(BOUND));
});

afterAll(() => {
  writeFileSync(PARAMETER, before);
  rmSync(folder, { recursive: true });
});

function silent(words: readonly (string | number)[], device = '/dev/hmm_mirror0'): Record<string, number> {
  const output = execFileSync(path.join(folder, 'silent'), words.map(String), {
    encoding: 'utf8',
    env: { ...process.env, DEVICE: device },
    timeout: 55_000,
  });
  return JSON.parse(output) as Record<string, number>;
}

describe.each([
  [1, 1],
  [1, 20],
  [20, 20],
])('%i contexts with %i notifiers', (contexts, notifiers) => {
  it.each(['kill', 'unmap'])('%s waits for one bound', (what) => {
    const { seconds } = silent([what, contexts, notifiers, BOUND]);
    expect(seconds).toBeLessThan(ONE_BOUND);
    expect(seconds).toBeGreaterThan(2.9);
  });
});

it('the parameter is the cap, and the module says so', () => {
  expect(silent(['cap', 60_000])).toEqual({ granted: BOUND });
  expect(silent(['cap', 300])).toEqual({ granted: 300 });
  expect(silent(['kill', 1, 4, 60_000])['seconds']).toBeLessThan(ONE_BOUND);
});

it('reclaim of 32 pages waits for less than a bound, also in the thread that would answer', () => {
  const file = path.join(folder, 'pages');
  writeFileSync(file, new Uint8Array(32 * 4096));
  expect(silent(['pageout', file, BOUND])['seconds']).toBeLessThan(BOUND / 1_000);
});

it('a process whose NOTIFIER_REMOVE waits for another context’s listener can be killed', () => {
  // The munmap is still waiting when the bystander has gone.
  expect(silent(['remove', BOUND])).toMatchObject({ munmap: 1 });
});

it('the close of a context with 32 pages on a device waits for one bound', async (context) => {
  const hmm = await openHmm({ backend: 'kernel' });
  await hmm.close();
  const device = hmm.devices.find(({ kind }) => kind !== 'none');
  if (device === undefined) context.skip('no device has memory');
  const { migrated, seconds } = silent(['close', 32, BOUND], `/dev/hmm_mirror${device!.id}`);
  expect(migrated).toBe(32);
  expect(seconds).toBeLessThan(ONE_BOUND);
});
