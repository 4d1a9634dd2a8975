/** node-hmm as a program: help, version, suggestions, completion, and how it ends. */
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { nearest } from '../../scripts/suggestion.js';

const CLI = fileURLToPath(new URL('../../dist/scripts/cli.js', import.meta.url));
const COMMANDS = ['vm', 'explore', 'fuzz', 'doctor', 'build-addon', 'completion'];
const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };

function run(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args], { encoding: 'utf8' });
  return { status, stdout, stderr };
}

describe('node-hmm', () => {
  it('helps in every form that people try', () => {
    const help = run('--help');
    expect(help).toMatchObject({ status: 0, stderr: '' });
    for (const command of COMMANDS) expect(help.stdout).toMatch(new RegExp(`^ {2}${command} +\\S`, 'm'));
    expect(run('-h')).toEqual(help);
    expect(run('help')).toEqual(help);
  });

  it.each(COMMANDS)('%s has its own help and the version', (command) => {
    const help = run(command, '--help');
    expect(help).toMatchObject({ status: 0, stderr: '' });
    expect(help.stdout).toMatch(new RegExp(`^Usage: node-hmm ${command}`));
    expect(run(command, '-h')).toEqual(help);
    expect(run('help', command)).toEqual(help);
    expect(run(command, '--version')).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' });
  });

  it('says its version', () => {
    for (const option of ['--version', '-v'])
      expect(run(option)).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' });
  });

  it.each([
    [[], 'node-hmm: no command\nnode-hmm --help says more.\n'],
    [['exlpore'], 'node-hmm: unknown command exlpore; is it explore that you mean?\nnode-hmm --help says more.\n'],
    [['zzz'], 'node-hmm: unknown command zzz\nnode-hmm --help says more.\n'],
    [['--foo'], 'node-hmm: unknown option --foo\nnode-hmm --help says more.\n'],
    [
      ['vm', '--kernal', 'x'],
      'node-hmm vm: unknown option --kernal; is it --kernel that you mean?\nnode-hmm vm --help says more.\n',
    ],
    [['doctor', 'now'], 'node-hmm doctor: it takes options alone, and not "now"\nnode-hmm doctor --help says more.\n'],
    [
      ['completion', 'fish'],
      'node-hmm completion: completion takes one word, bash or zsh, not "fish"\nnode-hmm completion --help says more.\n',
    ],
  ])('%j is wrong usage, and names the help that says more', (args, stderr) => {
    expect(run(...args)).toEqual({ status: 64, stdout: '', stderr });
  });

  it('ends quietly when nobody reads what it prints', async () => {
    // The reader is gone before the first byte is written, which no shell can promise.
    const child = spawn(process.execPath, [CLI, 'help', 'vm'], { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.destroy();
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    const status = await new Promise((resolve) => child.once('close', resolve));
    expect({ status, stderr }).toEqual({ status: 141, stderr: '' });
  });
});

describe('a suggestion', () => {
  it.each([
    ['kernle', 'kernel'],
    ['mem', 'memory'],
    ['writabel', 'writable'],
    ['xyzzy', undefined],
    ['a', undefined],
  ])('for %s is %s', (word, meant) => {
    expect(nearest(word, ['kernel', 'memory', 'writable', 'append'])).toBe(meant);
  });
});

/** What bash offers for a line, by the script that it sources. */
function completed(script: string, ...words: string[]): string[] {
  const line = `eval "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _node_hmm; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, status } = spawnSync('bash', ['-c', line, 'bash', script, 'node-hmm', ...words], {
    encoding: 'utf8',
  });
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  return stdout.split('\n').filter((word) => word !== '');
}

describe('completion for bash', () => {
  const { stdout: script } = run('completion', 'bash');

  it.each([
    [['e'], ['explore']],
    [[''], [...COMMANDS, 'help', '--help', '--version']],
    [['vm', '--ke'], ['--kernel']],
    [
      ['vm', '--kernel', 'own'],
      ['own-6.12', 'own-6.12-debug'],
    ],
    [
      ['vm', '--accel', ''],
      ['kvm', 'tcg', 'icount'],
    ],
    [['vm', '--kernel', 'debian-6.1', '--verb'], ['--verbose']],
    [['explore', '--strategy', 'b'], ['bounded']],
    [['explore', 'package-l'], ['package-lock.json']],
    [['vm', '--writable', 'kernel-mo'], ['kernel-module']],
    [['doctor', '--j'], ['--json']],
    [
      ['completion', ''],
      ['bash', 'zsh'],
    ],
    [['help', 'do'], ['doctor']],
    [['vm', '--', 'ls', '--kernel', 'own'], []],
  ])('%j', (words, offered) => {
    expect(completed(script, ...words)).toEqual(offered);
  });
});

it('completion for zsh names every command and option', (context) => {
  const { stdout, status } = run('completion', 'zsh');
  expect(status).toBe(0);
  expect(stdout).toMatch(/^#compdef node-hmm\n/);
  for (const command of COMMANDS) expect(stdout).toContain(`'${command}:`);
  expect(stdout).toContain("'*--writable[");
  const checked = spawnSync('zsh', ['-n'], { input: stdout, encoding: 'utf8' });
  if (checked.error !== undefined) return context.skip('zsh is not installed, which would check the syntax');
  expect({ status: checked.status, stderr: checked.stderr }).toEqual({ status: 0, stderr: '' });
});
