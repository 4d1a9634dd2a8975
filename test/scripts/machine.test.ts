/** Machines whose QEMU is a shell script: how a run that goes wrong is told. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { VmError } from '../../scripts/vm/errors.js';
import { runMachine, type MachineOptions } from '../../scripts/vm/machine.js';

const INT3 = 'Oops: int3: 0000 [#1] PREEMPT SMP NOPTI\\nKernel panic - not syncing: Fatal exception\\n';
const BUG = 'BUG: kernel NULL pointer dereference\\nKernel panic - not syncing: Fatal exception\\n';
/** Descriptors of the console and of the control port. */
const STARTED = "printf 'boot 6.12\\nstarted\\n' >&4; sleep 1;";

async function run(script: string, processors: MachineOptions['processors']) {
  const folder = mkdtempSync(path.join(tmpdir(), 'node-hmm-machine-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const starts = path.join(folder, 'starts');
  const told: string[] = [];
  const ignore = (): void => undefined;
  const options: MachineOptions = {
    program: '/bin/sh',
    args: ['-c', `echo start >> ${starts}; ${script}`],
    env: process.env,
    job: { cwd: '/', scratch: [], keep: [], writable: [], env: {}, argv: ['true'] },
    stdin: undefined,
    stdout: ignore,
    stderr: ignore,
    console: ignore,
    onBoot: ignore,
    bootTimeout: 60_000,
    timeout: undefined,
    signal: undefined,
    processors,
  };
  const error = await runMachine(options, (line) => told.push(line)).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(VmError);
  const count = existsSync(starts) ? readFileSync(starts, 'utf8').trim().split('\n').length : 0;
  return { failure: (error as VmError).failure, message: (error as VmError).message, told, starts: count };
}

it("a boot that fails by the emulator's fault is tried once more, which is told, and is no panic of the kernel's", async () => {
  for (const processors of ['translated', 'translated wrongly'] as const) {
    expect(await run(`printf '${INT3}' >&3`, processors)).toEqual({
      failure: 'emulator',
      message: "the machine failed to boot: QEMU ran a stale or wrong translation of the kernel's code",
      told: ["the machine failed to boot: QEMU ran a stale or wrong translation of the kernel's code. Once more:"],
      starts: 2,
    });
  }
});

it('a boot that hangs because a timer was lost is ended, and tried once more', async () => {
  const stall =
    "rcu: rcu_preempt kthread timer wakeup didn'\\''t happen for 5251 jiffies!\\nrcu: Possible timer handling issue on cpu=1 timer-softirq=5\\n";
  const message = 'the machine failed to boot: under QEMU a processor got no timer interrupt any more';
  expect(await run(`printf '${stall}' >&3; exec sleep 50`, 'translated')).toEqual({
    failure: 'emulator',
    message,
    told: [`${message}. Once more:`],
    starts: 2,
  });
});

it('on the processor itself there is no translator to blame', async () => {
  expect(await run(`printf '${INT3}' >&3`, 'own')).toMatchObject({ failure: 'panic', told: [], starts: 1 });
});

it("a panic that is the kernel's is not repeated", async () => {
  expect(await run(`printf '${BUG}' >&3`, 'translated wrongly')).toMatchObject({
    failure: 'panic',
    told: [],
    starts: 1,
  });
});

it('once the command runs nothing is repeated, and only a QEMU that is known for it is to blame', async () => {
  const script = `${STARTED} printf '${INT3}' >&3`;
  expect(await run(script, 'translated wrongly')).toMatchObject({ failure: 'emulator', told: [], starts: 1 });
  expect(await run(script, 'translated')).toMatchObject({ failure: 'panic', told: [], starts: 1 });
});
