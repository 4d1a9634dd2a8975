/** No false green: in a machine, openHmm() is the kernel or an error, whatever was forgotten. */
import { expect, it } from 'vitest';
import { vm } from './support.js';

const PROGRAM = `
import { openHmm } from 'node-hmm';
const outcome = (options) => openHmm(options).then(
  async (hmm) => (await hmm.close(), hmm.backend),
  (error) => error.code + ': ' + error.message,
);
console.log(JSON.stringify([await outcome(), await outcome({ backend: 'simulation' })]));
`;

function outcomes(...options: string[]): string[] {
  const { status, stdout, stderr } = vm([...options, '--', 'node', '--input-type=module', '-e', PROGRAM]);
  expect(status, stderr).toBe(0);
  return JSON.parse(stdout) as string[];
}

it('openHmm() is the kernel where the module is loaded', { timeout: 300_000 }, () => {
  expect(outcomes()).toEqual(['kernel', 'simulation']);
});

it('openHmm() is an error where it is not', { timeout: 300_000 }, () => {
  const [auto, simulation] = outcomes('--no-module');
  expect(auto).toMatch(
    /^ERR_HMM_NO_KERNEL: .*there is no \/dev\/hmm_mirror0: .*; in debian-6\.12, the virtual machine of node-hmm vm, 'auto' means the kernel/,
  );
  expect(simulation).toBe('simulation');
});
