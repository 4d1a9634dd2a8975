/**
 * A machine is not started for a package that could not reach the kernel in it; and which copy of
 * the package that is.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { copiesFor, describeCopy, kernelProblem, ownCopy, requireKernelBackend } from '../../scripts/vm/addon-check.js';

const CLI = fileURLToPath(new URL('../../dist/scripts/cli.js', import.meta.url));
const linux = process.platform === 'linux';

let root = '';
/**
 * Projects with a copy of the package each: one whose addon does not load, and one that is not
 * built at all.
 */
let broken = '';
let crashing = '';

function project(name: string, main: string): string {
  const folder = path.join(root, name);
  const copy = path.join(folder, 'node_modules', 'node-hmm');
  mkdirSync(copy, { recursive: true });
  writeFileSync(
    path.join(copy, 'package.json'),
    '{"name":"node-hmm","version":"9.9.9","type":"module","exports":"./index.js"}',
  );
  writeFileSync(path.join(copy, 'index.js'), main);
  writeFileSync(path.join(folder, 'test.mjs'), "import 'node-hmm';");
  return folder;
}

beforeAll(() => {
  root = realpathSync(mkdtempSync(path.join(tmpdir(), 'node-hmm-copies-')));
  broken = project(
    'broken',
    "export async function openHmm() { throw Object.assign(new Error('the native addon is not built'), { code: 'ERR_HMM_NO_KERNEL' }); }",
  );
  crashing = project('crashing', "process.kill(process.pid, 'SIGSEGV');");
});
afterAll(() => rmSync(root, { recursive: true }));

describe('the copy of the package that a command loads', () => {
  it('is that which its script sees, wherever the command is started', () => {
    const copy = path.join(broken, 'node_modules', 'node-hmm', 'index.js');
    expect(copiesFor(['node', 'test.mjs'], broken)).toEqual([copy]);
    expect(copiesFor(['node', path.join(broken, 'test.mjs')], process.cwd())).toEqual([copy]);
  });

  it('is that of the folder for a command without a script, and else the one that vm is of', () => {
    expect(copiesFor(['npx', 'vitest'], crashing)).toEqual([
      path.join(crashing, 'node_modules', 'node-hmm', 'index.js'),
    ]);
    expect(copiesFor(['true'], tmpdir())).toEqual([ownCopy()]);
    expect(existsSync(ownCopy())).toBe(true);
  });

  it('is followed through links, as imports are', () => {
    const linked = path.join(root, 'linked.mjs');
    symlinkSync(path.join(broken, 'test.mjs'), linked);
    expect(copiesFor(['node', linked], tmpdir())).toEqual([path.join(broken, 'node_modules', 'node-hmm', 'index.js')]);
  });
});

describe('whether it can use the kernel', () => {
  it.runIf(linux)('is asked of the copy itself: this one can, without a kernel', async () => {
    expect(await kernelProblem(ownCopy())).toBeUndefined();
    await requireKernelBackend(['true'], process.cwd());
  });

  it('names the copy, the reason and what to do', async () => {
    await expect(requireKernelBackend(['node', 'test.mjs'], broken)).rejects.toMatchObject({
      failure: 'setup',
      message: expect.stringContaining(
        `${path.join(broken, 'node_modules', 'node-hmm')} (9.9.9) could not use the kernel: the native addon is not built\nnpx node-hmm build-addon, in the folder`,
      ) as string,
    });
    expect(describeCopy('/nowhere/index.js')).toBe('/nowhere/index.js');
  });

  it('is no for a copy that takes the process with it', async () => {
    const [copy] = copiesFor(['test.mjs'], crashing);
    expect(await kernelProblem(copy!)).toContain('SIGSEGV');
  });

  it.runIf(linux)('vm refuses to start a machine, with status 69', () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, 'vm', '--', 'node', 'test.mjs'], {
      cwd: broken,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      // Nothing may be fetched before the refusal, which would take minutes.
      env: { ...process.env, NODE_HMM_QEMU: '/bin/true' },
    });
    expect(stderr).toContain('no machine was started');
    expect(stderr).toContain('--no-module runs a command that needs neither');
    expect({ status, stdout }).toEqual({ status: 69, stdout: '' });
  });
});
