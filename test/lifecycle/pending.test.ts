/** Requests that wait for what only their own program can release keep nothing: not its end, not Node's thread pool. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { openHmm } from 'node-hmm';
import { describe, expect, it } from 'vitest';
import { noContextLeft } from './support.js';

const PROGRAM = fileURLToPath(new URL('./pending.mjs', import.meta.url));

/** Milliseconds: a program that hangs is killed, and the test fails by its signal. */
const HANGS = 50_000;

async function ends(mode: string, kind: string): Promise<{ status: number | string; stdout: string }> {
  const child = spawn(process.execPath, [PROGRAM, mode, kind], { stdio: ['ignore', 'pipe', 'ignore'] });
  const timer = setTimeout(() => child.kill('SIGKILL'), HANGS);
  let stdout = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  const status = await new Promise<number | string>((resolve) => {
    child.once('close', (code, signal) => resolve(signal ?? code!));
  });
  clearTimeout(timer);
  await noContextLeft();
  return { status, stdout };
}

const { features } = await openHmm({ backend: 'kernel' }).then(async (hmm) => {
  await hmm.close();
  return hmm;
});
const kinds = ['populate', 'read', 'write', ...(features.exclusive ? ['atomicAdd', 'makeExclusive'] : [])];

describe.each(kinds)('while %s waits for the update lock', (kind) => {
  it('process.exit() ends the program', async () => {
    expect((await ends('exit', kind)).status).toBe(3);
  });

  it.each(['throw', 'reject'])('an error that nobody catches ends it: %s', async (mode) => {
    expect((await ends(mode, kind)).status).toBe(1);
  });

  it('worker.terminate() resolves', async () => {
    expect(await ends('terminate', kind)).toEqual({ status: 0, stdout: 'terminated\n' });
  });

  it('Node reads a file, and the requests succeed when the lock is released', async () => {
    const { status, stdout } = await ends('go on', kind);
    expect({ status, outcomes: JSON.parse(stdout) as unknown }).toEqual({
      status: 0,
      outcomes: Array.from({ length: 6 }, () => 'fulfilled'),
    });
  });
});
