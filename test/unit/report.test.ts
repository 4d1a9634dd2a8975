import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { closingTable, merge, readReport, single, skipped } from '../../scripts/testing/report.js';
import { vitestCommand, withStatus } from '../../scripts/testing/run-vitest.js';

const folder = mkdtempSync(path.join(tmpdir(), 'node-hmm-report-'));
const report = path.join(folder, 'report.json');

beforeAll(() => {
  const [program, ...args] = vitestCommand([], report);
  const run = spawnSync(program!, args, { cwd: path.join(import.meta.dirname, 'outcomes'), encoding: 'utf8' });
  if (run.status !== 1) throw new Error(`status ${run.status}\n${run.stdout}${run.stderr}`);
});

afterAll(() => rmSync(folder, { recursive: true }));

function reportOf(contents: unknown): string {
  const file = path.join(folder, 'written.json');
  writeFileSync(file, JSON.stringify(contents));
  return file;
}

const passing = { passed: 1, failures: [], skips: [] };

it('counts tests, names what was skipped', () => {
  const { leg, passed, skips } = readReport('leg', report);
  expect([leg, passed]).toEqual(['leg', 2]);
  expect(skips).toEqual([
    { where: 'every-end.fixture.ts', reason: 'no device has memory' },
    { where: 'every-end.fixture.ts', reason: 'no device has memory' },
    { where: 'every-end.fixture.ts', reason: 'no reason was given for “is skipped for none”' },
    { where: 'every-end.fixture.ts', reason: 'no reason was given for “a hook that fails > never lets its test run”' },
  ]);
});

it('a file that failed before its tests ran is a failure', () => {
  expect(readReport('leg', report).failures).toContainEqual({
    name: 'broken.fixture.ts',
    detail: 'this file is broken',
  });
});

it('so is a test, a hook, and a promise that nobody awaited, each once', () => {
  expect(readReport('leg', report).failures.filter(({ name }) => name !== 'broken.fixture.ts')).toEqual([
    { name: 'every-end.fixture.ts > a hook that fails', detail: 'no room' },
    { name: 'every-end.fixture.ts > fails', detail: "expected 'one' to be 'other' // Object.is equality" },
    { name: 'unhandled error', detail: 'nobody awaits this' },
  ]);
});

it('no report, or a bad end without a failed test, is a failure', () => {
  const failure = (status: string) => [{ name: 'vitest', detail: `it ended with ${status}` }];
  expect(withStatus('leg', '/nowhere/report.json', 'SIGKILL', false)).toMatchObject({
    passed: 0,
    failures: [{ name: 'leg' }],
  });
  expect(withStatus('leg', reportOf({ testResults: [] }), 'status 0', true).failures).toHaveLength(1);
  expect(withStatus('leg', reportOf(passing), 'status 1', false)).toMatchObject({
    passed: 1,
    failures: failure('status 1'),
  });
  expect(withStatus('leg', reportOf(passing), 'status 0', true)).toEqual({ leg: 'leg', ...passing });
});

it('the closing table ends with the sum', () => {
  const legs = [merge('first', [single('a', true), single('b', false, 'why')]), single('second', true)];
  const lines = closingTable(legs).split('\n');
  expect(lines.at(-1)).toBe('2 passed, 1 failed, 0 skipped');
  expect(lines.some((line) => line.trim() === 'b: why')).toBe(true);
});

it('right above it stand the names of all that failed, below what is known of them and why what was skipped', () => {
  const memory = { reason: 'devicePrivate: no CONFIG_DEVICE_PRIVATE' };
  const legs = [
    {
      leg: 'debian-6.12',
      passed: 300,
      failures: [{ name: 'fork.test.ts > a write copies', detail: 'expected 1\nto be 2' }, { name: 'kernel log' }],
      skips: [
        { ...memory, where: 'device-memory' },
        { ...memory, where: 'device-memory-fork' },
        { reason: 'exclusive: not built', where: 'exclusive' },
        { ...memory, where: 'device-memory' },
      ],
    },
    skipped('own-6.12', 'no QEMU'),
    single('stress', false, 'a splat'),
  ];
  expect(closingTable(legs).split('\n')).toEqual([
    'debian-6.12    300 passed     2 failed     4 skipped',
    '               fork.test.ts > a write copies: expected 1',
    '               to be 2',
    '               3 skipped: devicePrivate: no CONFIG_DEVICE_PRIVATE (device-memory, device-memory-fork)',
    '               1 skipped: exclusive: not built (exclusive)',
    'own-6.12         0 passed     0 failed     1 skipped',
    '               1 skipped: no QEMU',
    'stress           0 passed     1 failed     0 skipped',
    '               a splat',
    '',
    'Failed:',
    '  debian-6.12: fork.test.ts > a write copies',
    '  debian-6.12: kernel log',
    '  stress',
    '300 passed, 3 failed, 5 skipped',
  ]);
});
