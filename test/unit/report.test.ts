import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { closingTable, merge, readVitestReport, single } from '../../scripts/testing/report.js';
import { withStatus } from '../../scripts/testing/run-vitest.js';

function reportOf(testResults: unknown[]): string {
  const file = path.join(mkdtempSync(path.join(tmpdir(), 'node-hmm-report-')), 'report.json');
  writeFileSync(file, JSON.stringify({ testResults }));
  return file;
}

const passing = {
  name: 'a.test.ts',
  status: 'passed',
  assertionResults: [
    { status: 'passed', fullName: 'one' },
    { status: 'skipped', fullName: 'two' },
  ],
};

it('counts tests, names what was skipped', () => {
  expect(readVitestReport('leg', reportOf([passing]))).toEqual({
    leg: 'leg',
    passed: 1,
    failed: 0,
    skipped: 1,
    notes: ['skipped: two'],
  });
});

it('a file that failed before its tests ran is a failure', () => {
  const report = reportOf([passing, { name: 'b.test.ts', status: 'failed', message: 'syntax', assertionResults: [] }]);
  expect(readVitestReport('leg', report)).toMatchObject({ passed: 1, failed: 1 });
});

it('no report, or a bad end without a failed test, is a failure', () => {
  expect(withStatus('leg', '/nowhere/report.json', 'SIGKILL', false)).toMatchObject({ passed: 0, failed: 1 });
  expect(withStatus('leg', reportOf([passing]), 'status 1', false)).toMatchObject({ passed: 1, failed: 1 });
  expect(withStatus('leg', reportOf([passing]), 'status 0', true)).toMatchObject({ passed: 1, failed: 0 });
});

it('the closing table ends with the sum', () => {
  const legs = [merge('first', [single('a', true), single('b', false, 'why')]), single('second', true)];
  const lines = closingTable(legs).split('\n');
  expect(lines.at(-1)).toBe('2 passed, 1 failed, 0 skipped');
  expect(lines.some((line) => line.trim() === 'why')).toBe(true);
});
