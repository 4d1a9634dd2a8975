import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { cachedFolder } from '../../scripts/provision/cache.js';

const silent = () => undefined;

/** The number of a process that has ended. */
function endedProcess(): number {
  return spawnSync(process.execPath, ['--version']).pid;
}

describe('cachedFolder', () => {
  let root: string;
  let target: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'node-hmm-cache-'));
    target = join(root, 'kernel-6.12');
  });
  afterEach(() => rmSync(root, { recursive: true }));

  const make = async (folder: string) => writeFileSync(join(folder, 'vmlinux'), 'kernel');

  it('is not waited for by whoever is told to stop', async () => {
    let finish = (): void => undefined;
    const busy = cachedFolder(target, silent, async (folder) => {
      await new Promise<void>((resolve) => (finish = resolve));
      await make(folder);
    });
    const stop = new AbortController();
    const waiting = cachedFolder(target, () => stop.abort(), make, stop.signal);
    await expect(waiting).rejects.toMatchObject({ failure: 'aborted' });
    finish();
    expect(await busy).toBe(target);
  });

  it('appears whole, and is made once for all who ask at the same time', async () => {
    let made = 0;
    const slowly = async (folder: string) => {
      made++;
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(existsSync(target)).toBe(false);
      await make(folder);
    };
    await Promise.all([cachedFolder(target, silent, slowly), cachedFolder(target, silent, slowly)]);
    expect(made).toBe(1);
    expect(readdirSync(root)).toEqual(['kernel-6.12']);
  });

  it('leaves nothing of an attempt that failed', async () => {
    const failing = cachedFolder(target, silent, async (folder) => {
      await make(folder);
      throw new Error('out of memory');
    });
    await expect(failing).rejects.toThrow('out of memory');
    expect(readdirSync(root)).toEqual([]);
  });

  it('takes over from a process that was killed in the middle, and removes what that left', async () => {
    const dead = endedProcess();
    const abandoned = `${target}.${dead}.some-draft.tmp`;
    mkdirSync(abandoned);
    writeFileSync(`${target}.lock`, String(dead));
    await cachedFolder(target, silent, make);
    expect(readdirSync(root)).toEqual(['kernel-6.12']);
  });

  it('leaves the drafts of processes that live, and of other folders, alone', async () => {
    const others = [
      `${target}.${process.pid}.some-draft.tmp`,
      join(root, `kernel-6.1.${endedProcess()}.some-draft.tmp`),
    ];
    for (const other of others) mkdirSync(other);
    await cachedFolder(target, silent, make);
    for (const other of others) expect(existsSync(other)).toBe(true);
  });
});
