/** A snapshot without entries takes no lock: that it is of one moment all the same. Real kernels only: a C program, on both processors. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { noContextLeft } from './support.js';

const SOURCE = fileURLToPath(new URL('../stress/query/main.c', import.meta.url));

it('a snapshot beside a thread that drops what it walks is of one moment, until its mirror goes', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'node-hmm-query-'));
  try {
    const program = path.join(folder, 'query');
    execFileSync('cc', ['-std=gnu11', '-D_GNU_SOURCE', '-O2', '-Wall', '-pthread', '-o', program, SOURCE], {
      stdio: 'inherit',
    });
    const { status, signal, stdout, stderr } = spawnSync(program, [], { encoding: 'utf8' });
    expect({ status, signal, stderr }, stdout).toEqual({ status: 0, signal: null, stderr: '' });
    expect(stdout).toBe('every snapshot is of one moment; without its mirror: No such file or directory\n');
    await noContextLeft();
  } finally {
    rmSync(folder, { recursive: true });
  }
});
