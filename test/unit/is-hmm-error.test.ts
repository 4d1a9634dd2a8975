import { mkdtempSync, cpSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { HmmError, isHmmError } from 'node-hmm';
import { expect, it } from 'vitest';

const busy = new HmmError('EBUSY', 'hmm_range_fault');

it.each<[unknown, boolean]>([
  [busy, true],
  [new Error('EBUSY'), false],
  [Object.assign(new Error('busy'), { code: 'EBUSY', errno: 16, syscall: 'read' }), false],
  ['EBUSY', false],
  [null, false],
  [undefined, false],
])('%o: %s', (error, expected) => {
  expect(isHmmError(error)).toBe(expected);
  expect(isHmmError(error, 'EBUSY')).toBe(expected);
});

it('asks for one code of several', () => {
  expect(isHmmError(busy, 'EFAULT')).toBe(false);
  expect(isHmmError(busy, 'EFAULT', 'EBUSY')).toBe(true);
});

it('a code that does not exist is an error of the types', () => {
  // @ts-expect-error a typo
  expect(isHmmError(busy, 'EBUZY')).toBe(false);
});

it('recognises the errors of another copy of the package', async () => {
  const copy = mkdtempSync(path.join(tmpdir(), 'node-hmm-copy-'));
  try {
    cpSync('dist/lib', path.join(copy, 'lib'), { recursive: true });
    writeFileSync(path.join(copy, 'package.json'), '{ "type": "module" }');
    const url = pathToFileURL(path.join(copy, 'lib', 'errors.js')).href;
    const other = (await import(/* @vite-ignore */ url)) as { HmmError: typeof HmmError };
    const error = new other.HmmError('EBUSY', 'hmm_range_fault');
    expect(error).not.toBeInstanceOf(HmmError);
    expect(isHmmError(error, 'EBUSY')).toBe(true);
  } finally {
    rmSync(copy, { recursive: true });
  }
});
