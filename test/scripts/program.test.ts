import { spawnSync } from 'node:child_process';

import { describe, expect, it } from 'vitest';

function run(program: string, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [`dist/${program}.js`, ...args], { encoding: 'utf8' });
  return { status, stdout, stderr };
}

describe.each([
  ['scripts/test', 'npm test'],
  ['scripts/stress', 'npm run stress'],
  ['scripts/selftests', 'npm run selftests'],
  ['scripts/fuzz', 'node-hmm fuzz'],
  ['bench/main', 'npm run bench'],
])('%s', (program, command) => {
  it('says what it can be asked for', () => {
    const { status, stdout, stderr } = run(program, '--help');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(new RegExp(`^Usage: ${command} `));
    expect(run(program, '-h')).toEqual({ status: 0, stdout, stderr });
    const version = { status: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) as string, stderr: '' };
    expect(run(program, '--version')).toEqual(version);
    expect(run(program, '-v')).toEqual(version);
  });

  it('refuses what it does not know before it does anything', () => {
    const { status, stdout, stderr } = run(program, '--nonsense');
    expect({ status, stdout }).toEqual({ status: 64, stdout: '' });
    expect(stderr).toMatch(/unknown option '?--nonsense/i);
    // The help of this very program is named, not that of another.
    expect(stderr).toContain(
      `${command.replace('npm test', 'npm run test')} ${command.startsWith('npm') ? '-- ' : ''}--help`,
    );
    expect(stderr).not.toContain('    at ');
  });

  it('refuses a kernel that there is not', () => {
    const { status, stdout, stderr } = run(program, '--kernel', 'linux-0.01');
    expect({ status, stdout }).toEqual({ status: 64, stdout: '' });
    expect(stderr).toContain('unknown kernel "linux-0.01"; known are debian-6.1,');
    expect(stderr).not.toContain('    at ');
  });
});
