/**
 * What `git bisect run` goes by: how the command ended, what the kernel said, and what the machine
 * did, told apart.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { provideKernel } from '../../scripts/provision/kernel.js';
import { buildModule } from '../../scripts/provision/module.js';
import { DEFAULT_KERNEL, kernelNamed } from '../../scripts/vm/kernels.js';
import { vm, vmUntil } from './support.js';

let folder = '';
const silent = (): void => undefined;

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'node-hmm-planted-'));
  const kernel = await provideKernel(kernelNamed(DEFAULT_KERNEL), silent);
  await buildModule(kernel, folder, [], undefined, path.resolve('test/scripts/planted'));
}, 600_000);
afterAll(() => rmSync(folder, { recursive: true }));

/** finit_module(2): a machine without kmod has no insmod. */
const INSMOD =
  'import ctypes, os, sys; sys.exit(ctypes.CDLL(None, use_errno=True).syscall(313, os.open(sys.argv[1], os.O_RDONLY), sys.argv[2].encode(), 0))';

/**
 * A command that loads the module with that fault, says whether it is still there, and ends as
 * `end` says.
 */
function planted(fault: string, end = 'exit 3'): string[] {
  const script = `python3 -c "$0" "$1" fault=${fault} && echo survived; ${end}`;
  return ['--no-module', '--', 'sh', '-c', script, INSMOD, path.join(folder, 'planted_faults.ko')];
}

describe('the status of vm', { timeout: 300_000 }, () => {
  it.each([
    ['exit 7', 7],
    ['kill -9 $$', 137],
  ])("is the command's own: %s", (script, expected) => {
    const { status, stderr } = vm(['--', 'sh', '-c', script]);
    expect(stderr).toMatch(/^node-hmm vm: Linux \S+ under \w+ \(.+; QEMU [\d.]+\)\n/m);
    expect(status).toBe(expected);
  });

  it('is 70 for a warning of the kernel, whatever the command says', () => {
    const { status, stdout, stderr } = vm(planted('warning'));
    expect(stdout).toBe('survived\n');
    expect(stderr).toMatch(/kernel splat:\n.*WARNING: .*planted_faults/);
    expect(status).toBe(70);
  });

  it('is 70 for an oops, which ends the machine before the command', () => {
    const { status, stdout, stderr } = vm(planted('oops'));
    expect(stdout).toBe('');
    expect(stderr).toMatch(/kernel splat:\n.*BUG: kernel NULL pointer dereference/);
    expect(status).toBe(70);
  });

  it('is 70 for a panic', () => {
    const { status, stderr } = vm(['--', 'sh', '-c', 'echo c > /proc/sysrq-trigger; sleep 60']);
    expect(stderr).toContain('Kernel panic - not syncing: sysrq triggered crash');
    expect(status).toBe(70);
    expect(vm(planted('panic'))).toMatchObject({ status: 70, stdout: '' });
  });

  it('is 70, and not 124, for a machine that the kernel reported on before its time ran out', () => {
    const { status, stderr } = vm(['--timeout', '60', ...planted('warning', 'sleep 600')]);
    expect(stderr).toContain('timeout: the time limit of 60 s ran out');
    expect(status).toBe(70);
  });

  it('is 124 for a command that takes too long', () => {
    const { status, stderr } = vm(['--timeout', '40', '--', 'sleep', '600']);
    expect(stderr).toContain('timeout: the time limit of 40 s ran out');
    expect(status).toBe(124);
  });

  it('is 69 for a machine that cannot be set up', () => {
    const { status, stderr } = vm(['--module-args', 'nonsense=', '--', 'true']);
    // The kernel takes unknown parameters; a wrong value of one it refuses.
    expect([status, stderr.includes('splat')]).toEqual([0, false]);
    const wrong = vm(['--module-args', 'private_pages=many', '--', 'true']);
    expect(wrong.stderr).toMatch(/setup: loading hmm_mirror with parameters ".*private_pages=many": Invalid argument/);
    expect(wrong.status).toBe(69);
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('after %s is %i', async (signal, expected) => {
    const run = await vmUntil(['--', 'sh', '-c', 'echo running; sleep 600'], 'running\n', (kill) => kill(signal));
    expect(run.status).toBe(expected);
  });
});
