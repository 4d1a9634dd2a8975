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
  });

  it('refuses what it does not know before it does anything', () => {
    const { status, stdout, stderr } = run(program, '--nonsense');
    expect({ status, stdout }).toEqual({ status: 64, stdout: '' });
    expect(stderr).toContain("Unknown option '--nonsense'");
    expect(stderr).not.toContain('    at ');
  });

  it('refuses a kernel that there is not', () => {
    const { status, stdout, stderr } = run(program, '--kernel', 'linux-0.01');
    expect({ status, stdout }).toEqual({ status: 64, stdout: '' });
    expect(stderr).toContain('unknown kernel "linux-0.01"; known are debian-6.1,');
    expect(stderr).not.toContain('    at ');
  });
});
